#include "op/claims.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <xxhash.h>

#define SHARDS 64
#define FIRST_SLOTS 64

struct claim {
	XXH128_hash_t key; /* both halves 0: empty */
	uint64_t owner;
};

/* Open addressing, a power of two of slots, at most half of them full. */
struct shard {
	pthread_mutex_t lock;
	struct claim *slot;
	size_t slots, used;
};

struct claims {
	struct shard shard[SHARDS];
};

struct claims *claims_new(void)
{
	struct claims *claims = calloc(1, sizeof *claims);
	for (size_t i = 0; claims && i < SHARDS; i++) {
		pthread_mutex_init(&claims->shard[i].lock, NULL);
	}
	return claims;
}

void claims_free(struct claims *claims)
{
	if (!claims) {
		return;
	}
	for (size_t i = 0; i < SHARDS; i++) {
		pthread_mutex_destroy(&claims->shard[i].lock);
		free(claims->shard[i].slot);
	}
	free(claims);
}

static bool is_empty(const struct claim *claim)
{
	return claim->key.low64 == 0 && claim->key.high64 == 0;
}

/* The key's slot, or the empty one where it belongs. */
static struct claim *find(struct claim *slot, size_t slots, XXH128_hash_t key)
{
	size_t at = key.low64 & (slots - 1);
	while (!is_empty(&slot[at]) && !XXH128_isEqual(slot[at].key, key)) {
		at = (at + 1) & (slots - 1);
	}
	return &slot[at];
}

static bool grow(struct shard *shard)
{
	size_t slots = shard->slots ? shard->slots * 2 : FIRST_SLOTS;
	struct claim *slot = calloc(slots, sizeof *slot);
	if (!slot) {
		return false;
	}
	for (size_t i = 0; i < shard->slots; i++) {
		if (!is_empty(&shard->slot[i])) {
			*find(slot, slots, shard->slot[i].key) = shard->slot[i];
		}
	}
	free(shard->slot);
	shard->slot = slot;
	shard->slots = slots;
	return true;
}

int claims_add(
        struct claims *claims, const char *path, size_t len, uint64_t owner, uint64_t *holder)
{
	XXH128_hash_t key = XXH3_128bits(path, len);
	key.low64 |= key.low64 == 0 && key.high64 == 0;
	struct shard *shard = &claims->shard[key.high64 % SHARDS];
	int result = 0;
	pthread_mutex_lock(&shard->lock);
	if (shard->used * 2 >= shard->slots && !grow(shard)) {
		result = -ENOMEM;
	} else {
		struct claim *claim = find(shard->slot, shard->slots, key);
		if (is_empty(claim)) {
			*claim = (struct claim){key, owner};
			shard->used++;
		} else {
			*holder = claim->owner;
			result = 1;
		}
	}
	pthread_mutex_unlock(&shard->lock);
	return result;
}
