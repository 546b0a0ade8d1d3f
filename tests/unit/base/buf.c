/* Memory: buffers with a maximum, arenas, string lists. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/strlist.h"

#include <stdint.h>
#include <stdlib.h>

#include "../tap.h"

TEST(buffer_growth, "a buffer grows and keeps its content")
{
	struct buf b = BUF_INIT;
	is_str(buf_cstr(&b), "", "an empty buffer is an empty string");
	for (int i = 0; i < 100000; i++) {
		buf_add_char(&b, (char)('a' + i % 26));
	}
	is_int(b.len, 100000, "100,000 single bytes");
	ok(b.cap >= b.len && b.cap <= 4 * b.len, "the capacity doubles");
	bool same = true;
	for (size_t i = 0; i < b.len; i++) {
		same = same && b.data[i] == (char)('a' + i % 26);
	}
	ok(same, "growing keeps the content");
	buf_clear(&b);
	buf_add(&b, "a\0b", 3);
	buf_add(&b, NULL, 0);
	is_int(b.len, 3, "NUL is a byte like others");
	ok(memcmp(buf_cstr(&b), "a\0b", 4) == 0, "terminated");
	char *detached = buf_detach(&b);
	ok(detached && b.data == NULL && b.len == 0, "detaching empties");
	free(detached);
	buf_release(&b);
}

TEST(buffer_maximum, "a buffer never grows past its maximum")
{
	struct buf b = {.max = 10};
	buf_add_str(&b, "12345678");
	ok(!b.failed && b.cap <= 10, "within the maximum");
	buf_add_str(&b, "abc");
	ok(b.failed && b.len == 8, "an addition past the maximum fails whole");
	buf_add_char(&b, 'x');
	buf_printf(&b, "%d", 7);
	is_int(b.len, 8, "and later ones do nothing, though they would fit");
	ok(buf_cstr(&b) == NULL, "no string of a failed buffer");
	buf_clear(&b);
	buf_add_str(&b, "1234567890");
	ok(!b.failed && b.len == 10, "clearing forgets the failure; the maximum itself fits");
	buf_add_char(&b, '1');
	ok(b.failed && b.len == 10, "one more does not");
	ok(buf_detach(&b) == NULL && b.data == NULL && b.max == 10, "a failed one is freed");

	struct buf huge = BUF_INIT;
	ok(!buf_reserve(&huge, SIZE_MAX), "SIZE_MAX more bytes are refused");
	ok(huge.failed, "and that sticks");
	buf_release(&huge);
}

TEST(numbers_and_codes, "numbers, hex and base64 are added as text")
{
	struct buf b = BUF_INIT;
	buf_add_u64(&b, 0);
	buf_add_char(&b, ' ');
	buf_add_u64(&b, UINT64_MAX);
	buf_add_char(&b, ' ');
	buf_add_u128(&b, (unsigned __int128)UINT64_MAX * 3);
	buf_add_char(&b, ' ');
	buf_add_u128(&b, ~(unsigned __int128)0);
	is_str(buf_cstr(&b),
	        "0 18446744073709551615 55340232221128654845 "
	        "340282366920938463463374607431768211455",
	        "decimal numbers to 128 bits");
	buf_clear(&b);
	buf_add_hex(&b, "\x00\x7f\xff", 3);
	is_str(buf_cstr(&b), "007fff", "hex");
	static const char *const base64[] = {
	        "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
	for (size_t i = 0; i < sizeof base64 / sizeof *base64; i++) {
		buf_clear(&b);
		buf_add_base64(&b, "foobar", i);
		is_str(buf_cstr(&b), base64[i], "base64 of %zu bytes (RFC 4648)", i);
		buf_clear(&b);
		ok(buf_add_base64_decoded(&b, base64[i], strlen(base64[i])) && b.len == i &&
		                memcmp(buf_cstr(&b), "foobar", i) == 0,
		        "and back");
	}
	static const char *const wrong[] = {
	        "Z", "Zg", "Zg=", "Zg==\n", "====", "Z===", "Zm9v!m9v", "Z=m9"};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		buf_clear(&b);
		ok(!buf_add_base64_decoded(&b, wrong[i], strlen(wrong[i])) && b.len == 0,
		        "not base64, %zu", i);
	}
	buf_clear(&b);
	buf_printf(&b, "%0300d", 7);
	is_int(b.len, 300, "printf longer than any first guess");
	buf_release(&b);
}

TEST(arena_pieces, "pieces of an arena are aligned and apart")
{
	struct arena a = {0};
	bool aligned = true, kept = true;
	char *pieces[1000];
	for (size_t i = 0; i < 1000; i++) {
		pieces[i] = arena_alloc(&a, i);
		aligned = aligned && (uintptr_t)pieces[i] % 16 == 0;
		memset(pieces[i], (int)i, i);
	}
	for (size_t i = 0; i < 1000; i++) {
		for (size_t k = 0; k < i; k++) {
			kept = kept && (unsigned char)pieces[i][k] == (unsigned char)i;
		}
	}
	ok(aligned, "pieces are aligned to 16 bytes");
	ok(kept, "and do not overlap");
	char *large = arena_alloc(&a, (size_t)1 << 20);
	memset(large, 1, (size_t)1 << 20);
	is_str(arena_copy(&a, "name\0more", 4), "name", "copies are terminated");
	ok(a.total > (size_t)1 << 20, "total counts the blocks");
	arena_release(&a);
	ok(a.block == NULL && a.total == 0, "released");
	ok(arena_alloc(&a, SIZE_MAX) == NULL, "SIZE_MAX bytes are refused");
	ok(arena_alloc(&a, SIZE_MAX - 20) == NULL, "and a little less");
	arena_release(&a);
}

TEST(string_lists, "a string list keeps copies in order")
{
	struct strlist list = {0};
	for (int i = 0; i < 50; i++) {
		char text[32];
		snprintf(text, sizeof text, "item %d", i);
		strlist_add(&list, text);
	}
	strlist_add_len(&list, "cut here", 3);
	is_int(list.count, 51, "items are counted");
	is_str(list.items[0], "item 0", "the first");
	is_str(list.items[49], "item 49", "copies, not pointers to one text");
	is_str(list.items[50], "cut", "by length");
	strlist_release(&list);
	ok(list.items == NULL && list.count == 0, "released");
}

TEST_MAIN
