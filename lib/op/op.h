/*
 * Operations: what is done with each selected entry. One file an operation, one table (ops[]), in
 * the order of the bits of enum spec_operation.
 *
 * A run calls open() once, thread_begin() once a thread; then, by any thread with its own
 * accumulator, entry() for each entry whose type is in `types`, and, for operations with
 * OP_CONTENT, begin_file/chunk/end_file with the bytes of each regular file: every file is read
 * once, and its bytes are fed to all operations. In the end merge() folds the accumulators
 * together, in any order (it is associative and commutative), finish() writes the operation's
 * member of the summary, and close() frees everything.
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

enum op_needs {
	OP_CONTENT = 1, /* the whole content of regular files */
	OP_WRITES = 2,  /* writes files; two passes when plan() is there */
};

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
	bool part; /* the accumulators will be serialized, and merged with those of other parts */
};

#define OP_RESULT_MAX 64

struct op {
	const char *name;
	unsigned needs;  /* op_needs */
	uint32_t types;  /* bits 1 << enum file_type: entries it takes */
	size_t dir_size; /* bytes of zeroed state in each directory, at walk_dir_data() +
	                    op_thread.dir_offset */

	/* The meta_fields that it needs for this spec. */
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

	/* One entry whose metadata (and not content) matters. NULL for pure content operations. */
	void (*entry)(void *accumulator, const struct walk_entry *entry);

	/* After some entries of one directory, before it can leave. May be NULL. */
	void (*batch_end)(void *accumulator);

	/*
	 * Content. begin_file returns 1: feed me; 0: not this file, I took it (an up-to-date
	 * output); negative: not this file, and walk_error() was called. `meta` is META_ALL of the
	 * file as opened. Between begin_file and end_file no other file begins with this
	 * accumulator. chunk returns 0, or negative: stop feeding me; end_file is still called. len
	 * > 0. end_file: `whole` is false when reading failed, the file changed while it was read,
	 * or the run is stopping: discard silently (the error is already reported). Otherwise
	 * complete it; 0, or negative after walk_error(). A cacheable operation (result_size > 0)
	 * stores exactly result_size bytes in `result`, from which file_result() reports: that, and
	 * nothing else, may be cached.
	 */
	int (*begin_file)(
	        void *accumulator, const struct walk_entry *entry, const struct file_meta *meta);
	int (*chunk)(void *accumulator, const void *bytes, size_t len);
	int (*end_file)(void *accumulator, const struct walk_entry *entry,
	        const struct file_meta *meta, bool whole, void *result);

	/* Cacheable operations: a name for kind, version and parameters ("hash:xxh128:1"), and the
	 * bytes of one file's result (at most OP_RESULT_MAX). */
	const char *(*cache_name)(const struct spec *spec);
	size_t (*result_size)(const struct spec *spec);

	/* Report a file's result: just computed, or from the cache. */
	void (*file_result)(void *accumulator, const struct walk_entry *entry,
	        const struct file_meta *meta, const void *result, bool cached);

	/* A directory and all below it are done: fold `mine` into `parents` (NULL for a root). By
	 * one thread at a time for each directory, but several children may fold into one parent at
	 * once. NULL when dir_size is 0. */
	void (*leave)(void *accumulator, struct walk_dir *dir, void *mine, void *parents);

	/* After the walk, also one that was stopped, in the first thread, before any merge(): for
	 * what was held back (hard links, files to publish). May be NULL. */
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
