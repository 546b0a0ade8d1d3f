#include "op/links.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS 64u

struct shard {
	_Alignas(128) pthread_mutex_t lock;
	struct link *slots; /* open addressing, a power of two, at most 3/4 full */
	size_t count, cap;
};

struct links {
	struct shard shard[SHARDS];
};

/* splitmix64's finaliser (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

struct links *links_new(void)
{
	struct links *links = aligned_alloc(128, sizeof *links);
	if (links) {
		memset(links, 0, sizeof *links);
		for (unsigned i = 0; i < SHARDS; i++) {
			pthread_mutex_init(&links->shard[i].lock, NULL);
		}
	}
	return links;
}

static struct link *slot_for(
        struct link *slots, size_t cap, uint64_t dev, uint64_t ino, uint64_t hash)
{
	size_t at = (size_t)(hash >> 6) & (cap - 1);
	while (slots[at].dir && (slots[at].ino != ino || slots[at].dev != dev)) {
		at = (at + 1) & (cap - 1);
	}
	return &slots[at];
}

static bool make_room(struct shard *shard)
{
	if ((shard->count + 1) * 4 <= shard->cap * 3) {
		return true;
	}
	size_t cap = shard->cap ? shard->cap * 2 : 16;
	struct link *slots = calloc(cap, sizeof *slots);
	if (!slots) {
		return false;
	}
	for (size_t i = 0; i < shard->cap; i++) {
		const struct link *old = &shard->slots[i];
		if (old->dir) {
			*slot_for(slots, cap, old->dev, old->ino, mix(old->ino ^ mix(old->dev))) =
			        *old;
		}
	}
	free(shard->slots);
	shard->slots = slots;
	shard->cap = cap;
	return true;
}

int links_add(struct links *links, const struct walk_entry *entry)
{
	const struct file_meta *meta = entry->meta;
	uint64_t hash = mix(meta->ino ^ mix(meta->dev));
	struct shard *shard = &links->shard[hash % SHARDS];
	struct walk_dir *dropped = NULL;
	int result = 0;
	pthread_mutex_lock(&shard->lock);
	struct link *link = make_room(shard)
	                            ? slot_for(shard->slots, shard->cap, meta->dev, meta->ino, hash)
	                            : NULL;
	bool first = link && !link->dir;
	if (link &&
	        (first || walk_path_compare(entry->dir, entry->name, link->dir, link->name) < 0)) {
		char *name = strdup(entry->name);
		if (name) {
			dropped = link->dir;
			free(link->name);
			walk_dir_hold(entry->dir);
			*link = (struct link){meta->dev, meta->ino, entry->dir, name, meta->size,
			        meta->allocated, meta->mtime};
			shard->count += first;
			result = first;
		} else {
			result = VEGA_NOMEM;
		}
	} else if (!link) {
		result = VEGA_NOMEM;
	}
	pthread_mutex_unlock(&shard->lock);
	walk_dir_drop(entry->thread, dropped);
	return result;
}

void links_settle(struct links *links, struct walk_thread *first,
        void (*charge)(void *context, struct walk_thread *first, const struct link *link),
        void *context)
{
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *shard = &links->shard[i];
		for (size_t at = 0; at < shard->cap; at++) {
			struct link *link = &shard->slots[at];
			if (link->dir) {
				charge(context, first, link);
				walk_dir_drop(first, link->dir);
				free(link->name);
				link->dir = NULL;
			}
		}
	}
}

void links_free(struct links *links)
{
	if (!links) {
		return;
	}
	for (unsigned i = 0; i < SHARDS; i++) {
		free(links->shard[i].slots);
		pthread_mutex_destroy(&links->shard[i].lock);
	}
	free(links);
}
