/* Numbers and bytes in the one form that any machine reads back. */
#include "base/pack.h"

#include "base/check.h"

void pack_u64(struct buf *out, uint64_t value)
{
	uint8_t bytes[PACK_U64_MAX];
	buf_add(out, bytes, (size_t)(pack_number(bytes, value) - bytes));
}

void pack_u128(struct buf *out, unsigned __int128 value)
{
	for (; value >= 0x80; value >>= 7) {
		buf_add_char(out, (char)(uint8_t)((uint8_t)value | 0x80));
	}
	buf_add_char(out, (char)(uint8_t)value);
}

void pack_bytes(struct buf *out, const void *bytes, size_t len)
{
	pack_u64(out, len);
	buf_add(out, bytes, len);
}

void pack_time(struct buf *out, struct vega_time time)
{
	CHECK(time.nsec < 1000000000);
	pack_u64(out, pack_zigzag(time.sec));
	pack_u64(out, time.nsec);
}

static unsigned __int128 fail(struct unpack *in)
{
	in->failed = true;
	in->at = in->end;
	return 0;
}

/* A number of that many bits, in its only encoding: no zeros at its high end. */
static unsigned __int128 unpack_bits(struct unpack *in, unsigned bits)
{
	unsigned __int128 value = 0;
	for (unsigned shift = 0; shift < bits; shift += 7) {
		if (in->at == in->end) {
			break;
		}
		uint8_t byte = *in->at++;
		unsigned left = bits - shift;
		if ((byte & 0x7f) >> (left < 7 ? left : 7)) {
			break;
		}
		value |= (unsigned __int128)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			return byte || shift == 0 ? value : fail(in);
		}
	}
	return fail(in);
}

uint64_t unpack_u64(struct unpack *in)
{
	return (uint64_t)unpack_bits(in, 64);
}

uint32_t unpack_u32(struct unpack *in)
{
	return (uint32_t)unpack_bits(in, 32);
}

bool unpack_bool(struct unpack *in)
{
	return (bool)unpack_bits(in, 1);
}

unsigned __int128 unpack_u128(struct unpack *in)
{
	return unpack_bits(in, 128);
}

struct vega_time unpack_time(struct unpack *in)
{
	struct vega_time time = {.sec = unpack_zigzag(unpack_u64(in))};
	time.nsec = unpack_u32(in);
	if (time.nsec >= 1000000000) {
		fail(in);
		time.nsec = 0;
	}
	return time;
}

size_t unpack_count(struct unpack *in)
{
	uint64_t count = unpack_u64(in);
	return count <= (size_t)(in->end - in->at) ? (size_t)count : (size_t)fail(in);
}

const char *unpack_bytes(struct unpack *in, size_t *len)
{
	*len = unpack_count(in);
	const uint8_t *bytes = in->at;
	in->at += *len;
	return in->failed ? NULL : (const char *)bytes;
}
