/* Directories whose totals become known only when the parts of a walk are merged. */
#include "op/unfinished.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/check.h"

/* The slot of the directory, or the free one where it belongs. */
static uint32_t *find_slot(const struct unfinished *u, uint32_t root, const char *path, size_t len)
{
	size_t at = (size_t)XXH3_64bits_withSeed(path, len, root) & (u->slot_count - 1);
	while (u->slots[at]) {
		const struct unfinished_dir *there = &u->dirs[u->slots[at] - 1];
		if (there->root == root && there->path_len == len &&
		        memcmp(there->path, path, len) == 0) {
			break;
		}
		at = (at + 1) & (u->slot_count - 1);
	}
	return &u->slots[at];
}

static bool index_all(struct unfinished *u, size_t slot_count)
{
	uint32_t *slots = calloc(slot_count, sizeof *slots);
	if (!slots) {
		return false;
	}
	free(u->slots);
	u->slots = slots;
	u->slot_count = slot_count;
	for (size_t i = 0; i < u->count; i++) {
		const struct unfinished_dir *dir = &u->dirs[i];
		*find_slot(u, dir->root, dir->path, dir->path_len) = (uint32_t)i + 1;
	}
	return true;
}

static bool make_room(struct unfinished *u)
{
	if (u->count == UINT32_MAX - 1) {
		return false;
	}
	if (u->count == u->cap) {
		size_t cap = u->cap ? u->cap * 2 : 32;
		struct unfinished_dir *list = reallocarray(u->dirs, cap, sizeof *list);
		if (!list) {
			return false;
		}
		u->dirs = list;
		u->cap = cap;
	}
	bool room = (u->count + 1) * 4 <= u->slot_count * 3;
	return room || index_all(u, u->slot_count ? u->slot_count * 2 : 64);
}

static void sums_add(struct unfinished_sums *to, const struct unfinished_sums *sums)
{
	to->files += sums->files;
	to->directories += sums->directories;
	to->apparent += sums->apparent;
	to->allocated += sums->allocated;
}

bool unfinished_add(struct unfinished *u, const struct unfinished_dir *dir)
{
	CHECK(dir->path_len > 0 && dir->path[dir->path_len - 1] == '/');
	CHECK(dir->shared || dir->uncharged);
	if (!make_room(u)) {
		return false;
	}
	uint32_t *slot = find_slot(u, dir->root, dir->path, dir->path_len);
	if (*slot) {
		struct unfinished_dir *known = &u->dirs[*slot - 1];
		uint64_t uncharged = known->uncharged + dir->uncharged;
		sums_add(&known->sums, &dir->sums);
		known->shared = known->shared || dir->shared;
		known->uncharged = uncharged < dir->uncharged ? UINT64_MAX : uncharged;
		return true;
	}
	struct unfinished_dir copy = *dir;
	copy.path = malloc(dir->path_len);
	if (!copy.path) {
		return false;
	}
	memcpy(copy.path, dir->path, dir->path_len);
	u->dirs[u->count++] = copy;
	*slot = (uint32_t)u->count;
	return true;
}

bool unfinished_merge(struct unfinished *into, const struct unfinished *from)
{
	for (size_t i = 0; i < from->count; i++) {
		if (!unfinished_add(into, &from->dirs[i])) {
			return false;
		}
	}
	return true;
}

struct unfinished_dir *unfinished_find(
        const struct unfinished *u, uint32_t root, const char *path, size_t len)
{
	uint32_t slot = u->slot_count ? *find_slot(u, root, path, len) : 0;
	return slot ? &u->dirs[slot - 1] : NULL;
}

struct unfinished_dir *unfinished_parent(
        const struct unfinished *u, const struct unfinished_dir *dir)
{
	if (dir->depth == 0) {
		return NULL;
	}
	size_t len = dir->path_len - 1;
	while (len > 0 && dir->path[len - 1] != '/') {
		len--;
	}
	return unfinished_find(u, dir->root, dir->path, len);
}

void unfinished_prune(struct unfinished *u, const struct top *largest, uint64_t depth)
{
	size_t kept = 0;
	for (size_t i = 0; i < u->count; i++) {
		struct unfinished_dir *dir = &u->dirs[i];
		if (unfinished_wanted(dir, largest, depth)) {
			u->dirs[kept++] = *dir;
		} else {
			free(dir->path);
		}
	}
	bool pruned = kept < u->count;
	u->count = kept;
	if (pruned) {
		memset(u->slots, 0, u->slot_count * sizeof *u->slots);
		for (size_t i = 0; i < kept; i++) {
			const struct unfinished_dir *dir = &u->dirs[i];
			*find_slot(u, dir->root, dir->path, dir->path_len) = (uint32_t)i + 1;
		}
	}
}

static int deepest_first(const void *a, const void *b)
{
	const struct unfinished_dir *x = a, *y = b;
	return (x->depth < y->depth) - (x->depth > y->depth);
}

bool unfinished_fold(struct unfinished *u)
{
	if (u->count == 0) {
		return true;
	}
	qsort(u->dirs, u->count, sizeof *u->dirs, deepest_first);
	if (!index_all(u, u->slot_count)) {
		return false;
	}
	for (size_t i = 0; i < u->count; i++) {
		const struct unfinished_dir *dir = &u->dirs[i];
		struct unfinished_dir *parent = dir->shared ? unfinished_parent(u, dir) : NULL;
		if (parent) {
			CHECK(parent->depth + 1 == dir->depth);
			sums_add(&parent->sums, &dir->sums);
		}
	}
	return true;
}

void unfinished_pack(const struct unfinished *u, struct buf *out)
{
	pack_u64(out, u->count);
	for (size_t i = 0; i < u->count; i++) {
		const struct unfinished_dir *dir = &u->dirs[i];
		pack_u64(out, dir->root);
		pack_u64(out, dir->depth);
		pack_bytes(out, dir->path, dir->path_len);
		pack_u64(out, dir->shared);
		pack_u64(out, dir->uncharged);
		pack_u64(out, dir->sums.files);
		pack_u64(out, dir->sums.directories);
		pack_u128(out, dir->sums.apparent);
		pack_u128(out, dir->sums.allocated);
	}
}

/* A root's path has its length, and below it there is one component more per step. */
static bool is_path(const struct unfinished_dir *dir, const size_t *root_len, size_t roots)
{
	if (dir->root >= roots || dir->path_len < root_len[dir->root] ||
	        dir->path[dir->path_len - 1] != '/') {
		return false;
	}
	uint32_t depth = 0;
	for (size_t at = root_len[dir->root]; at < dir->path_len; at++) {
		depth += dir->path[at] == '/';
	}
	return depth == dir->depth;
}

static bool unpack_dir(struct unpack *in, struct unfinished_dir *dir)
{
	*dir = (struct unfinished_dir){.root = unpack_u32(in)};
	dir->depth = unpack_u32(in);
	dir->path = (char *)(uintptr_t)unpack_bytes(in, &dir->path_len);
	dir->shared = unpack_bool(in);
	dir->uncharged = unpack_u64(in);
	dir->sums.files = unpack_u64(in);
	dir->sums.directories = unpack_u64(in);
	dir->sums.apparent = unpack_u128(in);
	dir->sums.allocated = unpack_u128(in);
	return !in->failed;
}

bool unfinished_unpack(
        struct unfinished *u, struct unpack *in, const size_t *root_len, size_t roots)
{
	bool added = true;
	for (size_t count = unpack_count(in); count > 0 && added; count--) {
		struct unfinished_dir dir;
		if (!unpack_dir(in, &dir)) {
			break;
		}
		if (!is_path(&dir, root_len, roots) || !(dir.shared || dir.uncharged)) {
			in->failed = true;
			break;
		}
		added = unfinished_add(u, &dir);
	}
	return added;
}

void unfinished_release(struct unfinished *u)
{
	for (size_t i = 0; i < u->count; i++) {
		free(u->dirs[i].path);
	}
	free(u->dirs);
	free(u->slots);
	*u = (struct unfinished){0};
}
