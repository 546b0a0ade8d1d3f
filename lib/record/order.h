/*
 * The order of paths: that of their bytes, but that '/' comes before every other byte. So a
 * directory is followed at once by all that lies in it, and its subtree ends before the next name
 * begins ("a", "a/b", "a-b"): what nests can be written in one pass.
 */
#ifndef VEGA_RECORD_ORDER_H
#define VEGA_RECORD_ORDER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Negative, 0 or positive, as memcmp. */
static inline int path_order(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t len = a_len < b_len ? a_len : b_len, at = 0;
	for (uint64_t x, y; at + sizeof x <= len; at += sizeof x) {
		memcpy(&x, a + at, sizeof x);
		memcpy(&y, b + at, sizeof y);
		if (x != y) {
			break;
		}
	}
	while (at < len && a[at] == b[at]) {
		at++;
	}
	if (at == len) {
		return (a_len > b_len) - (a_len < b_len);
	}
	int x = a[at] == '/' ? -1 : (unsigned char)a[at];
	int y = b[at] == '/' ? -1 : (unsigned char)b[at];
	return x - y;
}

#endif
