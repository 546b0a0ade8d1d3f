/* A sealed value is good under its key and kind, and after no damage at all. */
#include "base/seal.h"

#include "../tap.h"

static void make(struct buf *value, const char *content, size_t len)
{
	buf_clear(value);
	seal_begin(value, 7);
	buf_add(value, content, len);
	seal_end(value, "key", 3);
}

int main(void)
{
	static const char content[] = "some content\0that is not text\xff";
	struct buf value = BUF_INIT;
	make(&value, content, sizeof content);
	ok(seal_good(&value, 7, "key", 3), "a sealed value is accepted");
	ok(value.len == SEAL_SIZE + sizeof content &&
	                memcmp(value.data + SEAL_SIZE, content, sizeof content) == 0,
	        "a sealed value holds the content");
	ok(!seal_good(&value, 8, "key", 3), "a value of another kind is rejected");
	ok(!seal_good(&value, 7, "kez", 3), "a value under another key is rejected");
	ok(!seal_good(&value, 7, "key", 2), "a value under a shorter key is rejected");

	unsigned believed = 0;
	for (size_t bit = 0; bit < value.len * 8; bit++) {
		value.data[bit / 8] ^= (char)(1 << bit % 8);
		believed += seal_good(&value, 7, "key", 3);
		value.data[bit / 8] ^= (char)(1 << bit % 8);
	}
	is_int(believed, 0, "a value with any one bit flipped is rejected");
	believed = 0;
	for (size_t len = value.len; len-- > 0;) {
		struct buf cut = {.data = value.data, .len = len, .cap = value.cap};
		believed += seal_good(&cut, 7, "key", 3);
	}
	is_int(believed, 0, "a value truncated at any length is rejected");

	make(&value, "", 0);
	ok(seal_good(&value, 7, "key", 3), "an empty content can be sealed");
	buf_release(&value);
	ok(!seal_good(&value, 7, "key", 3), "an empty value is rejected");
	struct buf small = {.max = SEAL_SIZE + 4};
	make(&small, content, sizeof content);
	ok(small.failed && !seal_good(&small, 7, "key", 3), "a value that did not fit is rejected");
	buf_release(&small);
	return done();
}
