/* What the files of walk/ share. */
#ifndef VEGA_WALK_INTERNAL_H
#define VEGA_WALK_INTERNAL_H

#include <pthread.h>

#include "base/buf.h"
#include "base/ignore.h"
#include "walk/deque.h"
#include "walk/predicate.h"
#include "walk/walk.h"

/* A cache line, twice: adjacent-line prefetch pairs them on x86. */
#define WALK_PADDING 128

/* Written by its thread alone, read by anyone: plain stores, no locked instruction, no sharing. */
typedef atomic_uint_fast64_t tally;

static inline void tally_add(tally *t, uint64_t n)
{
	uint64_t now = atomic_load_explicit(t, memory_order_relaxed);
	atomic_store_explicit(t, now + n, memory_order_relaxed);
}

struct walk_thread {
	_Alignas(WALK_PADDING) struct deque deque;

	_Alignas(WALK_PADDING) tally entries;
	tally reported, filtered, errors;
	struct walk *walk;
	void *context;
	unsigned index;
	unsigned random;   /* victim choice */
	bool entry_error;  /* walk_error() was called for the current entry */
	long handle_delta; /* opened minus closed, not yet added to walk->handles */
	uint64_t last_serial;
	struct walk_dir **suspended; /* listings put off until the backlog is gone */
	size_t suspended_count, suspended_cap;
	struct fs_cursor cursor, probe; /* probe: for --empty on directories */
	struct fs_batch *batch;
	struct predicate_scratch *scratch;
	struct walk_entry entry;
	struct buf path; /* of the last directory asked for, ending in '/', then perhaps a name */
	uint64_t *chain; /* serials of that directory and its ancestors, by depth */
	size_t chain_len, chain_cap;
	struct walk_dir *anchor; /* when handles are short: the last directory listed, still open */
	void *children[FS_BATCH];
};

struct walk {
	struct walk_config config;
	const struct spec *spec;
	struct predicates *predicates;
	struct ignore *ignore;
	const struct strlist *allowed;
	struct strlist roots; /* without those that lie within another */
	unsigned *root_index; /* of each in spec.roots */
	unsigned want;
	bool filters; /* anything but "every entry" */
	struct walk_thread *threads;
	unsigned thread_count;
	bool serial; /* before the team was formed */
	bool incomplete;

	_Alignas(WALK_PADDING)
	        atomic_size_t outstanding; /* items queued or being worked on, and roots */
	_Alignas(WALK_PADDING) atomic_size_t next_root;
	_Alignas(WALK_PADDING) atomic_uint idle;
	_Alignas(WALK_PADDING) atomic_long handles; /* open directories, to within 16 a thread */
	atomic_bool tight;           /* handles were evicted */
	long handle_budget;
	pthread_mutex_t park_lock;
	pthread_cond_t park;
	pthread_mutex_t reopen_lock;
};

/* dir.c */

/* refs and needed are 1: its own listing. NULL: no memory. */
struct walk_dir *dir_new(
        struct walk_thread *t, struct walk_dir *parent, const char *name, size_t len);

/* Open for listing, from its parent's handle. 0 or -errno; -EXDEV: on another file system, with -x.
 */
int dir_open(struct walk_thread *t, struct walk_dir *dir);

/* Takes over an open handle (a root's). */
void dir_set_handle(struct walk_thread *t, struct walk_dir *dir, int handle);

/* The handle, reopened if it had to be closed; it stays open until dir_unpin(). Or -errno. */
int dir_pin(struct walk_thread *t, struct walk_dir *dir);
void dir_unpin(struct walk_dir *dir);

/* One need less; the last one closes the handle. */
void dir_unneed(struct walk_thread *t, struct walk_dir *dir);

/* Let go of t->anchor, if there is one: what it still needs of a directory that was listed. */
void dir_drop_anchor(struct walk_thread *t);

/* roots.c */

/* Fills walk->roots. A root that is, or lies in, another one given is dropped: it would be walked
 * twice. */
int walk_choose_roots(struct walk *walk, struct vega_error *err);

#endif
