/*
 * A growing byte buffer with a hard maximum.
 *
 * Invariants: len <= cap <= max; data is NULL only while cap is 0. The content is bytes, and is
 * terminated by a NUL (not counted in len) only after buf_cstr(). A failure (no memory, or the
 * maximum would be passed) is sticky: `failed` is set, later additions do nothing, and whoever
 * consumes the buffer checks once. Not thread-safe.
 */
#ifndef VEGA_BASE_BUF_H
#define VEGA_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf {
	char *data;
	size_t len;
	size_t cap;
	size_t max; /* 0 means BUF_MAX */
	bool failed;
};

#define BUF_MAX ((size_t)1 << 30)
#define BUF_INIT \
	{ \
		NULL, 0, 0, 0, false \
	}

/* Frees the memory and leaves an empty buffer with the same maximum. */
void buf_release(struct buf *b);

/* Empties it (and forgets a failure), keeping the memory. */
static inline void buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

/* Make room for `more` further bytes; false (and `failed`) when that cannot be had. */
bool buf_grow(struct buf *b, size_t more);

static inline bool buf_reserve(struct buf *b, size_t more)
{
	return b->cap - b->len >= more || buf_grow(b, more);
}

static inline void buf_add(struct buf *b, const void *bytes, size_t len)
{
	if (buf_reserve(b, len) && len) {
		memcpy(b->data + b->len, bytes, len);
		b->len += len;
	}
}

static inline void buf_add_char(struct buf *b, char c)
{
	if (buf_reserve(b, 1)) {
		b->data[b->len++] = c;
	}
}

static inline void buf_add_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

void buf_add_u64(struct buf *b, uint64_t value);

/* Decimal, exact: for sums of sizes, which pass 64 bits. */
void buf_add_u128(struct buf *b, unsigned __int128 value);

void buf_add_hex(struct buf *b, const void *bytes, size_t len);
void buf_add_base64(struct buf *b, const void *bytes, size_t len);

/* Adds the bytes that base64 text (padded, no white space) stands for; false when it is not such
 * text: nothing is added then. */
bool buf_add_base64_decoded(struct buf *b, const char *text, size_t len);

/* The content as a C string; "" for an empty buffer, NULL after a failure. Owned by the buffer. */
const char *buf_cstr(struct buf *b);

/* Hands the NUL-terminated content over to the caller, who frees it; NULL after a failure. */
char *buf_detach(struct buf *b);

#endif
