/* The seal: 16 bytes in front of a cached value, with a checksum (XXH3) over its kind, its key
 * and its content. */
#include "base/seal.h"

#include <xxhash.h>

#include "base/check.h"

#define SEAL_MAGIC 0x4c414753u

struct seal {
	uint32_t magic, kind;
	uint64_t checksum;
};
_Static_assert(sizeof(struct seal) == SEAL_SIZE, "a seal has no padding");

static struct seal seal_of(const struct buf *value, uint32_t kind, const void *key, size_t len)
{
	uint64_t seed = XXH3_64bits_withSeed(key, len, kind);
	return (struct seal){SEAL_MAGIC, kind,
	        XXH3_64bits_withSeed(value->data + SEAL_SIZE, value->len - SEAL_SIZE, seed)};
}

void seal_begin(struct buf *value, uint32_t kind)
{
	struct seal seal = {.kind = kind};
	CHECK(value->len == 0);
	buf_add(value, &seal, sizeof seal);
}

void seal_end(struct buf *value, const void *key, size_t len)
{
	struct seal seal;
	if (value->failed || value->len < sizeof seal) {
		return;
	}
	memcpy(&seal, value->data, sizeof seal);
	seal = seal_of(value, seal.kind, key, len);
	memcpy(value->data, &seal, sizeof seal);
}

bool seal_good(const struct buf *value, uint32_t kind, const void *key, size_t len)
{
	if (value->failed || value->len < SEAL_SIZE) {
		return false;
	}
	struct seal seal = seal_of(value, kind, key, len);
	return memcmp(value->data, &seal, sizeof seal) == 0;
}
