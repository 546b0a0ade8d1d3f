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
	ok(seal_good(&value, 7, "key", 3), "what was sealed is good");
	ok(value.len == SEAL_SIZE + sizeof content &&
	                memcmp(value.data + SEAL_SIZE, content, sizeof content) == 0,
	        "and holds the content");
	ok(!seal_good(&value, 8, "key", 3), "of another kind: not");
	ok(!seal_good(&value, 7, "kez", 3), "under another key: not");
	ok(!seal_good(&value, 7, "key", 2), "under a shorter key: not");

	unsigned believed = 0;
	for (size_t bit = 0; bit < value.len * 8; bit++) {
		value.data[bit / 8] ^= (char)(1 << bit % 8);
		believed += seal_good(&value, 7, "key", 3);
		value.data[bit / 8] ^= (char)(1 << bit % 8);
	}
	is_int(believed, 0, "with any one bit turned: not");
	believed = 0;
	for (size_t len = value.len; len-- > 0;) {
		struct buf cut = {.data = value.data, .len = len, .cap = value.cap};
		believed += seal_good(&cut, 7, "key", 3);
	}
	is_int(believed, 0, "cut short at any length: not");

	make(&value, "", 0);
	ok(seal_good(&value, 7, "key", 3), "no content can be sealed too");
	buf_release(&value);
	ok(!seal_good(&value, 7, "key", 3), "nothing at all is not good");
	struct buf small = {.max = SEAL_SIZE + 4};
	make(&small, content, sizeof content);
	ok(small.failed && !seal_good(&small, 7, "key", 3), "nor what had no room");
	buf_release(&small);
	return done();
}
