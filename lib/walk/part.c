/*
 * One part of a walk that is split: where it begins, with the directories above, and where it is
 * cut.
 *
 * The directories above a beginning are opened one by one from their root, as the whole walk would,
 * and live as long as something below them does. Beginnings are taken in the order of their
 * components, so one chain of directories leads to all that lie below one of them.
 */
#include "walk/walk_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"

/* A beginning or a cut; its index in struct walk_part. */
struct place {
	struct walk_place at;
	size_t index;
};

struct part {
	struct place *begin, *cut; /* in order */
	size_t begin_count, cut_count;
	atomic_bool *met; /* by the index of the cut */
};

/* The directories above a beginning, by depth, and why one could not be opened. */
struct chain {
	struct walk_dir **dir;
	int *error;
	size_t count, cap;
};

/* In the order of components: what is below a directory follows it at once. */
static int by_place(const void *a, const void *b)
{
	const struct walk_place *x = &((const struct place *)a)->at;
	const struct walk_place *y = &((const struct place *)b)->at;
	const unsigned char *one = (const unsigned char *)x->path;
	const unsigned char *other = (const unsigned char *)y->path;
	if (x->root != y->root) {
		return x->root < y->root ? -1 : 1;
	}
	while (*one && *one == *other) {
		one++;
		other++;
	}
	int rank = *one == '/' ? 1 : *one ? *one + 1 : 0;
	return rank - (*other == '/' ? 1 : *other ? *other + 1 : 0);
}

/* Components that are names, as a listing gives them. */
static bool is_relative(const char *path)
{
	while (*path) {
		size_t len = strcspn(path, "/");
		bool dots = path[0] == '.' && (len == 1 || (len == 2 && path[1] == '.'));
		if (len == 0 || dots || (path[len] && !path[len + 1])) {
			return false;
		}
		path += len + (path[len] != 0);
	}
	return true;
}

/* Copies the places in order, each but once; the paths stay the caller's. */
static int copy_places(const struct walk *walk, const struct walk_place *from, size_t *count,
        struct place **to, struct vega_error *err)
{
	*to = calloc(*count + 1, sizeof **to);
	if (!*to) {
		return vega_fail_nomem(err);
	}
	for (size_t i = 0; i < *count; i++) {
		(*to)[i] = (struct place){from[i], i};
		if (from[i].root >= walk->spec->roots.count || !is_relative(from[i].path)) {
			return vega_fail(err, VEGA_USAGE, "a part of the walk has no such place");
		}
	}
	qsort(*to, *count, sizeof **to, by_place);
	for (size_t i = 1; i < *count; i++) {
		if (by_place(&(*to)[i - 1], &(*to)[i]) == 0) {
			return vega_fail(err, VEGA_USAGE, "a part of the walk names a place twice");
		}
	}
	return 0;
}

static bool begins_at_root(const struct part *part, uint32_t root)
{
	const struct place sought = {{root, ""}, 0};
	return bsearch(&sought, part->begin, part->begin_count, sizeof sought, by_place) != NULL;
}

/* Of the roots of the whole walk, those that the part begins at. */
static int choose_roots(struct walk *walk, struct vega_error *err)
{
	struct strlist kept = {0};
	bool copied = true;
	for (size_t i = 0; i < walk->roots.count; i++) {
		uint32_t root = walk->root_index[i];
		walk->root_chosen[root] = true;
		if (begins_at_root(walk->part, root)) {
			walk->root_index[kept.count] = root;
			copied = copied && strlist_add(&kept, walk->roots.items[i]);
		}
	}
	walk->roots_chosen = walk->roots.count;
	strlist_release(&walk->roots);
	walk->roots = kept;
	return copied ? 0 : vega_fail_nomem(err);
}

int part_new(struct walk *walk, struct vega_error *err)
{
	const struct walk_part *wanted = walk->config.part;
	walk->root_chosen = calloc(walk->spec->roots.count + 1, sizeof *walk->root_chosen);
	walk->part = calloc(1, sizeof *walk->part);
	if (!walk->root_chosen || !walk->part) {
		return vega_fail_nomem(err);
	}
	struct part *part = walk->part;
	part->begin_count = wanted->begin_count;
	part->cut_count = wanted->cut_count;
	part->met = calloc(part->cut_count + 1, sizeof *part->met);
	int code = part->met ? 0 : vega_fail_nomem(err);
	code = code ? code
	            : copy_places(walk, wanted->begin, &part->begin_count, &part->begin, err);
	code = code ? code : copy_places(walk, wanted->cut, &part->cut_count, &part->cut, err);
	return code ? code : choose_roots(walk, err);
}

void part_free(struct part *part)
{
	if (part) {
		free(part->begin);
		free(part->cut);
		free(part->met);
		free(part);
	}
}

size_t walk_roots_chosen(const struct walk *walk)
{
	return walk->roots_chosen;
}

bool walk_root_chosen(const struct walk *walk, uint32_t root)
{
	return walk->root_chosen[root];
}

bool walk_part_met(const struct walk *walk, size_t cut)
{
	return atomic_load_explicit(&walk->part->met[cut], memory_order_relaxed);
}

bool part_cuts(struct walk_thread *t, const struct walk_entry *entry)
{
	struct part *part = t->walk->part;
	size_t len;
	if (entry->dir->tree->caps & FS_STREAM) {
		return false; /* a stream has one beginning */
	}
	const char *path = part->cut_count ? walk_entry_relative(entry, &len) : "";
	if (!path) {
		walk_unlisted(t, entry->self, "list", ENOMEM);
		queue_abandon(t, entry->self);
		return true;
	}
	const struct place sought = {{entry->dir->root, path}, 0};
	const struct place *cut =
	        bsearch(&sought, part->cut, part->cut_count, sizeof sought, by_place);
	if (cut) {
		atomic_store_explicit(&part->met[cut->index], true, memory_order_relaxed);
		entry->self->is_shared = true;
		queue_abandon(t, entry->self);
	}
	return cut != NULL;
}

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
