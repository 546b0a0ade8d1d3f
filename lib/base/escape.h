/* Names on a terminal: no control byte ever reaches it, and every name stays distinguishable. */
#ifndef VEGA_BASE_ESCAPE_H
#define VEGA_BASE_ESCAPE_H

#include "base/buf.h"

/*
 * Adds the bytes with C0, DEL, C1 controls and invalid UTF-8 as \n \t \r \e or \ooo (three octal
 * digits) and a backslash as \\. Also bidirectional and other invisible formatting characters
 * (U+200B–U+200F, U+202A–U+202E, U+2060–U+2069, U+FEFF) as octal bytes. Other valid UTF-8 is left
 * alone.
 */
void escape_terminal(struct buf *out, const char *bytes, size_t len);

/*
 * The escaping of GNU *sum tools: when the name holds a newline, carriage return or backslash, the
 * LINE begins with a backslash and those bytes are written \n, \r and \\. Returns whether the name
 * needs it.
 */
bool escape_sum_needed(const char *bytes, size_t len);
void escape_sum(struct buf *out, const char *bytes, size_t len);

/* Columns that valid UTF-8 takes on a terminal (wide characters two, combining none; escapes as
 * bytes). */
size_t display_width(const char *bytes, size_t len);

#endif
