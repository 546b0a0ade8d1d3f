/* Packed numbers come back, have one encoding, and are never read beyond their end. */
#include "base/pack.h"

#include "../tap.h"

static void test_numbers(void)
{
	struct buf b = BUF_INIT;
	for (unsigned shift = 0; shift < 128; shift++) {
		unsigned __int128 value = (unsigned __int128)1 << shift;
		pack_u128(&b, value);
		pack_u128(&b, value - 1);
		pack_u64(&b, (uint64_t)value);
		pack_u64(&b, (uint64_t)(value - 1));
	}
	struct unpack in = unpack_begin(b.data, b.len);
	bool same = true;
	for (unsigned shift = 0; shift < 128; shift++) {
		unsigned __int128 value = (unsigned __int128)1 << shift;
		same = same && unpack_u128(&in) == value;
		same = same && unpack_u128(&in) == value - 1;
		same = same && unpack_u64(&in) == (uint64_t)value;
		same = same && unpack_u64(&in) == (uint64_t)(value - 1);
	}
	ok(same && unpack_ended(&in), "numbers of every length come back");
	bool cut_fails = true;
	for (size_t len = 0; len < b.len; len++) {
		in = unpack_begin(b.data, len);
		for (unsigned shift = 0; shift < 128; shift++) {
			unpack_u128(&in);
			unpack_u128(&in);
			unpack_u64(&in);
			unpack_u64(&in);
		}
		cut_fails = cut_fails && in.failed;
	}
	ok(cut_fails, "numbers that are cut anywhere fail");
	buf_release(&b);
}

static void test_times(void)
{
	static const struct vega_time times[] = {
	        {INT64_MIN, 0}, {INT64_MAX, 999999999}, {-1, 1}, {0, 0}};
	struct buf b = BUF_INIT;
	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		pack_time(&b, times[i]);
	}
	struct unpack in = unpack_begin(b.data, b.len);
	bool same = true;
	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		same = same && vega_time_compare(unpack_time(&in), times[i]) == 0;
	}
	ok(same && unpack_ended(&in), "times of all ages come back");
	buf_clear(&b);
	pack_u64(&b, 0);
	pack_u64(&b, 1000000000);
	in = unpack_begin(b.data, b.len);
	unpack_time(&in);
	ok(in.failed, "a second has at most 999999999 nanoseconds");
	buf_release(&b);
}

static void test_bytes(void)
{
	struct buf b = BUF_INIT;
	size_t len;
	pack_bytes(&b, "a\0b", 3);
	pack_bytes(&b, "", 0);
	struct unpack in = unpack_begin(b.data, b.len);
	const char *bytes = unpack_bytes(&in, &len);
	ok(len == 3 && bytes && memcmp(bytes, "a\0b", 3) == 0, "bytes come back");
	ok(unpack_bytes(&in, &len) && len == 0 && unpack_ended(&in), "none are bytes, too");
	ok(!unpack_bytes(&in, &len) && in.failed && len == 0, "behind the end there are none");
	in = unpack_begin(b.data, 3);
	ok(!unpack_bytes(&in, &len) && in.failed, "bytes that are cut fail");
	in = unpack_begin("\x05"
	                  "1234",
	        5);
	is_int(unpack_count(&in), 0, "a count above the bytes that follow fails");
	ok(in.failed, "and the reader remembers");
	buf_release(&b);
}

static bool refused(const char *bytes, size_t len, unsigned bits)
{
	struct unpack in = unpack_begin(bytes, len);
	if (bits == 128) {
		unpack_u128(&in);
	} else if (bits == 64) {
		unpack_u64(&in);
	} else if (bits == 32) {
		unpack_u32(&in);
	} else {
		unpack_bool(&in);
	}
	return in.failed;
}

int main(void)
{
	test_numbers();
	test_times();
	test_bytes();
	ok(refused("\x80\0", 2, 64), "a zero at the high end is refused");
	ok(!refused("\0", 1, 64), "zero itself is not");
	ok(refused("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, 64), "65 bits are refused");
	ok(refused("\xff\xff\xff\xff\x10", 5, 32), "33 bits are refused");
	ok(!refused("\xff\xff\xff\xff\x0f", 5, 32), "32 bits are not");
	ok(refused("\x02", 1, 1), "2 is no truth value");
	ok(refused("\x81\x80\x80", 3, 128), "a number without an end is refused");
	return done();
}
