/*
 * Numbers and bytes written so that any machine reads them back: LEB128 (seven bits per byte, the
 * lowest first; signed ones in zigzag), bytes after their length.
 *
 * Every value has one encoding; the reader refuses all others. What is read may come from anywhere:
 * a reader never leaves its bytes, and a failure is sticky (`failed`), zeros follow, and whoever
 * reads checks once.
 */
#ifndef VEGA_BASE_PACK_H
#define VEGA_BASE_PACK_H

#include "base/buf.h"
#include "base/parse.h"

#define PACK_U64_MAX 10 /* bytes of a 64-bit number, at most */

static inline uint8_t *pack_number(uint8_t *at, uint64_t value)
{
	while (value >= 0x80) {
		*at++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*at++ = (uint8_t)value;
	return at;
}

static inline uint64_t pack_zigzag(int64_t value)
{
	return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
}

static inline int64_t unpack_zigzag(uint64_t value)
{
	return (int64_t)(value >> 1 ^ (value & 1 ? UINT64_MAX : 0));
}

/* Each appends. */
void pack_u64(struct buf *out, uint64_t value);
void pack_u128(struct buf *out, unsigned __int128 value);
void pack_bytes(struct buf *out, const void *bytes, size_t len);
void pack_time(struct buf *out, struct vega_time time);

struct unpack {
	const uint8_t *at, *end;
	bool failed;
};

static inline struct unpack unpack_begin(const void *bytes, size_t len)
{
	const uint8_t *at = (const uint8_t *)bytes;
	return (struct unpack){at, at + len, false};
}

uint64_t unpack_u64(struct unpack *in);
uint32_t unpack_u32(struct unpack *in); /* fails above 2^32 - 1 */
bool unpack_bool(struct unpack *in);    /* fails above 1 */
unsigned __int128 unpack_u128(struct unpack *in);
struct vega_time unpack_time(struct unpack *in);

/* A number of things that follow, of at least one byte each: never more than there are bytes. */
size_t unpack_count(struct unpack *in);

/* A view of the bytes, which are the reader's; NULL after a failure. */
const char *unpack_bytes(struct unpack *in, size_t *len);

/* Was all of it read, and nothing failed? */
static inline bool unpack_ended(const struct unpack *in)
{
	return !in->failed && in->at == in->end;
}

#endif
