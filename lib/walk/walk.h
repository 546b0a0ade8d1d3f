/*
 * The traversal engine: an OpenMP team, which can grow, and a deque of directories a thread.
 *
 * The owner pushes and pops at one end of its deque (depth first keeps memory small); a thief takes
 * half from the other. One counter of outstanding work ends the walk, idle threads park. The walk
 * starts serially and forms the team only when a backlog exists, so a small tree pays for no
 * thread.
 *
 * Directories are opened with openat from their parent's descriptor, never by an accumulated path.
 * Ancestors' descriptors are closed when the limit nears, and reopened later from the nearest open
 * ancestor, with (dev, ino) compared. No recursion. Memory follows live directories, not files.
 *
 * The ledger: entries = reported + filtered + errors, always.
 */
#ifndef VEGA_WALK_WALK_H
#define VEGA_WALK_WALK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "fs/backend.h"
#include "record/record.h"
#include "spec/spec.h"

/*
 * A live directory, or the place of a root that is a file (is_file_root; nothing is listed then).
 * Visitors read it only. Behind it in memory: dir_data_size bytes of the visitor's (zeroed,
 * 16-aligned), then the name (a root's: as given).
 */
struct walk_dir {
	struct walk_dir *parent; /* NULL for a root */
	struct fs_tree *tree;
	uint64_t serial;   /* unique in this walk */
	uint64_t dev, ino; /* of the open directory, once known: roots at once, others when closed
	                      early */
	uint32_t depth;    /* a root: 0 */
	uint32_t root;     /* index in spec.roots */
	uint32_t name_len;
	uint32_t path_len; /* of the path as printed, with the '/' at its end */
	bool is_file_root;
	bool is_shared;   /* its subtree lies in several parts of a split walk: see struct walk_part
	                   */
	atomic_uint refs; /* own listing + live children + chunks + walk_dir_hold() */
	atomic_uint
	        needed; /* what still needs the handle: own listing, unopened children, chunks */
	atomic_uint_fast64_t handle; /* pins << 32 | handle + 1 */
	size_t data_size;
	_Alignas(16) char data[];
};

/* The data is the visitor's to change, whoever it is shown to. */
static inline void *walk_dir_data(const struct walk_dir *dir)
{
	return (void *)(uintptr_t)dir->data;
}

static inline const char *walk_dir_name(const struct walk_dir *dir)
{
	return dir->data + dir->data_size;
}

struct walk_thread;

/* One entry that passed the predicates: a view, valid only during the call. */
struct walk_entry {
	struct walk_thread *thread;
	struct walk_dir *dir;  /* that it is listed in; a root: its own */
	struct walk_dir *self; /* of a directory that will be entered: its own; else NULL */
	int dir_handle;        /* for open_file(); valid during the call */
	const char *name;      /* in dir: for open_file(); of a root directory: the root as given */
	uint32_t name_len;
	uint32_t depth;
	bool is_root;
	enum file_type type;
	const struct file_meta *meta; /* the fields wanted, but those that the tree cannot know */
	uint64_t ino;                 /* from the listing, even when nothing was stat'ed */
	void *tag;                    /* in walk_again(): walk_held.tag; else NULL */
};

/* All slots: called by any thread of the team, each with its own `thread` context; none may block
 * for long. */
struct walk_visitor {
	/* A directory was opened and its listing begins, or a root that is a file is at hand. May
	 * be NULL. */
	void (*enter)(void *context, struct walk_dir *dir, int dir_handle);

	/* One selected entry. Returns whether some operation took it (true: reported, false:
	 * filtered out). A visitor that calls walk_error() for it returns false and the walk counts
	 * one error instead. */
	bool (*entry)(void *context, const struct walk_entry *entry);

	/* The directory and all below it are done, and every hold on it dropped: the last call for
	 * it, also when it could not be opened (and enter was never called). May be NULL. */
	void (*leave)(void *context, struct walk_dir *dir);

	/* An entry, or a directory's listing, could not be read: a RECORD_ERROR, valid during the
	 * call. */
	void (*error)(void *context, const struct record *error);

	/* After some entries of one directory, before it can leave: fold what was kept aside,
	 * flush, report progress. */
	void (*breathe)(void *context);

	/* The thread is about to wait for work: nothing should be held back. */
	void (*idle)(void *context);
};

#define WALK_LOOK_MS 20

/* A directory below a root: "" for the root itself, else "a/b". */
struct walk_place {
	uint32_t root; /* index in spec.roots */
	const char *path;
};

/*
 * One part of a walk that is split. It lists the directories in `begin` and all below them, but
 * for those in `cut`, whose entry it shows and which it does not enter. A part that begins at a
 * root shows the root's entry, too; the entry of any other beginning was shown by the part that
 * was cut there. Depth, paths, predicates and exclusions count from the root, as ever.
 *
 * A tree that tells all in one stream (FS_STREAM) is not cut: no other part could begin in it.
 *
 * The parts make up the walk when each beginning is a root that is walked or a cut that was met
 * (walk_part_met), and each of these is the beginning of one part. Directories that were cut, that
 * a part begins at, and those above the latter have is_shared set; their leave() is called in
 * several parts.
 */
struct walk_part {
	const struct walk_place *begin, *cut;
	size_t begin_count, cut_count;
};

struct walk_config {
	const struct spec *spec;
	const struct fs_trees *trees;  /* of the spec's roots */
	const struct strlist *allowed; /* roots must lie beneath one of these; NULL: anywhere */
	const struct walk_part *part;  /* NULL: the whole walk */
	unsigned want;                 /* meta_fields that the operations need */
	bool slow_entries; /* the visitor reads content: share the entries of one directory early */
	unsigned slice;    /* entries stat'ed between two breaths; 0: as many as is best */
	size_t dir_data_size;
	unsigned threads; /* 1…1024: at most so many */
	/*
	 * How many of them there should be when there are `now`; NULL: all. Asked first with 0,
	 * when the walk is large enough for a team, then every WALK_LOOK_MS or so while all have
	 * work, by any thread, one at a time.
	 */
	unsigned (*team)(void *shared, unsigned now);
	const struct walk_visitor *visitor;
	/* A visitor context a thread; NULL: no memory. Others may be walking already. */
	void *(*thread_begin)(void *shared, struct walk_thread *thread);
	void *shared;
	const atomic_int *stop; /* non-zero: finish the current batch and end. May be NULL */
};

/* Exact sums over all threads; valid for reading after walk_run(), and approximately during it. */
struct walk_ledger {
	uint64_t entries, reported, filtered, errors;
	uint64_t left_out;  /* of those filtered: by an option, not for want of a taker */
	uint64_t unentered; /* directories that an option keeps the walk out of */
	uint64_t directories_waiting;
	uint64_t roots, unopened_roots; /* begun, and those of them that could not be opened */
	bool no_root;                   /* not one root could be opened */
};

struct walk; /* one run */

/* Checks what it can (predicates compile) and opens nothing. */
int walk_new(const struct walk_config *config, struct walk **out, struct vega_error *err);

/*
 * Run to the end or to `stop`. 0 also when there were entry errors: see the ledger. `complete` is
 * false when stopped, or when memory ran out. Fails only when nothing could be done at all.
 */
int walk_run(struct walk *walk, bool *complete, struct vega_error *err);

/*
 * After walk_run: drop a hold (see walk_dir_hold). When the last reference goes, leave() is called
 * with the first thread's context.
 */
void walk_dir_hold(struct walk_dir *dir);
void walk_dir_drop(struct walk_thread *thread, struct walk_dir *dir);

/* A regular file that was shown and reported, and shall be shown again. */
struct walk_held {
	struct walk_dir *dir;  /* held by the visitor: walk_dir_hold() */
	const char *name;      /* as walk_entry.name */
	struct file_meta meta; /* as it was, the fields that are remembered */
	void *tag;             /* the visitor's */
};

struct walk_again {
	/* The next one; false: there is none, and it is not asked again. By any thread, one at a
	 * time. The name is used until walk_again() returns. */
	bool (*next)(void *context, struct walk_held *held);
	void *context;

	/* Show it, by any thread, with its own visitor context; `entry` has the meta of walk_held.
	 * After walk_error() it counts as one error, and no longer as reported. */
	void (*entry)(void *visitor_context, const struct walk_entry *entry);

	unsigned threads; /* at most so many, of those that the walk may have */
};

/*
 * After walk_run(), any number of times: show entries again, by all threads. Each is opened from
 * its directory, which is reopened where it must be, and checked as in the walk. A directory that
 * cannot be opened any more is an error of each of its entries, and so is a tree that gives content
 * only once (FS_ONCE). False when stopped.
 */
bool walk_again(struct walk *walk, const struct walk_again *again);

/* Those of the roots given that are walked: without the ones that lie in others. */
const struct strlist *walk_roots(const struct walk *walk);

/* Of a part: how many roots the whole walk has, and is this one of them? After the run, was the
 * walk cut there? Not where the directory is left out, or is none. */
size_t walk_roots_chosen(const struct walk *walk);
bool walk_root_chosen(const struct walk *walk, uint32_t root);
bool walk_part_met(const struct walk *walk, size_t cut);

/*
 * While it runs, for one more thread: are all of its threads in calls that are not answered, or
 * have nothing to do? *turns changes when any of them has done anything since.
 */
bool walk_rests(const struct walk *walk, uint64_t *turns);

/*
 * After fs_wait_abandon(), and when it rests: all that was found is shown to leave() as after
 * walk_run(), which will not return, and the walk is to be used as after it, but not to be freed.
 * `unanswered` is given the path of a directory that a thread has not come back from.
 */
void walk_abandon(struct walk *walk, struct buf *unanswered);

/* The first thread, for walk_dir_drop() after the run. */
struct walk_thread *walk_first_thread(struct walk *walk);

/* What the tree of one of them expects (see fs/backend.h); 0: not known. */
uint64_t walk_expect(const struct walk *walk, size_t root);

void walk_ledger(const struct walk *walk, struct walk_ledger *out);

/* Visitors' contexts, for merging after the run: index below walk_thread_count(). */
unsigned walk_thread_count(const struct walk *walk);
void *walk_thread_context(const struct walk_thread *thread);
struct walk_thread *walk_thread_at(const struct walk *walk, unsigned index);

/* Frees everything but the visitor's contexts. */
void walk_free(struct walk *walk);

/*
 * The path of a directory as it is printed: the root as given, components joined, ending in '/'.
 * Owned by the thread and valid until its next call; cheap when it is the directory being listed.
 * NULL when there is no memory.
 */
const char *walk_dir_path(struct walk_thread *thread, const struct walk_dir *dir, size_t *len);

/* dir and name of an entry as a record wants them: for a root, dir is empty and name the root as
 * given. */
bool walk_entry_path(const struct walk_entry *entry, const char **dir, size_t *dir_len,
        const char **name, size_t *name_len);

/*
 * The part of the path below the root ("" for the root itself; the last component for a root that
 * is a file), NUL-terminated, for mirroring. Owned by the thread, valid until its next call of a
 * path function.
 */
const char *walk_entry_relative(const struct walk_entry *entry, size_t *len);

/* Count an error against the entry that the visitor is being called for, and report it. */
void walk_error(const struct walk_entry *entry, const char *what, int errnum, const char *message);

/* Was walk_error() called for it? During the visitor's call. */
bool walk_entry_failed(const struct walk_entry *entry);

/* An entry that was reported has failed after all: count and report it (a RECORD_ERROR). Any thread
 * of the run, or, after it, the first. */
void walk_late_error(struct walk_thread *thread, const struct record *error);

/* Bytewise order of two full paths, without building them. */
int walk_path_compare(
        const struct walk_dir *a, const char *a_name, const struct walk_dir *b, const char *b_name);

#endif
