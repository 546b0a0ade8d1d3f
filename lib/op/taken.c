/* One table of inodes under a lock: the file systems that need it are slow. */
#include "op/taken.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/check.h"

#define FIRST_SLOTS 64

struct slot {
	uint64_t dev, ino;
	uint64_t output; /* hash of its path; 0: empty */
};

/* Open addressing, a power of two of slots, at most half of them full. */
struct taken {
	pthread_mutex_t lock;
	struct slot *slot;
	size_t slots, used;
};

struct taken *taken_new(void)
{
	struct taken *taken = calloc(1, sizeof *taken);
	if (taken) {
		pthread_mutex_init(&taken->lock, NULL);
	}
	return taken;
}

void taken_free(struct taken *taken)
{
	if (taken) {
		pthread_mutex_destroy(&taken->lock);
		free(taken->slot);
		free(taken);
	}
}

/* The file's slot, or the empty one where it belongs. */
static struct slot *find(struct slot *slot, size_t slots, uint64_t dev, uint64_t ino)
{
	const uint64_t key[] = {dev, ino};
	size_t at = XXH3_64bits(key, sizeof key) & (slots - 1);
	while (slot[at].output && (slot[at].dev != dev || slot[at].ino != ino)) {
		at = (at + 1) & (slots - 1);
	}
	return &slot[at];
}

static bool grow(struct taken *taken)
{
	size_t slots = taken->slots ? taken->slots * 2 : FIRST_SLOTS;
	struct slot *slot = calloc(slots, sizeof *slot);
	if (!slot) {
		return false;
	}
	for (size_t i = 0; i < taken->slots; i++) {
		const struct slot *old = &taken->slot[i];
		if (old->output) {
			*find(slot, slots, old->dev, old->ino) = *old;
		}
	}
	free(taken->slot);
	taken->slot = slot;
	taken->slots = slots;
	return true;
}

int taken_add(struct taken *taken, uint64_t dev, uint64_t ino, const char *relative)
{
	uint64_t output = XXH3_64bits(relative, strlen(relative)) | 1;
	int result = -ENOMEM;
	pthread_mutex_lock(&taken->lock);
	if (taken->used * 2 < taken->slots || grow(taken)) {
		struct slot *slot = find(taken->slot, taken->slots, dev, ino);
		if (!slot->output) {
			*slot = (struct slot){dev, ino, output};
			taken->used++;
		}
		CHECK(taken->used * 2 <= taken->slots);
		result = slot->output == output;
	}
	pthread_mutex_unlock(&taken->lock);
	return result;
}
