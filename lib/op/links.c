/*
 * An inode is a record of bytes: its link written as varints (LEB128, signed ones in zigzag), and
 * its name. Records lie in blocks, and a table finds them: open addressing, 4 bytes that say where,
 * and 1 of the hash, so that a probe seldom needs to look at a record.
 */
#include "op/links.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/pack.h"

#define SHARDS 64u
#define BLOCK ((size_t)16 << 10)
#define NUMBERS_MAX 100u /* bytes of a record before its name: ten numbers */
#define SPARE_MAX 128u   /* longer records that were given up are not used again */

struct shard {
	_Alignas(128) pthread_mutex_t lock;
	uint32_t *place; /* of each slot's record: block * BLOCK + offset */
	uint8_t *tag;    /* of each slot; 0: free */
	size_t count, cap;
	uint8_t **block;
	size_t block_count, block_cap, used; /* bytes of the last block */
	uint32_t *spare; /* by length, place + 1 of a record given up, which begins with the next */
	uintptr_t base;  /* a directory's address: records say how far theirs is from it */
	uint64_t *dev;   /* the devices seen: records hold an index */
	size_t dev_count, dev_last;
};

struct links {
	struct shard shard[SHARDS];
	bool counts; /* names are counted */
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

struct links *links_new(bool counts)
{
	struct links *links = aligned_alloc(128, sizeof *links);
	if (links) {
		memset(links, 0, sizeof *links);
		links->counts = counts;
		for (unsigned i = 0; i < SHARDS; i++) {
			pthread_mutex_init(&links->shard[i].lock, NULL);
		}
	}
	return links;
}

/* The index of a device, or SIZE_MAX. Entries of one directory mostly share theirs. */
static size_t find_device(struct shard *shard, uint64_t dev)
{
	if (shard->dev_count && shard->dev[shard->dev_last] == dev) {
		return shard->dev_last;
	}
	for (size_t i = 0; i < shard->dev_count; i++) {
		if (shard->dev[i] == dev) {
			shard->dev_last = i;
			return i;
		}
	}
	return SIZE_MAX;
}

/* Of a new device, too; SIZE_MAX: no memory. */
static size_t device_index(struct shard *shard, uint64_t dev)
{
	size_t at = find_device(shard, dev);
	if (at != SIZE_MAX) {
		return at;
	}
	uint64_t *list = reallocarray(shard->dev, shard->dev_count + 1, sizeof *list);
	if (!list) {
		return SIZE_MAX;
	}
	shard->dev = list;
	shard->dev[shard->dev_count] = dev;
	shard->dev_last = shard->dev_count;
	return shard->dev_count++;
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

/* A small number in the room of a larger one: so that it can grow in its place. */
static uint8_t *put_padded(uint8_t *at, uint64_t value, uint64_t largest)
{
	for (; largest >= 0x80; largest >>= 7, value >>= 7) {
		*at++ = (uint8_t)(value | 0x80);
	}
	*at++ = (uint8_t)value;
	return at;
}

/* In units of their alignment. */
static int64_t distance(const struct shard *shard, const struct walk_dir *dir)
{
	return (int64_t)((uintptr_t)dir - shard->base) / (int64_t) _Alignof(struct walk_dir);
}

/* Of one name of an inode: how many were seen, at most as many as it has. */
static uint8_t *put_counts(uint8_t *at, const struct link *link)
{
	uint32_t seen = link->seen < link->nlink ? link->seen : link->nlink;
	return put_padded(pack_number(at, link->nlink), seen, link->nlink);
}

static size_t encode_numbers(
        const struct links *links, struct shard *shard, const struct link *link, uint8_t *out)
{
	uint8_t *at = pack_number(out, find_device(shard, link->dev));
	at = pack_number(at, link->ino);
	at = links->counts ? put_counts(at, link) : at;
	at = pack_number(at, pack_zigzag(distance(shard, link->dir)));
	at = pack_number(at, link->size);
	at = pack_number(at, link->allocated);
	at = pack_number(at, pack_zigzag(link->mtime.sec));
	at = pack_number(at, link->mtime.nsec);
	at = pack_number(at, link->uid);
	CHECK(at <= out + NUMBERS_MAX);
	return (size_t)(at - out);
}

/* Its device as an index. Returns where the rest begins. */
static const uint8_t *decode_key(const uint8_t *record, uint64_t *dev, uint64_t *ino)
{
	return get(get(record, dev), ino);
}

/* Returns its length. */
static size_t decode(const struct links *links, const struct shard *shard, const uint8_t *record,
        struct link *link)
{
	uint64_t dev, nlink = 0, seen = 0, away, sec, nsec, uid;
	const uint8_t *at = decode_key(record, &dev, &link->ino);
	at = links->counts ? get(get(at, &nlink), &seen) : at;
	at = get(at, &away);
	at = get(get(at, &link->size), &link->allocated);
	at = get(get(get(at, &sec), &nsec), &uid);
	uintptr_t dir = shard->base + (uintptr_t)unpack_zigzag(away) * _Alignof(struct walk_dir);
	CHECK(dev < shard->dev_count);
	link->dev = shard->dev[dev];
	link->nlink = (uint32_t)nlink;
	link->seen = (uint32_t)seen;
	link->dir = (struct walk_dir *)dir;
	link->mtime.sec = unpack_zigzag(sec);
	link->mtime.nsec = (uint32_t)nsec;
	link->uid = (uint32_t)uid;
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

/* Of a hash whose low bits chose the shard and the tag. */
static size_t first_slot(uint64_t hash, size_t cap)
{
	return (size_t)((hash >> 32) * cap >> 32);
}

/* The inode's slot, or the free one where it belongs; dev is an index. */
static size_t find_slot(const struct shard *shard, uint64_t hash, uint64_t dev, uint64_t ino)
{
	size_t at = first_slot(hash, shard->cap);
	for (uint8_t tag = tag_of(hash); shard->tag[at]; at = at + 1 < shard->cap ? at + 1 : 0) {
		uint64_t its_dev, its_ino;
		if (shard->tag[at] != tag) {
			continue;
		}
		decode_key(record_at(shard, shard->place[at]), &its_dev, &its_ino);
		if (its_ino == ino && its_dev == dev) {
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
		uint64_t dev, ino;
		if (!old.tag[i]) {
			continue;
		}
		decode_key(record_at(shard, old.place[i]), &dev, &ino);
		size_t at = first_slot(hash_of(shard->dev[dev], ino), cap);
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
static bool set_record(const struct links *links, struct shard *shard, size_t slot,
        const struct link *link, size_t old_len)
{
	uint8_t numbers[NUMBERS_MAX];
	size_t head = encode_numbers(links, shard, link, numbers), name = strlen(link->name) + 1;
	uint32_t old = shard->place[slot], place = old;
	bool moved = head + name != old_len;
	if (moved && !record_new(shard, head + name, &place)) {
		return false;
	}
	memcpy(record_at(shard, place), numbers, head);
	memmove(record_at(shard, place) + head, link->name, name);
	if (moved && old_len) {
		record_give_up(shard, old_len, old);
	}
	shard->place[slot] = place;
	return true;
}

/* `old`, whose record lies in the slot, has one more name, which is not the least: mostly, the
 * count changes in its place. */
static int count_name(struct links *links, struct shard *shard, size_t slot, struct link *old,
        const struct link *further, size_t old_len)
{
	uint64_t dev, ino;
	old->seen += further->seen;
	if (further->nlink > old->nlink) {
		old->nlink = further->nlink;
		return set_record(links, shard, slot, old, old_len) ? 0 : VEGA_NOMEM;
	}
	uint8_t *record = record_at(shard, shard->place[slot]);
	put_counts(record + (decode_key(record, &dev, &ino) - record), old);
	return 0;
}

/* By path; of one that several roots show, the first root's. */
static bool is_less(const struct link *a, const struct link *b)
{
	int order = walk_path_compare(a->dir, a->name, b->dir, b->name);
	return order ? order < 0 : a->dir->root < b->dir->root;
}

/* As links_add(), with the lock held. `dropped` is a directory that is not held any more. */
static int add_locked(struct links *links, struct shard *shard, uint64_t hash, struct link *link,
        struct walk_dir **dropped)
{
	size_t dev = device_index(shard, link->dev);
	if (dev == SIZE_MAX || !make_room(shard)) {
		return VEGA_NOMEM;
	}
	struct link old = {0};
	size_t slot = find_slot(shard, hash, dev, link->ino), old_len = 0;
	bool first = !shard->tag[slot];
	if (first && !shard->base) {
		shard->base = (uintptr_t)link->dir;
	}
	if (!first) {
		old_len = decode(links, shard, record_at(shard, shard->place[slot]), &old);
		if (!is_less(link, &old)) {
			return links->counts ? count_name(links, shard, slot, &old, link, old_len)
			                     : 0;
		}
		link->seen += old.seen;
		link->nlink = link->nlink > old.nlink ? link->nlink : old.nlink;
	}
	if (!set_record(links, shard, slot, link, old_len)) {
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
	struct link link = {
	        .dev = meta->dev,
	        .ino = meta->ino,
	        .nlink = meta->nlink,
	        .seen = 1,
	        .dir = entry->dir,
	        .name = entry->name,
	        .size = meta->size,
	        .allocated = meta->allocated,
	        .mtime = meta->mtime,
	        .uid = meta->uid,
	};
	uint64_t hash = hash_of(meta->dev, meta->ino);
	struct shard *shard = &links->shard[hash % SHARDS];
	struct walk_dir *dropped = NULL;
	pthread_mutex_lock(&shard->lock);
	int result = add_locked(links, shard, hash, &link, &dropped);
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
				decode(links, shard, record_at(shard, shard->place[at]), &link);
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
		free(shard->dev);
		pthread_mutex_destroy(&shard->lock);
	}
	free(links);
}
