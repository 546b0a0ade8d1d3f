/*
 * Looking into JSON text without reading its numbers: cJSON holds them as doubles, and sums of
 * sizes pass 2^53. For text that a JSON writer made; on anything else the answers are absent, and
 * never outside of the text.
 */
#ifndef VEGA_RECORD_SCAN_H
#define VEGA_RECORD_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* One value, without white space around it. Absent: at is NULL. */
struct scan_value {
	const char *at;
	size_t len;
};

/* The value that the text begins with, after white space. */
struct scan_value scan_text(const char *text, size_t len);

/* The member of an object; absent when it is not an object, or has no such member. */
struct scan_value scan_member(struct scan_value object, const char *key);

/* The next item of an array; *offset begins at 0. False after the last, and for what is no array.
 */
bool scan_item(struct scan_value array, size_t *offset, struct scan_value *item);

/* Is it a number? */
bool scan_is_number(struct scan_value value);

#endif
