/*
 * Operations: what is done with each selected entry. One file per operation, op/NAME.c, beside its
 * declaration in spec/NAME.c; spec/operation.h has the only list of them.
 *
 * The order of calls in a run:
 *   open()            once, then thread_begin() once per thread (threads may join later)
 *   enter()           when a directory is opened; then, for what is in it,
 *     entry()         each entry whose type is in `types`, for operations that have the slot,
 *     begin_file(), chunk() or random(), end_file(), file_result()
 *                     each regular file, for operations with `content`
 *     batch_end()     after some of them
 *   leave()           when a directory and all below it are done, and every hold on it is dropped
 *   round()           after the walk, again and again until it answers 0; each time begin_file() …
 *                     for the entries that it gives
 *   settle()          once, then merge() for each thread but the first, finish(), thread_end() for
 *                     each thread, close()
 * An operation that writes and has plan() is given a walk of its own before that, with other
 * accumulators: thread_begin(), plan() for each entry, merge(), plan_end(), thread_end().
 *
 * Slots are called by any thread of the team, each with its own accumulator, but where they say
 * otherwise. merge() is associative and commutative. After a stop (a signal, an exceeded limit) the
 * rest of the walk and all rounds are left out; settle() and what follows are called all the same.
 */
#ifndef VEGA_OP_OP_H
#define VEGA_OP_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "base/pack.h"
#include "base/quota.h"
#include "fs/stage.h"
#include "record/record.h"
#include "record/sink.h"
#include "spec/spec.h"
#include "walk/walk.h"

/*
 * How much of a file an operation reads. A file is opened once, and read once, as far as the
 * greediest of a run's operations asks: those that want a head only are ended after it.
 */
enum op_content_kind {
	OP_NO_CONTENT = 0,
	OP_HEAD,   /* chunk() gets the first `head` bytes, fewer where the file has fewer */
	OP_WHOLE,  /* chunk() gets all of it */
	OP_RANDOM, /* random() reads where it likes */
};

struct op_content {
	enum op_content_kind kind;
	size_t head; /* OP_HEAD: at least 1 */
};

/*
 * A file that can be read anywhere, given to random(), by its thread. Where the tree reads only
 * from the front (an archive's member), it is a copy. What is read is not remembered: the same
 * bytes asked for again are read again.
 */
struct content_reader {
	uint64_t size; /* as opened */
	ssize_t (*read_at)(struct content_reader *reader, void *bytes, size_t len, uint64_t at);
};

/*
 * `len` bytes from `at`, fewer (0, too) only at the end of the file; or -errno, -ECANCELED when the
 * run is stopping. The engine reports an error of reading, and end_file() is then told that the
 * file is not whole: return.
 */
static inline ssize_t content_read_at(
        struct content_reader *reader, void *bytes, size_t len, uint64_t at)
{
	return reader->read_at(reader, bytes, len, at);
}

/* What a run gives to each thread of each operation. Owned by the engine. */
struct op_thread {
	struct sink_thread *sink; /* for sink_record() */
	struct walk_thread *walk;
	const struct spec *spec;
	void *self;             /* what open() made */
	size_t dir_offset;      /* of this operation in walk_dir_data() */
	const atomic_int *stop; /* non-zero: end long work soon */
	/* To be called now and then by an operation that waits: progress may be due. */
	void (*turn)(void *turn_context);
	void *turn_context;
};

/* What open() is told of the run: where output may go, its time, and what will become of it. */
struct op_output {
	const struct strlist *allowed; /* beneath one of these; NULL or empty: anywhere */
	const struct stage *stage;     /* written there, and not published; NULL: published */
	struct quota *quota;           /* what is written counts against it; NULL: none */
	struct vega_time now;          /* the same for all parts of a walk */
	/* What concerns the run as a whole, in one line; by any thread. May be NULL. */
	void (*message)(void *context, const char *line);
	void *message_context;
	bool part; /* the accumulators will be serialized, and merged with those of other parts */
};

#define OP_RESULT_MAX 4096

struct op {
	const char *name;
	uint32_t types;            /* bits 1 << enum file_type: entries it takes */
	struct op_content content; /* of regular files, in the walk; rounds say what they want */
	size_t dir_size;           /* bytes of zeroed state in each directory, at walk_dir_data() +
	                              op_thread.dir_offset */

	/* The meta_fields that it needs for this spec. NULL: none. */
	unsigned (*want)(const struct spec *spec);

	/* Once, before any thread: check and prepare. May be NULL (self is NULL then). */
	int (*open)(const struct spec *spec, const struct op_output *output, void **self,
	        struct vega_error *err);

	/* A thread's accumulator; NULL: no memory. The op_thread outlives it. */
	void *(*thread_begin)(struct op_thread *thread);

	/*
	 * First pass of an operation that must see all names before it writes (collisions): called
	 * for each entry that entry()/begin_file() will be called for, by any thread. Then
	 * plan_end() once; an error there ends the run before anything is written. Both NULL when
	 * there is no such pass; plan_needed() says whether this spec needs it.
	 */
	bool (*plan_needed)(const void *self);
	void (*plan)(void *accumulator, const struct walk_entry *entry);
	int (*plan_end)(void *self, struct vega_error *err);

	/* A directory was opened, and nothing of it was shown yet; `mine`: its dir_size bytes. May
	 * be NULL. */
	void (*enter)(void *accumulator, const struct walk_dir *dir, int dir_handle, void *mine);

	/*
	 * One entry whose metadata (and not content) matters. NULL for pure content operations. It
	 * comes before the content of the file; but to an operation with rounds after it, and not
	 * for a file that was reported as an error, so that nothing is held that failed.
	 */
	void (*entry)(void *accumulator, const struct walk_entry *entry);

	/* After some entries of one directory, before it can leave. May be NULL. */
	void (*batch_end)(void *accumulator);

	/*
	 * Content. begin_file() returns 1: feed me; 0: not this file, I took it (an up-to-date
	 * output); negative: not this file, and walk_error() was called. `meta` is META_ALL of the
	 * file as opened. Between begin_file() and end_file() no other file begins with this
	 * accumulator, and entry() is not called.
	 *
	 * chunk() returns 0, or negative: stop feeding me; end_file() is still called. len > 0.
	 * random() is called once, after what others are fed, and may take long: it calls turn().
	 *
	 * end_file(): `whole` is false when reading failed, the file changed while it was read, or
	 * the run is stopping: discard silently (the error is already reported). It is true when
	 * all that the operation wanted was read, and size, mtime and ctime were then as before;
	 * for OP_HEAD, that is after the head, whatever becomes of the file later. That as many
	 * bytes came as its size says is only known of whole files. Otherwise complete it; 0, or
	 * negative after walk_error(). A cacheable operation (one with cache_name) adds at most
	 * OP_RESULT_MAX bytes to `result` (empty; NULL for the others, and in rounds), from which
	 * file_result() reports: that, and nothing else, may be cached. Where its answer would be
	 * longer, it calls walk_error().
	 */
	int (*begin_file)(
	        void *accumulator, const struct walk_entry *entry, const struct file_meta *meta);
	int (*chunk)(void *accumulator, const void *bytes, size_t len);
	void (*random)(void *accumulator, struct content_reader *reader);
	int (*end_file)(void *accumulator, const struct walk_entry *entry,
	        const struct file_meta *meta, bool whole, struct buf *result);

	/* Cacheable operations: a name for kind, version and parameters ("hash:xxh128:1"): equal
	 * names, equal results. NULL: what it makes of a file cannot be cached. Results of the walk
	 * are cached, those of rounds are not. */
	const char *(*cache_name)(const struct spec *spec);

	/*
	 * Report a file's result: just computed, or from the cache. False, for one from the cache
	 * only, and before anything was reported: it is none of this operation's, read the file.
	 */
	bool (*file_result)(void *accumulator, const struct walk_entry *entry,
	        const struct file_meta *meta, const void *result, size_t len, bool cached);

	/* A directory and all below it are done: fold `mine` into `parents` (NULL for a root). By
	 * one thread at a time for each directory, but several children may fold into one parent at
	 * once. NULL when dir_size is 0. */
	void (*leave)(void *accumulator, struct walk_dir *dir, void *mine, void *parents);

	/*
	 * After the walk, and after each round, in the first thread, while no other is at work:
	 * which entries shall be gone over again, reading `content` of each, by all threads. 1; 0:
	 * none (any more); or VEGA_NOMEM. What was held for the last round is let go of here, and
	 * after a stop in settle(). NULL: no rounds. Not to be combined with an operation that
	 * writes: a file that failed in a round and when its output was published would be taken
	 * from the reported ones twice.
	 */
	int (*round)(void *self, void *accumulator, struct walk_thread *first,
	        struct op_content *content);

	/* The next entry of this round; false: that was the last. By one thread at a time; `held`
	 * is used until the round is over. NULL without round(). */
	bool (*next)(void *self, struct walk_held *held);

	/*
	 * After the walk and all rounds, also those that were stopped, in the first thread, before
	 * any merge(): for what was held back. May be NULL. Hard links are charged and outputs are
	 * published here, and not in a round: neither reads anything again, charging takes a
	 * fraction of the walk, and one batch of outputs is left at most.
	 */
	void (*settle)(void *self, void *accumulator, struct walk_thread *first);

	/*
	 * Fold from into into; from is released later by thread_end. Of one run, or of any of its
	 * parts, in any order: what finish() writes is the same. NULL: nothing to fold.
	 */
	void (*merge)(void *into, void *from);

	/*
	 * Partial results (engine/partial.h), in a run whose op_output said `part`. serialize()
	 * appends what merge() needs of an accumulator, after settle(); false: memory ended, now or
	 * before. deserialize() fills one that thread_begin() just made, with neither sink nor walk
	 * behind it; the bytes begin with a version, and may come from anywhere: VEGA_FATAL for
	 * those that serialize() cannot have made, VEGA_NOMEM; the caller says so. Both NULL: the
	 * operation has no partial results, and its walk cannot be split.
	 */
	bool (*serialize)(void *accumulator, struct buf *out);
	int (*deserialize)(void *accumulator, struct unpack *in);

	/* The value of the operation's member in the summary: one JSON value. False: memory ended
	 * on the way, and it is not all that it should be. */
	bool (*finish)(void *self, void *accumulator, struct json *json);

	void (*thread_end)(void *accumulator);
	void (*close)(void *self);
};

#define OP_DECLARED(NAME, name) extern const struct op op_##name;
OPERATIONS(OP_DECLARED)
#undef OP_DECLARED
extern const struct op *const ops[]; /* NULL-terminated, by operation_index */

#endif
