/*
 * The reader of JSON text between a summary and whatever is made of it: it looks into the text
 * where it lies, and whole numbers stay exact (sums of sizes pass 2^53). For text that a JSON
 * writer made; on anything else the answers are absent, and never outside of the text.
 * scan_is_json() says which it is.
 */
#ifndef VEGA_RECORD_SCAN_H
#define VEGA_RECORD_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* One value, without white space around it. Absent: at is NULL. */
struct scan_value {
	const char *at;
	size_t len;
};

/* The value that the text begins with, after white space. */
struct scan_value scan_text(const char *text, size_t len);

/* The member of an object; absent when it is not an object, or has no such member. */
struct scan_value scan_member(struct scan_value object, const char *key);

/* The same for several keys (`count` of them) in one pass; values[i] is that of keys[i]. */
void scan_members(
        struct scan_value object, const char *const *keys, size_t count, struct scan_value *values);

/* The member of a member, to any depth: "hard_links.saved_bytes". */
struct scan_value scan_path(struct scan_value object, const char *path);

/* The next item of an array; *offset begins at 0. False after the last, and for what is no array.
 */
bool scan_item(struct scan_value array, size_t *offset, struct scan_value *item);

/* Is it a number? */
bool scan_is_number(struct scan_value value);

/* A whole number of 0 or more, at most SCAN_COUNT_MAX; 0 for anything else. */
#define SCAN_COUNT_MAX ((unsigned __int128)1 << 120)
unsigned __int128 scan_count(struct scan_value value);

/* The bytes of a string, without its quotes and escapes, added to `out`. False, and nothing is
 * added, when it is no string, or an escape in it is none. */
bool scan_string(struct scan_value value, struct buf *out);

/* Does the text begin with a complete JSON value, nested no deeper than SCAN_DEPTH_MAX? */
#define SCAN_DEPTH_MAX 500
bool scan_is_json(const char *text, size_t len);

#endif
