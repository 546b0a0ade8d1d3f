/*
 * An inode is a record of bytes: its link written as varints (LEB128, signed ones in zigzag), and
 * its name. Records lie in blocks, and a table finds them: open addressing, 4 bytes that say where,
 * and 1 of the hash, so that a probe seldom needs to look at a record.
 */
#include "op/links.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS 64u
#define BLOCK ((size_t)16 << 10)
#define NUMBERS_MAX 70u /* bytes of a record before its name: seven varints */
#define SPARE_MAX 128u  /* longer records that were given up are not used again */

struct shard {
	_Alignas(128) pthread_mutex_t lock;
	uint32_t *place; /* of each slot's record: block * BLOCK + offset */
	uint8_t *tag;    /* of each slot; 0: free */
	size_t count, cap;
	uint8_t **block;
	size_t block_count, block_cap, used; /* bytes of the last block */
	uint32_t *spare; /* by length, place + 1 of a record given up, which begins with the next */
	uintptr_t base;  /* a directory's address: records say how far theirs is from it */
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

static uint64_t hash_of(uint64_t dev, uint64_t ino)
{
	return mix(ino ^ mix(dev));
}

static uint8_t tag_of(uint64_t hash)
{
	uint8_t tag = (uint8_t)(hash >> 8);
	return tag ? tag : 1;
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

/* --- Records ------------------------------------------------------------------------------------
 */

static uint8_t *put(uint8_t *at, uint64_t value)
{
	while (value >= 0x80) {
		*at++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*at++ = (uint8_t)value;
	return at;
}

static const uint8_t *get(const uint8_t *at, uint64_t *value)
{
	unsigned shift = 0;
	for (*value = 0; *at & 0x80; shift += 7) {
		*value |= (uint64_t)(*at++ & 0x7f) << shift;
	}
	*value |= (uint64_t)*at++ << shift;
	return at;
}

static uint64_t zigzag(int64_t value)
{
	return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
}

static int64_t unzigzag(uint64_t value)
{
	return (int64_t)(value >> 1 ^ (value & 1 ? UINT64_MAX : 0));
}

/* In units of their alignment. */
static int64_t distance(const struct shard *shard, const struct walk_dir *dir)
{
	return (int64_t)((uintptr_t)dir - shard->base) / (int64_t) _Alignof(struct walk_dir);
}

static size_t encode_numbers(const struct shard *shard, const struct link *link, uint8_t *out)
{
	uint8_t *at = put(out, link->dev);
	at = put(at, link->ino);
	at = put(at, zigzag(distance(shard, link->dir)));
	at = put(at, link->size);
	at = put(at, link->allocated);
	at = put(at, zigzag(link->mtime.sec));
	at = put(at, link->mtime.nsec);
	return (size_t)(at - out);
}

static const uint8_t *decode_key(const uint8_t *record, struct link *link)
{
	return get(get(record, &link->dev), &link->ino);
}

/* Returns its length. */
static size_t decode(const struct shard *shard, const uint8_t *record, struct link *link)
{
	uint64_t away, sec, nsec;
	const uint8_t *at = get(decode_key(record, link), &away);
	at = get(get(at, &link->size), &link->allocated);
	at = get(get(at, &sec), &nsec);
	uintptr_t dir = shard->base + (uintptr_t)unzigzag(away) * _Alignof(struct walk_dir);
	link->dir = (struct walk_dir *)dir;
	link->mtime.sec = unzigzag(sec);
	link->mtime.nsec = (uint32_t)nsec;
	link->name = (const char *)at;
	return (size_t)(at - record) + strlen(link->name) + 1;
}

static uint8_t *record_at(const struct shard *shard, uint32_t place)
{
	return shard->block[place / BLOCK] + place % BLOCK;
}

static bool add_block(struct shard *shard)
{
	if (shard->block_count == shard->block_cap) {
		size_t cap = shard->block_cap ? shard->block_cap * 2 : 4;
		uint8_t **list = reallocarray(shard->block, cap, sizeof *list);
		if (!list) {
			return false;
		}
		shard->block = list;
		shard->block_cap = cap;
	}
	uint8_t *block = shard->block_count < UINT32_MAX / BLOCK ? malloc(BLOCK) : NULL;
	if (block) {
		shard->block[shard->block_count++] = block;
		shard->used = 0;
	}
	return block != NULL;
}

/* Room for a record of that length. */
static bool record_new(struct shard *shard, size_t len, uint32_t *place)
{
	if (shard->spare && len < SPARE_MAX && shard->spare[len]) {
		*place = shard->spare[len] - 1;
		memcpy(&shard->spare[len], record_at(shard, *place), sizeof *shard->spare);
		return true;
	}
	bool room = shard->block_count && BLOCK - shard->used >= len;
	if (len > BLOCK || (!room && !add_block(shard))) {
		return false;
	}
	*place = (uint32_t)((shard->block_count - 1) * BLOCK + shard->used);
	shard->used += len;
	return true;
}

static void record_give_up(struct shard *shard, size_t len, uint32_t place)
{
	if (!shard->spare) {
		shard->spare = calloc(SPARE_MAX, sizeof *shard->spare);
	}
	if (shard->spare && len < SPARE_MAX) {
		memcpy(record_at(shard, place), &shard->spare[len], sizeof *shard->spare);
		shard->spare[len] = place + 1;
	}
}

/* --- The table ----------------------------------------------------------------------------------
 */

/* Of a hash whose low bits chose the shard and the tag. */
static size_t first_slot(uint64_t hash, size_t cap)
{
	return (size_t)((hash >> 32) * cap >> 32);
}

/* The inode's slot, or the free one where it belongs. */
static size_t find_slot(const struct shard *shard, uint64_t hash, uint64_t dev, uint64_t ino)
{
	size_t at = first_slot(hash, shard->cap);
	for (uint8_t tag = tag_of(hash); shard->tag[at]; at = at + 1 < shard->cap ? at + 1 : 0) {
		struct link link;
		if (shard->tag[at] != tag) {
			continue;
		}
		decode_key(record_at(shard, shard->place[at]), &link);
		if (link.ino == ino && link.dev == dev) {
			break;
		}
	}
	return at;
}

/* At most 7/8 full, and half as large again when it is. */
static bool make_room(struct shard *shard)
{
	if ((shard->count + 1) * 8 <= shard->cap * 7) {
		return true;
	}
	struct shard old = *shard;
	size_t cap = old.cap ? old.cap + old.cap / 2 : 16;
	uint32_t *memory = calloc(cap, sizeof *shard->place + sizeof *shard->tag);
	if (!memory) {
		return false;
	}
	shard->place = memory;
	shard->tag = (uint8_t *)(memory + cap);
	shard->cap = cap;
	for (size_t i = 0; i < old.cap; i++) {
		struct link link;
		if (!old.tag[i]) {
			continue;
		}
		decode_key(record_at(shard, old.place[i]), &link);
		size_t at = first_slot(hash_of(link.dev, link.ino), cap);
		while (shard->tag[at]) {
			at = at + 1 < cap ? at + 1 : 0;
		}
		shard->tag[at] = old.tag[i];
		shard->place[at] = old.place[i];
	}
	free(old.place);
	return true;
}

/* Put the link's record into a slot, in place of the one there, if there is one (old_len > 0). */
static bool set_record(struct shard *shard, size_t slot, const struct link *link, size_t old_len)
{
	uint8_t numbers[NUMBERS_MAX];
	size_t head = encode_numbers(shard, link, numbers), name = strlen(link->name) + 1;
	uint32_t place = shard->place[slot];
	if (head + name != old_len) {
		if (!record_new(shard, head + name, &place)) {
			return false;
		}
		if (old_len) {
			record_give_up(shard, old_len, shard->place[slot]);
		}
	}
	memcpy(record_at(shard, place), numbers, head);
	memcpy(record_at(shard, place) + head, link->name, name);
	shard->place[slot] = place;
	return true;
}

/* As links_add(), with the lock held. `dropped` is a directory that is not held any more. */
static int add_locked(
        struct shard *shard, uint64_t hash, const struct link *link, struct walk_dir **dropped)
{
	if (!make_room(shard)) {
		return VEGA_NOMEM;
	}
	struct link old = {0};
	size_t slot = find_slot(shard, hash, link->dev, link->ino), old_len = 0;
	bool first = !shard->tag[slot];
	if (first && !shard->base) {
		shard->base = (uintptr_t)link->dir;
	}
	if (!first) {
		old_len = decode(shard, record_at(shard, shard->place[slot]), &old);
		if (walk_path_compare(link->dir, link->name, old.dir, old.name) >= 0) {
			return 0;
		}
	}
	if (!set_record(shard, slot, link, old_len)) {
		return VEGA_NOMEM;
	}
	walk_dir_hold(link->dir);
	*dropped = old.dir;
	shard->tag[slot] = tag_of(hash);
	shard->count += first;
	return first;
}

int links_add(struct links *links, const struct walk_entry *entry)
{
	const struct file_meta *meta = entry->meta;
	const struct link link = {meta->dev, meta->ino, entry->dir, entry->name, meta->size,
	        meta->allocated, meta->mtime};
	uint64_t hash = hash_of(meta->dev, meta->ino);
	struct shard *shard = &links->shard[hash % SHARDS];
	struct walk_dir *dropped = NULL;
	pthread_mutex_lock(&shard->lock);
	int result = add_locked(shard, hash, &link, &dropped);
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
			if (shard->tag[at]) {
				struct link link;
				decode(shard, record_at(shard, shard->place[at]), &link);
				shard->tag[at] = 0;
				charge(context, first, &link);
				walk_dir_drop(first, link.dir);
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
		struct shard *shard = &links->shard[i];
		for (size_t at = 0; at < shard->block_count; at++) {
			free(shard->block[at]);
		}
		free(shard->block);
		free(shard->place);
		free(shard->spare);
		pthread_mutex_destroy(&shard->lock);
	}
	free(links);
}
