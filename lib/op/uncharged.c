/* Inodes whose names lie in several parts of a walk, until all parts are there. */
#include "op/uncharged.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/check.h"

void file_system_key(uint64_t dev, struct buf *key)
{
	buf_clear(key);
	pack_u64(key, dev);
}

int64_t uncharged_file_system(struct uncharged *u, const void *key, size_t len)
{
	for (size_t i = 0; i < u->file_system_count; i++) {
		const struct file_system *known = &u->file_systems[i];
		if (known->len == len && memcmp(known->key, key, len) == 0) {
			return (int64_t)i;
		}
	}
	struct file_system *list =
	        reallocarray(u->file_systems, u->file_system_count + 1, sizeof *list);
	if (!list) {
		return -1;
	}
	u->file_systems = list;
	char *copy = malloc(len + 1);
	if (!copy) {
		return -1;
	}
	memcpy(copy, key, len);
	list[u->file_system_count] = (struct file_system){copy, len};
	return (int64_t)u->file_system_count++;
}

static size_t hash_of(const struct uncharged_inode *inode)
{
	uint64_t key[] = {inode->file_system, inode->ino};
	return (size_t)XXH3_64bits(key, sizeof key);
}

/* The slot of the inode, or the free one where it belongs. */
static uint32_t *find_slot(const struct uncharged *u, const struct uncharged_inode *inode)
{
	size_t at = hash_of(inode) & (u->slot_count - 1);
	while (u->slots[at]) {
		const struct uncharged_inode *there = &u->inodes[u->slots[at] - 1];
		if (there->ino == inode->ino && there->file_system == inode->file_system) {
			break;
		}
		at = (at + 1) & (u->slot_count - 1);
	}
	return &u->slots[at];
}

static bool grow_slots(struct uncharged *u)
{
	size_t count = u->slot_count ? u->slot_count * 2 : 64;
	uint32_t *slots = calloc(count, sizeof *slots);
	if (!slots) {
		return false;
	}
	free(u->slots);
	u->slots = slots;
	u->slot_count = count;
	for (size_t i = 0; i < u->count; i++) {
		*find_slot(u, &u->inodes[i]) = (uint32_t)i + 1;
	}
	return true;
}

static bool make_room(struct uncharged *u)
{
	if (u->count == UINT32_MAX - 1) {
		return false;
	}
	if (u->count == u->cap) {
		size_t cap = u->cap ? u->cap * 2 : 32;
		struct uncharged_inode *list = reallocarray(u->inodes, cap, sizeof *list);
		if (!list) {
			return false;
		}
		u->inodes = list;
		u->cap = cap;
	}
	return (u->count + 1) * 4 <= u->slot_count * 3 || grow_slots(u);
}

/* Path and name in one piece of memory: the name of most is the end of its path. */
static bool copy_names(struct uncharged_inode *copy, const struct uncharged_inode *inode)
{
	size_t extra = inode->is_root ? inode->name_len : 0;
	char *memory = malloc(inode->path_len + extra + 1);
	if (!memory) {
		return false;
	}
	memcpy(memory, inode->path, inode->path_len);
	memcpy(memory + inode->path_len, inode->name, extra);
	copy->path = memory;
	copy->name = memory + inode->path_len + extra - inode->name_len;
	return true;
}

static int compare_paths(const struct uncharged_inode *a, const struct uncharged_inode *b)
{
	size_t len = a->path_len < b->path_len ? a->path_len : b->path_len;
	int order = memcmp(a->path, b->path, len);
	order = order ? order : (a->path_len > b->path_len) - (a->path_len < b->path_len);
	/* Of one that several roots show, the first root's. */
	return order ? order : (a->root > b->root) - (a->root < b->root);
}

/* The counts of both, and all else of the one with the lesser path. */
static bool join(struct uncharged_inode *known, const struct uncharged_inode *inode)
{
	struct uncharged_inode joined = *known;
	if (compare_paths(inode, known) < 0) {
		joined = *inode;
		if (!copy_names(&joined, inode)) {
			return false;
		}
		free(known->path);
	}
	joined.nlink = known->nlink > inode->nlink ? known->nlink : inode->nlink;
	joined.seen = known->seen + inode->seen;
	*known = joined;
	return true;
}

bool uncharged_add(struct uncharged *u, const struct uncharged_inode *inode)
{
	CHECK(inode->file_system < u->file_system_count);
	CHECK(inode->name_len <= inode->path_len || inode->is_root);
	if (!make_room(u)) {
		return false;
	}
	uint32_t *slot = find_slot(u, inode);
	if (*slot) {
		return join(&u->inodes[*slot - 1], inode);
	}
	struct uncharged_inode copy = *inode;
	if (!copy_names(&copy, inode)) {
		return false;
	}
	u->inodes[u->count++] = copy;
	*slot = (uint32_t)u->count;
	return true;
}

bool uncharged_merge(struct uncharged *into, const struct uncharged *from)
{
	for (size_t i = 0; i < from->count; i++) {
		struct uncharged_inode inode = from->inodes[i];
		const struct file_system *its = &from->file_systems[inode.file_system];
		int64_t index = uncharged_file_system(into, its->key, its->len);
		inode.file_system = (uint32_t)index;
		if (index < 0 || !uncharged_add(into, &inode)) {
			return false;
		}
	}
	return true;
}

void uncharged_pack(const struct uncharged *u, struct buf *out)
{
	pack_u64(out, u->file_system_count);
	for (size_t i = 0; i < u->file_system_count; i++) {
		pack_bytes(out, u->file_systems[i].key, u->file_systems[i].len);
	}
	pack_u64(out, u->count);
	for (size_t i = 0; i < u->count; i++) {
		const struct uncharged_inode *inode = &u->inodes[i];
		pack_u64(out, inode->file_system);
		pack_u64(out, inode->ino);
		pack_u64(out, inode->nlink);
		pack_u64(out, inode->seen);
		pack_u64(out, inode->size);
		pack_u64(out, inode->allocated);
		pack_time(out, inode->mtime);
		pack_u64(out, inode->uid);
		pack_u64(out, inode->root);
		pack_u64(out, inode->is_root);
		pack_bytes(out, inode->path, inode->path_len);
		if (inode->is_root) {
			pack_bytes(out, inode->name, inode->name_len);
		} else {
			pack_u64(out, inode->name_len);
		}
	}
}

static void unpack_names(struct unpack *in, struct uncharged_inode *inode)
{
	inode->path = (char *)(uintptr_t)unpack_bytes(in, &inode->path_len);
	if (inode->is_root) {
		inode->name = (char *)(uintptr_t)unpack_bytes(in, &inode->name_len);
		return;
	}
	inode->name_len = unpack_u64(in);
	if (in->failed || inode->name_len >= inode->path_len ||
	        inode->path[inode->path_len - inode->name_len - 1] != '/') {
		in->failed = true;
		return;
	}
	inode->name = inode->path + inode->path_len - inode->name_len;
	in->failed = memchr(inode->name, '/', inode->name_len) != NULL;
}

static bool unpack_inode(struct unpack *in, struct uncharged_inode *inode)
{
	*inode = (struct uncharged_inode){.file_system = unpack_u32(in)};
	inode->ino = unpack_u64(in);
	inode->nlink = unpack_u64(in);
	inode->seen = unpack_u64(in);
	inode->size = unpack_u64(in);
	inode->allocated = unpack_u64(in);
	inode->mtime = unpack_time(in);
	inode->uid = unpack_u32(in);
	inode->root = unpack_u32(in);
	inode->is_root = unpack_bool(in);
	unpack_names(in, inode);
	return !in->failed;
}

/* The reader's list of file systems, as indices of ours. NULL: no memory, or failed. */
static uint32_t *unpack_file_systems(struct uncharged *u, struct unpack *in, size_t *count)
{
	*count = unpack_count(in);
	uint32_t *index = calloc(*count + 1, sizeof *index);
	for (size_t i = 0; index && i < *count && !in->failed; i++) {
		size_t len;
		const char *key = unpack_bytes(in, &len);
		int64_t ours = key ? uncharged_file_system(u, key, len) : 0;
		if (ours < 0) {
			free(index);
			return NULL;
		}
		index[i] = (uint32_t)ours;
	}
	return index;
}

bool uncharged_unpack(struct uncharged *u, struct unpack *in, size_t roots)
{
	size_t file_systems;
	uint32_t *index = unpack_file_systems(u, in, &file_systems);
	bool added = index != NULL;
	for (size_t count = unpack_count(in); count > 0 && added; count--) {
		struct uncharged_inode inode;
		if (!unpack_inode(in, &inode)) {
			break;
		}
		if (inode.file_system >= file_systems || inode.root >= roots) {
			in->failed = true;
			break;
		}
		inode.file_system = index[inode.file_system];
		added = uncharged_add(u, &inode);
	}
	free(index);
	return added;
}

void uncharged_release(struct uncharged *u)
{
	for (size_t i = 0; i < u->count; i++) {
		free(u->inodes[i].path);
	}
	for (size_t i = 0; i < u->file_system_count; i++) {
		free(u->file_systems[i].key);
	}
	free(u->inodes);
	free(u->slots);
	free(u->file_systems);
	*u = (struct uncharged){0};
}
