/*
 * Entries that were held back are gone over again.
 *
 * A held directory's root is still open, so its own handle can be had again. But nothing needs it
 * any more, nor those on the way to it: each thread puts a need of its own on the directory that it
 * is at and on the nearest ancestors, so that a neighbour is a step away. Everywhere else a need is
 * only added to one that there is; here the first one is put and the last one taken, and both are
 * done under reopen_lock, as all that dir_pin() does: otherwise a handle could be closed that
 * somebody has just found open.
 */
#include "walk/walk_internal.h"

#include "base/check.h"

#define TAKEN 4u  /* at once, of slow entries: more would leave others without work in the end */
#define NEARBY 32 /* ancestors */

struct again {
	struct walk *walk;
	const struct walk_again *source;
	pthread_mutex_t lock; /* of next() */
	bool ended;
	struct walk_held first[TAKEN]; /* of the first thread */
	unsigned first_count;
};

/* Where a thread is. */
struct place {
	struct walk_dir *dir; /* NULL: nowhere */
	int handle;           /* pinned; or -errno */
};

static unsigned take(struct again *again, struct walk_held *held)
{
	unsigned count = 0;
	pthread_mutex_lock(&again->lock);
	while (count < TAKEN && !again->ended) {
		again->ended = !again->source->next(again->source->context, &held[count]);
		count += !again->ended;
	}
	pthread_mutex_unlock(&again->lock);
	return count;
}

static void need(struct walk_thread *t, struct walk_dir *dir)
{
	dir_lock_reopening(t->walk);
	for (int i = 0; dir && i <= NEARBY; i++) {
		atomic_fetch_add(&dir->needed, 1);
		dir = dir->parent;
	}
	pthread_mutex_unlock(&t->walk->reopen_lock);
}

static void unneed(struct walk_thread *t, struct walk_dir *dir)
{
	dir_lock_reopening(t->walk);
	for (int i = 0; dir && i <= NEARBY; i++) {
		dir_unneed(t, dir);
		dir = dir->parent;
	}
	pthread_mutex_unlock(&t->walk->reopen_lock);
}

/* The next place's needs come before those of the one before go: they share ancestors. */
static void move(struct walk_thread *t, struct place *place, struct walk_dir *dir)
{
	struct place before = *place;
	if (before.dir == dir) {
		return;
	}
	*place = (struct place){.dir = dir};
	if (dir) {
		CHECK(atomic_load(&dir->refs) > 0);
		need(t, dir);
		place->handle = dir_pin(t, dir);
	}
	if (before.dir) {
		if (before.handle >= 0) {
			dir_unpin(before.dir);
		}
		unneed(t, before.dir);
	}
}

/* It was reported: that it fails now takes it back. */
static void show(struct walk_thread *t, struct again *again, const struct walk_held *held,
        const struct place *place)
{
	bool known = held->meta.have & META_IDENTITY;
	t->entry = (struct walk_entry){.thread = t,
	        .dir = held->dir,
	        .dir_handle = place->handle,
	        .name = held->name,
	        .name_len = (uint32_t)strlen(held->name),
	        .depth = held->dir->depth + !held->dir->is_file_root,
	        .is_root = held->dir->is_file_root,
	        .type = FILE_REGULAR,
	        .meta = &held->meta,
	        .ino = known ? held->meta.ino : 0,
	        .tag = held->tag};
	t->entry_error = false;
	if (held->dir->tree->caps & FS_ONCE) {
		walk_error(&t->entry, "open", 0, "its content could be read only once");
	} else if (place->handle < 0) {
		walk_error(&t->entry, "open", -place->handle, NULL);
	} else {
		again->source->entry(t->context, &t->entry);
	}
	if (t->entry_error) {
		tally_add(&t->tallies.reported, (uint64_t)-1);
		tally_add(&t->tallies.errors, 1);
	}
	again->walk->config.visitor->breathe(t->context);
}

static void work(struct walk_thread *t, void *context)
{
	struct again *again = context;
	struct walk_held held[TAKEN];
	struct place place = {0};
	unsigned count = 0;
	if (t->index == 0) {
		count = again->first_count;
		memcpy(held, again->first, count * sizeof *held);
	}
	while (!walk_stopping(again->walk) && (count > 0 || (count = take(again, held)) > 0)) {
		for (unsigned i = 0; i < count && !walk_stopping(again->walk); i++) {
			t->at = held[i].dir;
			move(t, &place, held[i].dir);
			show(t, again, &held[i], &place);
		}
		count = 0;
	}
	t->at = NULL;
	move(t, &place, NULL);
	again->walk->config.visitor->idle(t->context);
}

bool walk_again(struct walk *walk, const struct walk_again *source)
{
	struct again again = {.walk = walk, .source = source, .lock = PTHREAD_MUTEX_INITIALIZER};
	again.first_count = take(&again, again.first);
	bool alone = again.first_count < 2;
	unsigned threads =
	        source->threads < walk->config.threads ? source->threads : walk->config.threads;
	if (again.first_count > 0) {
		threads_each(walk, alone ? 1 : threads, work, &again);
	}
	pthread_mutex_destroy(&again.lock);
	return !walk_stopping(walk);
}
