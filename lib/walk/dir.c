/*
 * Live directories and their handles.
 *
 * A handle is open while something needs it: the listing itself, children not yet opened, chunks.
 * Under pressure the handles of far ancestors are closed early (evicted), with (dev, ino) noted,
 * and opened again from the nearest open ancestor when a child needs them. A root's handle is never
 * evicted, so there always is one.
 *
 * `handle` holds pins << 32 | handle + 1 in one word, so that a handle can be used and be kept from
 * eviction by one addition, without a lock:
 *
 *   0x00000000_00000000   closed               0x00000000_00000006   handle 5, open
 *   0x00000001_00000006   in use by one        0x00000002_00000000   two wait for it to be reopened
 *
 * Whoever pins also has a need, so the last need (which takes the word to 0 and closes) never meets
 * a pin. An eviction gains a need, pins, and takes the word from "one pin, its own" to 0 by compare
 * and swap, so it fails if anyone else has pinned meanwhile:
 *
 *       user                  evictor                       word
 *                             pins                          1 pin, handle 5
 *       pins, gets handle 5                                 2 pins, handle 5
 *                             1 pin, 5 → 0: fails           2 pins, handle 5
 *                             unpins                        1 pin, handle 5
 *
 *       user                  evictor                       word
 *                             pins                          1 pin, handle 5
 *                             1 pin, 5 → 0, closes 5        0
 *       pins, gets none                                     1 pin, none
 *       reopens, installs 7 beside its pin                  1 pin, handle 7
 *
 * Reopening and evicting take reopen_lock, so two do not reopen one directory; install() leaves the
 * pins of those who wait in place.
 */
#include "walk/walk_internal.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define PIN ((uint64_t)1 << 32)

/* How often, a millisecond apart, an opening waits for others to close their handles. */
#define HANDLE_TRIES 1000u

static inline int word_handle(uint64_t word)
{
	return (int)(uint32_t)word - 1;
}

struct walk_dir *dir_new(
        struct walk_thread *t, struct walk_dir *parent, const char *name, size_t len)
{
	size_t data = (t->walk->config.dir_data_size + 15) & ~(size_t)15;
	struct walk_dir *dir = malloc(sizeof *dir + data + len + 1);
	if (!dir) {
		return NULL;
	}
	*dir = (struct walk_dir){
	        .parent = parent,
	        .serial = (uint64_t)(t->index + 1) << 48 | ++t->last_serial,
	        .name_len = (uint32_t)len,
	        .data_size = data,
	};
	CHECK(!parent || atomic_load(&parent->refs) > 0);
	bool slash = parent || len == 0 || name[len - 1] != '/';
	dir->path_len = (parent ? parent->path_len : 0) + (uint32_t)(len + slash);
	if (parent) {
		dir->tree = parent->tree;
		dir->depth = parent->depth + 1;
		dir->root = parent->root;
	}
	atomic_init(&dir->refs, 1);
	atomic_init(&dir->needed, 1);
	atomic_init(&dir->handle, 0);
	memset(dir->data, 0, data);
	memcpy(dir->data + data, name, len);
	dir->data[data + len] = '\0';
	return dir;
}

/* The shared count is only told every 16 changes. */
static void count_handles(struct walk_thread *t, long change)
{
	t->handle_delta += change;
	if (t->handle_delta >= 16 || t->handle_delta <= -16) {
		atomic_fetch_add_explicit(&t->walk->handles, t->handle_delta, memory_order_relaxed);
		t->handle_delta = 0;
	}
}

static bool over_budget(struct walk_thread *t)
{
	return atomic_load_explicit(&t->walk->handles, memory_order_relaxed) + t->handle_delta >=
	       t->walk->handle_budget;
}

static void close_handle(struct walk_thread *t, struct walk_dir *dir, int handle)
{
	dir->tree->backend->close(dir->tree, handle);
	count_handles(t, -1);
}

void dir_identify(struct walk_dir *dir, const struct file_meta *meta)
{
	bool known = meta->have & META_IDENTITY;
	dir->dev = known ? meta->dev : 0;
	dir->ino = known ? meta->ino : 0;
}

/* Is what was opened what the directory was, as far as that can be known? */
static bool is_still(const struct walk_dir *dir, const struct file_meta *meta)
{
	return !dir->ino || (meta->ino == dir->ino && meta->dev == dir->dev);
}

void dir_set_handle(struct walk_thread *t, struct walk_dir *dir, int handle)
{
	uint64_t word = atomic_fetch_add(&dir->handle, (uint64_t)(uint32_t)handle + 1);
	CHECK(handle >= 0 && word_handle(word) < 0);
	(void)word;
	count_handles(t, 1);
}

void dir_unpin(struct walk_dir *dir)
{
	uint64_t word = atomic_fetch_sub_explicit(&dir->handle, PIN, memory_order_release);
	CHECK(word >= PIN);
	(void)word;
}

/* A further need, unless there is none left (the handle is closed, or about to be). */
static bool need_if_needed(struct walk_dir *dir)
{
	unsigned now = atomic_load(&dir->needed);
	while (now > 0) {
		if (atomic_compare_exchange_weak(&dir->needed, &now, now + 1)) {
			return true;
		}
	}
	return false;
}

/* Install a reopened handle; false when somebody was faster. */
static bool install(struct walk_thread *t, struct walk_dir *dir, int handle)
{
	uint64_t word = atomic_load(&dir->handle);
	do {
		if (word_handle(word) >= 0) {
			return false;
		}
	} while (!atomic_compare_exchange_weak(
	        &dir->handle, &word, (word & ~(uint64_t)UINT32_MAX) | ((uint32_t)handle + 1u)));
	count_handles(t, 1);
	return true;
}

void dir_unneed(struct walk_thread *t, struct walk_dir *dir)
{
	unsigned needed = atomic_fetch_sub(&dir->needed, 1);
	CHECK(needed > 0);
	if (needed == 1) {
		uint64_t word = atomic_exchange(&dir->handle, 0);
		CHECK(word < PIN);
		if (word_handle(word) >= 0) {
			close_handle(t, dir, word_handle(word));
		}
	}
}

/* Close dir's handle unless it is in use, having noted what it was. */
static bool evict(struct walk_thread *t, struct walk_dir *dir)
{
	if (!need_if_needed(dir)) {
		return false;
	}
	bool evicted = false;
	uint64_t word = atomic_fetch_add(&dir->handle, PIN);
	int handle = word_handle(word);
	struct file_meta meta;
	if (handle >= 0 && dir->tree->backend->stat_handle(dir->tree, handle, &meta) == 0) {
		dir_identify(dir, &meta);
		uint64_t alone = PIN | (uint32_t)word;
		evicted = atomic_compare_exchange_strong(&dir->handle, &alone, 0);
	}
	if (evicted) {
		close_handle(t, dir, handle);
		atomic_store_explicit(&t->walk->tight, true, memory_order_relaxed);
	} else {
		dir_unpin(dir);
	}
	dir_unneed(t, dir);
	return evicted;
}

/*
 * Close handles of dir's ancestors, but not those of the nearest, which are needed soonest, and of
 * a few at regular depths, from which the others can be reached again; unless that frees nothing.
 * Half the budget comes free, so the way up is walked once in many openings. With reopen_lock held.
 */
static bool relieve_locked(struct walk_thread *t, struct walk_dir *dir)
{
	long quarter = t->walk->handle_budget / 4;
	uint32_t stride = 64;
	while (dir->depth / stride > quarter) {
		stride *= 2;
	}
	bool freed = false;
	for (int pass = 0; pass < 2 && !freed; pass++) {
		long keep = pass ? 0 : quarter;
		for (struct walk_dir *a = dir->parent; a && a->parent; a = a->parent) {
			if (word_handle(atomic_load(&a->handle)) < 0 || keep-- > 0) {
				continue;
			}
			if (pass || a->depth % stride) {
				freed = evict(t, a) || freed;
			}
		}
	}
	return freed;
}

/* Whoever has it may be in a call that is not answered. */
void dir_lock_reopening(struct walk *walk)
{
	fs_wait_begin();
	pthread_mutex_lock(&walk->reopen_lock);
	fs_wait_end();
}

static bool relieve(struct walk_thread *t, struct walk_dir *dir)
{
	dir_lock_reopening(t->walk);
	bool freed = relieve_locked(t, dir);
	pthread_mutex_unlock(&t->walk->reopen_lock);
	return freed;
}

/* open_dir, making room when descriptors run out. Others may be about to close theirs: wait a
 * little. */
static int open_child(struct walk_thread *t, struct walk_dir *parent, int handle, const char *name,
        struct file_meta *meta)
{
	if (over_budget(t)) {
		relieve(t, parent);
	}
	int opened = parent->tree->backend->open_dir(parent->tree, handle, name, meta);
	if (opened == -EMFILE || opened == -ENFILE) {
		dir_drop_anchor(t);
		opened = parent->tree->backend->open_dir(parent->tree, handle, name, meta);
	}
	for (unsigned try = 0; (opened == -EMFILE || opened == -ENFILE) && try < HANDLE_TRIES;
	        try++) {
		if (!relieve(t, parent)) {
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		}
		opened = parent->tree->backend->open_dir(parent->tree, handle, name, meta);
	}
	return opened;
}

/* One step down of reopen(): the handle of `dir`, checked to be the directory that it was. */
static int step_down(struct walk_thread *t, struct walk_dir *dir, int above)
{
	struct file_meta meta;
	int handle = dir->tree->backend->open_dir(dir->tree, above, walk_dir_name(dir), &meta);
	for (unsigned try = 0; (handle == -EMFILE || handle == -ENFILE) && try < HANDLE_TRIES;
	        try++) {
		if (!relieve_locked(t, dir)) {
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		}
		handle = dir->tree->backend->open_dir(dir->tree, above, walk_dir_name(dir), &meta);
	}
	if (handle >= 0 && !is_still(dir, &meta)) {
		dir->tree->backend->close(dir->tree, handle);
		return -ESTALE;
	}
	return handle;
}

/* The nearest ancestor with an open handle, pinned and needed. There is one: roots stay open. */
static struct walk_dir *open_ancestor(struct walk_thread *t, struct walk_dir *dir, int *handle)
{
	for (struct walk_dir *a = dir->parent;; a = a->parent) {
		CHECK(a != NULL);
		if (!need_if_needed(a)) {
			continue;
		}
		*handle = word_handle(atomic_fetch_add(&a->handle, PIN));
		if (*handle >= 0) {
			return a;
		}
		dir_unpin(a);
		dir_unneed(t, a);
	}
}

/* Open dir again, coming down from its nearest open ancestor. */
static int reopen_from_above(struct walk_thread *t, struct walk_dir *dir)
{
	int above;
	struct walk_dir *base = open_ancestor(t, dir, &above);
	struct walk_dir *held = base; /* whom `above` belongs to; NULL: to this function */
	size_t levels = dir->depth - base->depth;
	struct walk_dir **way = calloc(levels, sizeof *way);
	int result = way ? 0 : -ENOMEM;
	size_t at = levels;
	for (struct walk_dir *d = dir; way && d != base; d = d->parent) {
		way[--at] = d;
	}
	for (at = 0; result >= 0 && at < levels; at++) {
		struct walk_dir *next = way[at];
		result = step_down(t, next, above);
		if (held && held != base) {
			dir_unneed(t, held);
		} else if (!held) {
			dir->tree->backend->close(dir->tree, above);
		}
		held = NULL;
		above = result;
		/* Those on the way that are needed as well keep their new handles. */
		bool keep = result >= 0 && (next == dir || !over_budget(t)) && need_if_needed(next);
		if (keep && install(t, next, above)) {
			held = next;
		} else if (keep) {
			dir_unneed(t, next);
		}
	}
	if (held && held != base) {
		dir_unneed(t, held);
	}
	free(way);
	dir_unpin(base);
	dir_unneed(t, base);
	return result < 0 ? result : 0;
}

/*
 * Open dir again, going up from the directory that this thread listed last. Depth first,
 * that is a few steps, however deep the tree. What is found is compared with what dir was. Best
 * effort.
 */
static bool reopen_from_below(struct walk_thread *t, struct walk_dir *dir)
{
	struct walk_dir *below = t->anchor;
	struct fs_tree *tree = dir->tree;
	if (!tree->backend->open_parent || !below || !dir->ino || below->depth <= dir->depth ||
	        below->depth - dir->depth > 256) {
		return false;
	}
	while (below->depth > dir->depth) {
		below = below->parent;
	}
	if (below != dir) {
		return false;
	}
	struct file_meta meta;
	uint32_t steps = t->anchor->depth - dir->depth;
	int from = word_handle(atomic_load(&t->anchor->handle)), handle = from;
	for (uint32_t i = 0; i < steps && handle >= 0; i++) {
		int up = tree->backend->open_parent(tree, handle, i + 1 == steps ? &meta : NULL);
		if (handle != from) {
			tree->backend->close(tree, handle);
		}
		handle = up;
	}
	if (handle < 0) {
		return false;
	}
	if (!is_still(dir, &meta) || !install(t, dir, handle)) {
		tree->backend->close(tree, handle);
		return false;
	}
	return true;
}

void dir_drop_anchor(struct walk_thread *t)
{
	struct walk_dir *dir = t->anchor;
	t->anchor = NULL;
	if (dir) {
		dir_unpin(dir);
		dir_unneed(t, dir);
		walk_dir_drop(t, dir);
	}
}

int dir_pin(struct walk_thread *t, struct walk_dir *dir)
{
	int handle =
	        word_handle(atomic_fetch_add_explicit(&dir->handle, PIN, memory_order_acquire));
	if (handle >= 0) {
		return handle;
	}
	dir_lock_reopening(t->walk);
	int error = 0;
	if (word_handle(atomic_load(&dir->handle)) < 0) {
		error = reopen_from_below(t, dir) ? 0 : reopen_from_above(t, dir);
	}
	handle = word_handle(atomic_load(&dir->handle));
	pthread_mutex_unlock(&t->walk->reopen_lock);
	if (error) {
		dir_unpin(dir);
		return error;
	}
	return handle;
}

int dir_open(struct walk_thread *t, struct walk_dir *dir)
{
	struct walk_dir *parent = dir->parent;
	int above = dir_pin(t, parent);
	if (above < 0) {
		return above;
	}
	bool same_only = t->walk->spec->one_file_system;
	struct file_meta meta;
	int handle = open_child(t, parent, above, walk_dir_name(dir), same_only ? &meta : NULL);
	dir_unpin(parent);
	if (handle < 0) {
		return handle;
	}
	if (same_only) {
		dir_identify(dir, &meta);
		dir->dev = meta.have & META_IDENTITY ? dir->dev : parent->dev;
		if (dir->dev != parent->dev) {
			dir->tree->backend->close(dir->tree, handle);
			return -EXDEV;
		}
	}
	dir_set_handle(t, dir, handle);
	return 0;
}

void walk_dir_hold(struct walk_dir *dir)
{
	unsigned refs = atomic_fetch_add_explicit(&dir->refs, 1, memory_order_relaxed);
	CHECK(refs > 0);
	(void)refs;
}

void walk_dir_drop(struct walk_thread *t, struct walk_dir *dir)
{
	while (dir && atomic_fetch_sub_explicit(&dir->refs, 1, memory_order_acq_rel) == 1) {
		struct walk_dir *parent = dir->parent;
		t->at = t->at == dir ? NULL : t->at;
		if (t->walk->config.visitor->leave) {
			t->walk->config.visitor->leave(t->context, dir);
		}
		uint64_t word = atomic_load(&dir->handle);
		CHECK(word < PIN);
		CHECK(atomic_load(&dir->needed) <= (parent ? 0 : 1)); /* a root's: see items.c */
		if (word_handle(word) >= 0) {
			close_handle(t, dir, word_handle(word));
		}
		free(dir);
		dir = parent;
	}
}
