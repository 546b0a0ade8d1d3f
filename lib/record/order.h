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

/* How many bytes are the same in both. */
static inline size_t path_common(const char *a, const char *b, size_t len)
{
	size_t at = 0;
	for (uint64_t x, y; at + sizeof x <= len; at += sizeof x) {
		memcpy(&x, a + at, sizeof x);
		memcpy(&y, b + at, sizeof y);
		if (x != y) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
			return at + (size_t)__builtin_ctzll(x ^ y) / 8;
#else
			return at + (size_t)__builtin_clzll(x ^ y) / 8;
#endif
		}
	}
	while (at < len && a[at] == b[at]) {
		at++;
	}
	return at;
}

/* Negative, 0 or positive, as memcmp. */
static inline int path_order(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t len = a_len < b_len ? a_len : b_len, at = path_common(a, b, len);
	if (at == len) {
		return (a_len > b_len) - (a_len < b_len);
	}
	int x = a[at] == '/' ? -1 : (unsigned char)a[at];
	int y = b[at] == '/' ? -1 : (unsigned char)b[at];
	return x - y;
}

#endif
