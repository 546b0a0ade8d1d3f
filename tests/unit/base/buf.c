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
	is_int(b.len, 100000, "100,000 single bytes are added");
	ok(b.cap >= b.len && b.cap <= 4 * b.len, "the capacity grows by doubling");
	bool same = true;
	for (size_t i = 0; i < b.len; i++) {
		same = same && b.data[i] == (char)('a' + i % 26);
	}
	ok(same, "growing keeps the content");
	buf_clear(&b);
	buf_add(&b, "a\0b", 3);
	buf_add(&b, NULL, 0);
	is_int(b.len, 3, "NUL is a byte like others");
	ok(memcmp(buf_cstr(&b), "a\0b", 4) == 0, "a buffer's content is terminated");
	char *detached = buf_detach(&b);
	ok(detached && b.data == NULL && b.len == 0, "detaching leaves an empty buffer");
	free(detached);
	buf_release(&b);
}

TEST(buffer_maximum, "a buffer never grows past its maximum")
{
	struct buf b = {.max = 10};
	buf_add_str(&b, "12345678");
	ok(!b.failed && b.cap <= 10, "a buffer within its maximum has not failed");
	buf_add_str(&b, "abc");
	ok(b.failed && b.len == 8, "an addition past the maximum fails whole");
	buf_add_char(&b, 'x');
	buf_printf(&b, "%d", 7);
	is_int(b.len, 8, "additions after a failure do nothing, though they would fit");
	ok(buf_cstr(&b) == NULL, "a failed buffer gives no string");
	buf_clear(&b);
	buf_add_str(&b, "1234567890");
	ok(!b.failed && b.len == 10, "clearing resets the failure, and the maximum itself fits");
	buf_add_char(&b, '1');
	ok(b.failed && b.len == 10, "one byte more than the maximum fails");
	ok(buf_detach(&b) == NULL && b.data == NULL && b.max == 10,
	        "detaching a failed buffer frees it");

	struct buf huge = BUF_INIT;
	ok(!buf_reserve(&huge, SIZE_MAX), "reserving SIZE_MAX bytes fails");
	ok(huge.failed, "a failed reservation fails the buffer");
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
	        "decimal numbers are written up to 128 bits");
	buf_clear(&b);
	buf_add_hex(&b, "\x00\x7f\xff", 3);
	is_str(buf_cstr(&b), "007fff", "bytes are written as hexadecimal digits");
	static const char *const base64[] = {
	        "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
	for (size_t i = 0; i < sizeof base64 / sizeof *base64; i++) {
		buf_clear(&b);
		buf_add_base64(&b, "foobar", i);
		is_str(buf_cstr(&b), base64[i], "base64 of %zu bytes is that of RFC 4648", i);
		buf_clear(&b);
		ok(buf_add_base64_decoded(&b, base64[i], strlen(base64[i])) && b.len == i &&
		                memcmp(buf_cstr(&b), "foobar", i) == 0,
		        "base64 decodes to the same bytes");
	}
	static const char *const wrong[] = {
	        "Z", "Zg", "Zg=", "Zg==\n", "====", "Z===", "Zm9v!m9v", "Z=m9"};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		buf_clear(&b);
		ok(!buf_add_base64_decoded(&b, wrong[i], strlen(wrong[i])) && b.len == 0,
		        "malformed base64 %zu is rejected", i);
	}
	buf_clear(&b);
	buf_printf(&b, "%0300d", 7);
	is_int(b.len, 300, "printf writes texts longer than any first guess");
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
	ok(aligned, "arena pieces are aligned to 16 bytes");
	ok(kept, "arena pieces do not overlap");
	char *large = arena_alloc(&a, (size_t)1 << 20);
	memset(large, 1, (size_t)1 << 20);
	is_str(arena_copy(&a, "name\0more", 4), "name", "arena copies are terminated");
	ok(a.total > (size_t)1 << 20, "the arena's total counts its blocks");
	arena_release(&a);
	ok(a.block == NULL && a.total == 0, "a released arena has no blocks");
	ok(arena_alloc(&a, SIZE_MAX) == NULL, "allocating SIZE_MAX bytes fails");
	ok(arena_alloc(&a, SIZE_MAX - 20) == NULL,
	        "allocating a little less than SIZE_MAX bytes fails");
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
	is_int(list.count, 51, "a list counts its items");
	is_str(list.items[0], "item 0", "a list keeps its first item");
	is_str(list.items[49], "item 49", "a list keeps copies of the texts");
	is_str(list.items[50], "cut", "a list takes an item by its length");
	strlist_release(&list);
	ok(list.items == NULL && list.count == 0, "a released list is empty");
}

TEST_MAIN
