/*
 * The content pipeline: each selected regular file is opened once, read once, as far as the
 * greediest operation asks, and its bytes are fed to every operation that needs them; results of
 * cacheable operations on unchanged files come from the cache instead, each operation's by itself,
 * and are put into it.
 *
 * A file with several names is read once (engine/inode_results.h): what operations with results
 * made of it is reported for each of them.
 *
 * Nothing is presented as stable when the file changed: fstat before and after reading must agree
 * in size, mtime and ctime, and the bytes read of a whole file in size; otherwise one `error`
 * record
 * ("changed while it was read"). Who wants a head only is judged, and done, when it was read: what
 * happens to the file later is no business of theirs, and whether its size is true is not known. A
 * result is stored only when mtime and ctime are at least 2 s old and not in the future.
 */
#ifndef VEGA_ENGINE_CONTENT_H
#define VEGA_ENGINE_CONTENT_H

#include "cache/cache.h"
#include "op/op.h"

#define CONTENT_OPS_MAX 8

/* Shared by the threads of a run, read-only. */
struct content_config {
	const struct spec *spec;
	const struct op *op[CONTENT_OPS_MAX]; /* those with `content`, or the one of a round */
	unsigned op_count;
	struct op_content round;      /* of a round: what op[0] wants, in place of its `content` */
	struct cache *cache;          /* may be NULL */
	struct inode_results *inodes; /* of the run; NULL: each name is read */
	size_t dir_offset; /* of content's own state in walk_dir_data(), content_dir_size() bytes */
	const atomic_int *stop;
	/* After each read of a file: flush, report progress. May be NULL. */
	void (*breathe)(void *context);
};

/* The meta_fields that walk entries need so that unchanged files are found in the cache. */
unsigned content_want(const struct content_config *config);

struct content_stats {
	uint64_t files_read, bytes_read; /* opened and read */
	uint64_t cache_hits; /* results taken from the cache, one a file and operation */
};

struct content_thread;

/* 0 when nothing can come from a cache. */
size_t content_dir_size(const struct content_config *config);

/* accumulators[i] belongs to config->op[i]; context is breathe()'s. NULL: no memory. */
struct content_thread *content_thread_new(
        const struct content_config *config, void *const *accumulators, void *context);

/* Go on with other operations, between two passes over the files. */
void content_thread_set(struct content_thread *thread, const struct content_config *config,
        void *const *accumulators);

/* Ask the cache, and store into it. */
void content_enter(struct content_thread *thread, struct walk_dir *dir, int dir_handle);
void content_leave(struct content_thread *thread, struct walk_dir *dir);

/*
 * One selected regular file. Returns what walk_visitor.entry returns. Files whose size says nothing
 * about their content (those of /proc and /sys) are an error, never a digest. An operation that
 * fails does not keep the others from theirs.
 */
bool content_file(struct content_thread *thread, const struct walk_entry *entry);

void content_stats_add(const struct content_thread *thread, struct content_stats *sum);
/* Cumulative bytes read so far, for progress; any thread may ask. */
uint64_t content_bytes(const struct content_thread *thread);
void content_thread_free(struct content_thread *thread);

#endif
