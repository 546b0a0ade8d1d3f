/* What the files of walk/ share. */
#ifndef VEGA_WALK_INTERNAL_H
#define VEGA_WALK_INTERNAL_H

#include <pthread.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/ignore.h"
#include "fs/wait.h"
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

/* What a thread has counted; all of them together are the ledger. */
struct tallies {
	tally entries, reported, filtered, errors, left_out, unentered;
};

/* Where a thread is in the directory that it lists, and the listings that it has put off until
 * its backlog is gone. */
struct listing {
	struct fs_cursor cursor;
	struct fs_batch *batch;
	void **suspended; /* items */
	size_t suspended_count, suspended_cap;
	uint64_t parcelled; /* slow entries handed out */
};

/* The path of the last directory that was asked for, ending in '/', then perhaps a name. */
struct path_cache {
	struct buf path;
	uint64_t *chain; /* serials of that directory and its ancestors, by depth */
	size_t chain_len, chain_cap;
};

struct walk_thread {
	_Alignas(WALK_PADDING) struct deque deque;

	_Alignas(WALK_PADDING) struct tallies tallies;
	struct walk *walk;
	void *context;
	unsigned index;
	unsigned random;  /* victim choice */
	size_t finished;  /* items done, still in walk->outstanding */
	bool entry_error; /* walk_error() was called for the current entry */
	/* What it works on, and holds a reference to, but at the end of an item, where it calls no
	 * file system any more; NULL: nothing. */
	struct walk_dir *at;
	atomic_uint_fast64_t turns; /* see fs/wait.h */
	long handle_delta;          /* opened minus closed, not yet added to walk->handles */
	uint64_t last_serial;
	struct listing listing;
	struct path_cache paths;
	struct fs_cursor probe; /* for --empty on directories */
	struct predicate_scratch *scratch;
	struct walk_entry entry;
	struct walk_dir *anchor; /* when handles are short: the last directory listed, still open */
	void *children[FS_BATCH];
};

struct page_request;

/* Listings whose pages come later: see inbox.c. */
struct inbox {
	pthread_mutex_t lock;
	struct page_request *first, **last; /* whose pages have come, under the lock */
	atomic_size_t came;                 /* so many; changed under the lock */
	atomic_size_t asked;                /* pages that have not come */
	atomic_size_t delivering;           /* threads of trees in here */
	atomic_size_t listings, most;
	struct deque waiting; /* items for which there is no room: directories, opened or not */
};

struct walk {
	struct walk_config config;
	const struct spec *spec;
	struct predicates *predicates;
	struct ignore *ignore;
	const struct strlist *allowed;
	struct strlist roots; /* without those that lie within another; of a part, those that it
	                         begins at */
	unsigned *root_index; /* of each in spec.roots */
	struct part *part;    /* NULL: the whole walk */
	bool *root_chosen;    /* of a part: does the whole walk have it, of each of spec.roots? */
	size_t roots_chosen;  /* and how many it has */
	unsigned want;
	uint64_t descent;            /* levels below a root that are entered */
	bool filters;                /* anything but "every entry" */
	struct walk_thread *threads; /* room for config.threads */
	atomic_uint thread_count;    /* those that take part */
	unsigned started;            /* those before it are to be released */
	bool serial;                 /* before the team was formed */
	bool incomplete;

	_Alignas(WALK_PADDING)
	        atomic_size_t outstanding; /* items queued or being worked on, roots, and what each
	                                      thread has in `finished` */
	_Alignas(WALK_PADDING) atomic_size_t next_root;
	atomic_size_t unopened_roots;
	_Alignas(WALK_PADDING) struct inbox inbox;
	_Alignas(WALK_PADDING) atomic_uint_fast64_t look_ns; /* when threads_wanted() asks again */
	_Alignas(WALK_PADDING) atomic_uint idle;
	atomic_bool waking; /* a parked thread was signalled, and has not yet come */
	_Alignas(WALK_PADDING) atomic_long handles; /* open directories, to within 16 a thread */
	atomic_bool tight;                          /* handles were evicted */
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

/* Notes what the open directory is, if its tree knows. */
void dir_identify(struct walk_dir *dir, const struct file_meta *meta);

/* Takes over an open handle (a root's). */
void dir_set_handle(struct walk_thread *t, struct walk_dir *dir, int handle);

/* The handle, reopened if it had to be closed; it stays open until dir_unpin(). Or -errno. */
int dir_pin(struct walk_thread *t, struct walk_dir *dir);
void dir_unpin(struct walk_dir *dir);

/* One need less; the last one closes the handle. */
void dir_unneed(struct walk_thread *t, struct walk_dir *dir);

/* Take walk->reopen_lock. */
void dir_lock_reopening(struct walk *walk);

/* Let go of t->anchor, if there is one: what it still needs of a directory that was listed. */
void dir_drop_anchor(struct walk_thread *t);

/* roots.c */

/*
 * Fills walk->roots. A root that lies in another one given, and is walked with it, is dropped; one
 * that the other's walk leaves out (by an exclusion, the depth or the file system) is not.
 */
int walk_choose_roots(struct walk *walk, struct vega_error *err);

/* ledger.c */

/* What lies in a directory and could not be listed: it counts as one entry, and as one error. */
void walk_unlisted(struct walk_thread *t, const struct walk_dir *dir, const char *what, int errnum);

/* The same of anything that no visitor will see. */
void walk_unread(struct walk_thread *t, const struct record *error);

static inline uint64_t entries_so_far(const struct walk_thread *t)
{
	return atomic_load_explicit(&t->tallies.entries, memory_order_relaxed);
}

/* part.c */

/* A beginning or a cut; its index in struct walk_part. */
struct part_place {
	struct walk_place at;
	size_t index;
};

struct part {
	struct part_place *begin, *cut; /* in order */
	size_t begin_count, cut_count;
	atomic_bool *met; /* by the index of the cut */
};

/* Leaves those of walk->roots that the part begins at. */
int part_new(struct walk *walk, struct vega_error *err);
void part_free(struct part *part);

/* Is the part cut at entry->self? It is let go of then. */
bool part_cuts(struct walk_thread *t, const struct walk_entry *entry);

/* part_begin.c */

/* Queue the other beginnings, each below its chain of directories. Before the team is formed. */
void part_begin(struct walk_thread *t);

/* path.c */

/* See walk_dir_path(). */
const char *path_of_dir(struct path_cache *paths, const struct walk_dir *dir, size_t *len);
void path_cache_release(struct path_cache *paths);

/* The entry's whole path, behind its directory's in t->path; NUL-terminated. NULL: no memory. */
const char *walk_whole_path(const struct walk_entry *entry, size_t *len);

/* The last component, as find -name sees a root: without trailing slashes, "/" for "/". */
const char *walk_base_name(const char *path, size_t *len);

/* queue.c */

/*
 * What a queued item is, in the low bits of its pointer.
 *  ITEM_DIR: a directory to open and list.    ITEM_RESUME: an open one, whose listing goes on.
 *  ITEM_CHUNK: entries of one directory that were listed already.
 *  ITEM_PAGE: the same, as they came later; never in a deque, but in the inbox.
 *  ITEM_SOURCE: a stream that goes on (struct source).
 */
enum item_kind {
	ITEM_DIR,
	ITEM_RESUME,
	ITEM_CHUNK,
	ITEM_PAGE,
	ITEM_SOURCE,
	ITEM_KINDS = 7, /* a mask: what is allocated is aligned to 8 at least */
};

static inline void *item_tagged(void *item, enum item_kind kind)
{
	return (char *)item + kind;
}

static inline enum item_kind item_kind(void *item)
{
	return (enum item_kind)((uintptr_t)item & ITEM_KINDS);
}

static inline void *item_untagged(void *item)
{
	return (char *)item - item_kind(item);
}

/* Entries copied out of a listing, so that any thread can go on with them. */
struct chunk {
	struct walk_dir *dir; /* referenced and needed */
	unsigned count;
	struct file_meta *meta;
	struct fs_entry entry[];
};

/* queue_wake(), when there is more in the deque than its owner is about to take. */
void queue_offer(struct walk_thread *t);

/*
 * Wake a parked thread, unless one is on its way, which looks at all deques when it comes. So with
 * many more threads than work, few of them are woken for nothing: waking takes longer than most
 * directories do.
 */
void queue_wake(struct walk *walk);

/*
 * walk->outstanding is the one counter that all threads write, and its reaching 0 ends the walk. So
 * that a directory does not cost two turns of its cache line, a thread keeps what it has finished
 * to itself and sets it against what it adds, most of which is then free: only a directory with
 * more children than were finished since is told. What is left is settled before the thread looks
 * for work elsewhere, so 0 is reached by the last one to run dry, and not before: until then the
 * count is never too small.
 */
void queue_added(struct walk_thread *t, size_t count);
void queue_settle(struct walk_thread *t);

/* An item, or a root, less. */
static inline void queue_finished(struct walk_thread *t)
{
	t->finished++;
}

/* t->children[0…count-1]: what cannot be queued is reported as unlisted. */
void queue_children(struct walk_thread *t, size_t count);

/* Copy entries of dir for whoever takes them; false when they stay with the caller. */
bool queue_chunk(struct walk_thread *t, struct walk_dir *dir, const struct fs_entry *entry,
        const struct file_meta *meta, unsigned count);

/* A directory that will not be opened: it and what it holds on to are let go. */
void queue_abandon(struct walk_thread *t, struct walk_dir *dir);

/* inbox.c */

int inbox_init(struct inbox *inbox);
void inbox_release(struct inbox *inbox);

/* Room for one more listing; false: there is none. It is given back by inbox_end(). */
bool inbox_begin(struct inbox *inbox);
void inbox_end(struct inbox *inbox);

/*
 * Ask for the next page of an open, pinned directory that has room. 0: the page will come, and by
 * then the directory may be gone. -EBUSY: it is to wait; or another -errno.
 */
int inbox_ask(struct walk_thread *t, struct walk_dir *dir, int handle);

/* Keep a directory's item (ITEM_DIR or ITEM_RESUME) until there is room, or, `last`, for none of
 * the others; false: no memory. */
bool inbox_wait(struct walk_thread *t, void *item, bool last);
void *inbox_next_waiting(struct inbox *inbox); /* NULL: none, or there is no room */

/* An ITEM_PAGE, or NULL. */
void *inbox_take(struct walk *walk);

/* What is in the (untagged) item, which is freed. The directory has been referenced and needed. */
struct fs_page *inbox_open(void *item, struct walk_dir **dir);

static inline bool inbox_filled(const struct inbox *inbox)
{
	return atomic_load(&inbox->came) > 0;
}

/* Will there be more? */
static inline bool inbox_expects(const struct inbox *inbox)
{
	return atomic_load(&inbox->listings) > 0;
}

/* After a stop, with no other thread: all pages asked for have come. */
void inbox_cancel(struct walk *walk);

/* At the end: no tree's thread is in here any more. */
void inbox_settle(struct inbox *inbox);

/* entries.c */

/* Does the directory `name` in `handle` hold a CACHEDIR.TAG? */
bool walk_tagged_cache(struct fs_tree *tree, int handle, const char *name);

/*
 * Entries of an open directory: judged, stat'ed, shown to the visitor; directories are queued. What
 * an idle thread could do meanwhile is handed out.
 */
void walk_process(struct walk_thread *t, struct walk_dir *dir, int handle, struct fs_entry *entry,
        struct file_meta *meta, unsigned count);

/*
 * Ask t->entry what is asked after stat, show it to the visitor, and keep the ledger. `matched`: by
 * what was asked before.
 */
void walk_visit(struct walk_thread *t, bool matched);

/* Are entries shared in parcels, because their content is read? */
static inline bool walk_shares_slow(const struct walk *walk, const struct walk_dir *dir)
{
	return walk->config.slow_entries && walk->config.threads > 1 &&
	       !(dir->tree->caps & FS_ONCE);
}

/* One read's worth of slow entries becomes parcels. What cannot be queued is done here. */
void walk_parcel_out(struct walk_thread *t, struct walk_dir *dir, int handle,
        struct fs_entry *entry, struct file_meta *meta, unsigned count);

/* Parcels, or walk_process(). */
void walk_spread(struct walk_thread *t, struct walk_dir *dir, int handle, struct fs_entry *entry,
        struct file_meta *meta, unsigned count);

/* One entry of an open directory, by itself: judged, stat'ed, shown. Returns the directory to
 * enter, which is the caller's to open, or NULL. */
struct walk_dir *walk_offer(struct walk_thread *t, struct walk_dir *dir, int handle,
        struct fs_entry *entry, struct file_meta *meta);

/* Are directories of this depth entered? */
bool walk_descends(const struct walk *walk, uint32_t depth);

static inline bool walk_stopping(const struct walk *walk)
{
	return walk->config.stop &&
	       atomic_load_explicit(walk->config.stop, memory_order_relaxed) != 0;
}

/* items.c */

/* The team is formed when a walk has seen this many entries and some work waits. */
#define TEAM_ENTRIES 1500u

void item_run(struct walk_thread *t, void *item);
void item_run_root(struct walk_thread *t, size_t index);

/* A root's directory, not yet opened; NULL: no memory. */
struct walk_dir *item_new_root(struct walk_thread *t, uint32_t root);

/* Open it, as open_root() of its tree does: its handle, which it holds, or -errno. */
int item_open_root(
        struct walk_thread *t, struct walk_dir *dir, struct file_meta *meta, char **name);

/* After a stop: let go of an item without doing it. */
void item_discard(struct walk_thread *t, void *item);

/* source.c */

struct source;

/* The stream of a root that was entered; NULL: no memory. */
struct source *source_new(struct walk_thread *t, struct walk_dir *root);

/* One read of the stream; false: it is at its end. */
bool source_step(struct walk_thread *t, struct source *source);

/* With the directories that are not at their end. */
void source_free(struct walk_thread *t, struct source *source);

/* work.c */

/* Work until nothing is left (0), or until the team should be larger: how large. */
unsigned walk_work(struct walk_thread *t);

/* wanted.c */

#define LOOK_NEVER UINT64_MAX
#define LOOK_NS (WALK_LOOK_MS * UINT64_C(1000000))

/*
 * Between two items: 0, or how many threads there should be. In the serial phase that may be one,
 * and otherwise it is more than there are; the caller is the only one who was told, and makes them.
 */
unsigned threads_wanted(struct walk_thread *t);

/* threads.c */

/* The first thread. VEGA_NOMEM, or 0. */
int threads_begin(struct walk *walk);

/* Work with t until nothing is left, and with as many others as are wanted. */
void threads_run(struct walk_thread *t);

/* After threads_run(): work() by so many threads at once, or as many as there can be; the first of
 * them is the caller. */
void threads_each(struct walk *walk, unsigned wanted,
        void (*work)(struct walk_thread *t, void *context), void *context);

#endif
