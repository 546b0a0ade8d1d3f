/*
 * The beginnings of one part of a walk that is split, with the directories above them.
 *
 * The directories above a beginning are opened one by one from their root, as the whole walk would,
 * and live as long as something below them does. Beginnings are taken in the order of their
 * components, so one chain of directories leads to all that lie below one of them.
 */
#include "walk/walk_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"

/* The directories above a beginning, by depth, and why one could not be opened. */
struct chain {
	struct walk_dir **dir;
	int *error;
	size_t count, cap;
};

/* One more directory at the end of the chain, opened if those above could be. */
static bool push(
        struct walk_thread *t, struct chain *chain, uint32_t root, const char *name, size_t len)
{
	if (chain->count == chain->cap) {
		size_t cap = chain->cap ? chain->cap * 2 : 16;
		struct walk_dir **dir = reallocarray(chain->dir, cap, sizeof *dir);
		chain->dir = dir ? dir : chain->dir;
		int *error = dir ? reallocarray(chain->error, cap, sizeof *error) : NULL;
		chain->error = error ? error : chain->error;
		if (!error) {
			return false;
		}
		chain->cap = cap;
	}
	struct walk_dir *above = chain->count ? chain->dir[chain->count - 1] : NULL;
	struct walk_dir *dir = above ? dir_new(t, above, name, len) : item_new_root(t, root);
	if (!dir) {
		return false;
	}
	dir->is_shared = true;
	int error = 0;
	if (above) {
		walk_dir_hold(above);
		atomic_fetch_add(&above->needed, 1);
		error = chain->error[chain->count - 1];
		error = error ? error : dir_open(t, dir);
		dir_unneed(t, above);
	} else {
		struct file_meta meta;
		char *file = NULL;
		int handle = item_open_root(t, dir, &meta, &file);
		error = handle < 0 ? handle : file ? -ENOTDIR : 0;
		atomic_store(&dir->needed, handle < 0 ? 1 : atomic_load(&dir->needed));
		free(file);
	}
	chain->dir[chain->count] = dir;
	chain->error[chain->count++] = error;
	return true;
}

static void pop(struct walk_thread *t, struct chain *chain)
{
	CHECK(chain->count > 0);
	struct walk_dir *dir = chain->dir[--chain->count];
	dir_unneed(t, dir);
	walk_dir_drop(t, dir);
}

/* Is the chain's directory at that depth the one that the place lies in? */
static bool same(
        const struct chain *chain, size_t depth, uint32_t root, const char *name, size_t len)
{
	if (depth >= chain->count) {
		return false;
	}
	const struct walk_dir *dir = chain->dir[depth];
	return depth == 0 ? dir->root == root
	                  : dir->name_len == len && memcmp(walk_dir_name(dir), name, len) == 0;
}

/* The chain of directories above the place; returns the last component, or NULL: no memory. */
static const char *lead_to(struct walk_thread *t, struct chain *chain, const struct walk_place *at)
{
	const char *name = "", *rest = at->path;
	size_t len = 0;
	for (size_t depth = 0;; depth++) {
		if (!same(chain, depth, at->root, name, len)) {
			while (chain->count > depth) {
				pop(t, chain);
			}
			if (!push(t, chain, at->root, name, len)) {
				return NULL;
			}
		}
		name = rest;
		len = strcspn(name, "/");
		if (!name[len]) {
			while (chain->count > depth + 1) {
				pop(t, chain);
			}
			return name;
		}
		rest = name + len + 1;
	}
}

/* As walk_unlisted(), for a place that has no directory yet. */
static void lost(struct walk_thread *t, const char *path)
{
	const struct record error = {.type = RECORD_ERROR,
	        .op = "list",
	        .dir = "",
	        .name = path,
	        .name_len = strlen(path),
	        .errnum = ENOMEM};
	walk_unread(t, &error);
}

static void begin_at(struct walk_thread *t, struct chain *chain, const struct walk_place *at)
{
	const char *name = lead_to(t, chain, at);
	struct walk_dir *above = name ? chain->dir[chain->count - 1] : NULL;
	struct walk_dir *dir = above ? dir_new(t, above, name, strlen(name)) : NULL;
	if (!dir) {
		lost(t, at->path);
		return;
	}
	int error = chain->error[chain->count - 1];
	void *item = dir;
	dir->is_shared = true;
	walk_dir_hold(above);
	atomic_fetch_add(&above->needed, 1);
	queue_added(t, 1);
	if (error || !deque_push(&t->deque, &item, 1)) {
		if (error != -EXDEV) {
			walk_unlisted(t, dir, "open", error ? -error : ENOMEM);
		} else {
			tally_add(&t->tallies.unentered, 1);
		}
		queue_abandon(t, dir);
		queue_finished(t);
	}
}

void part_begin(struct walk_thread *t)
{
	const struct part *part = t->walk->part;
	struct chain chain = {0};
	for (size_t i = 0; i < part->begin_count; i++) {
		if (part->begin[i].at.path[0]) {
			begin_at(t, &chain, &part->begin[i].at);
		}
	}
	while (chain.count > 0) {
		pop(t, &chain);
	}
	free(chain.dir);
	free(chain.error);
}
