/*
 * The cached results of one operation for one directory's files: asked for when the directory is
 * opened, looked up file by file, and stored again, merged, when it is left and something was
 * added. A result is 0 to OP_RESULT_MAX bytes.
 *
 * Key: "vega:1:NAME:FILESYSTEM:INODE:PAGE", NAME being the operation's cache_name. So operations
 * share nothing, whatever they run beside: each finds what it stored in any other run, fetches no
 * more than its own results, and two runs of different operations never overwrite each other's. The
 * price is a request per operation where several are fused; each has a connection of its own, so
 * they are under way at the same time, and one operation costs one request per directory.
 *
 * Value: sealed (base/seal.h), a small header, records of one size, sorted by (ino, dev), each a
 * file's inode, size, mtime, ctime and where its result ends, and the results in the same order. A
 * value is at most 1 MiB; a directory with more is spread over up to 64 pages by a hash of the
 * inode, and what does not fit into those (some 800,000 files with results of 16 bytes) is not
 * kept. Records of files that were not seen stay for three more stores, because a run may look at
 * some files only.
 *
 * A result is believed only when size, mtime and ctime are the same, and kept only when mtime and
 * ctime were at least 2 s old: a later change then gets another ctime, whatever the clock's grain.
 * What backend.identity() says of made-up ctimes holds too. (Two ext4 images with one UUID and
 * made-up times are beyond it: they look like one file system that did not change.)
 *
 * Nothing here fails: without a cache, memory or a good value, files are simply not found.
 */
#ifndef VEGA_ENGINE_DIR_RESULTS_H
#define VEGA_ENGINE_DIR_RESULTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/cache.h"
#include "fs/backend.h"
#include "op/op.h"

#define DIR_RESULTS_PAGES 64

/* A page as the cache had it. */
struct dir_page {
	struct buf value; /* empty: nothing */
	size_t count;     /* records */
};

/* In each directory's data, zeroed: then nothing is found or added. */
struct dir_results {
	bool open; /* the rest is valid */
	pthread_mutex_t lock;
	uint64_t file_system[2], dev, ino;
	bool only_fractions; /* keep nothing whose ctime has no fraction of a second */
	struct buf seen;     /* this run's records, found and added, unsorted */
	struct buf bytes;    /* their results */
	bool added;
	/* What the cache had: pages, a power of two (0: not looked for yet); bits by page. */
	unsigned pages;
	uint64_t loaded, changed;
	struct dir_page *page;
};

/* A thread's part. */
struct dir_results_thread;

/* `name`: of what is cached; it outlives the thread. NULL: no memory. */
struct dir_results_thread *dir_results_thread_new(struct cache *cache, const char *name);
void dir_results_thread_free(struct dir_results_thread *thread);

/* Once a directory, before the others. */
void dir_results_enter(struct dir_results_thread *thread, struct dir_results *results,
        struct fs_tree *tree, int dir_handle);

/* The result (in place of what is in the buffer) for a file that is still as it was; needs
 * DIR_RESULTS_META. Any thread. */
#define DIR_RESULTS_META (META_SIZE | META_MTIME | META_CTIME | META_IDENTITY)
bool dir_results_find(struct dir_results_thread *thread, struct dir_results *results,
        const struct file_meta *meta, struct buf *result);

/* A result just computed, `meta` as before and after reading. Any thread. */
void dir_results_add(struct dir_results_thread *thread, struct dir_results *results,
        const struct file_meta *meta, const void *result, size_t len);

/* Once a directory, after the others: store and release. */
void dir_results_leave(struct dir_results_thread *thread, struct dir_results *results);

#endif
