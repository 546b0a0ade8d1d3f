/* What the formats share. */
#ifndef VEGA_RECORD_INTERNAL_H
#define VEGA_RECORD_INTERNAL_H

#include "record/format.h"
#include "record/scan.h"

extern const struct format format_text, format_ndjson, format_json, format_csv;

/* Permission bits, set-id bits and the sticky bit, as four octal digits. */
void record_mode_text(char text[static 5], uint32_t mode);

/* Bytes for a terminal: escape_terminal(), and where its character set is not UTF-8, ASCII only. */
void record_add_escaped(
        struct buf *out, const struct format_options *options, const char *bytes, size_t len);

/* The bytes of a path that json_member_path() wrote: nothing when the object has no such member. */
void record_add_path(struct buf *out, struct scan_value object, const char *key);

/* A member that counts something, to any depth ("a.b"); 0 when there is no such number. */
unsigned __int128 record_count(struct scan_value object, const char *path);

#endif
