/* What the files of a run share: progress.c, visit.c, plan.c, rounds.c, check.c and run.c. */
#ifndef VEGA_ENGINE_RUN_INTERNAL_H
#define VEGA_ENGINE_RUN_INTERNAL_H

#include <pthread.h>

#include "base/quota.h"
#include "engine/content.h"
#include "engine/engine.h"
#include "engine/growth.h"
#include "engine/outcome.h"
#include "engine/receipt.h"

struct run {
	const struct spec *spec;
	const struct engine_config *config;
	const struct op *op[OPS_MAX];
	const struct operation *operation[OPS_MAX]; /* what each is called, and puts out */
	uint32_t types[OPS_MAX];   /* of the entries that entry() of each is shown, in its order */
	uint64_t deepest[OPS_MAX]; /* level below a root that each is shown */
	uint64_t show_depth;       /* the same of those that do not count what lies below it */
	void *self[OPS_MAX];
	size_t dir_offset[OPS_MAX];
	unsigned op_count;
	unsigned content_index[CONTENT_OPS_MAX]; /* which of op[] content.op[i] is */
	struct content_config content;
	bool rounds; /* some operation has them */
	struct {
		unsigned number, index; /* which one, counted over all; of which operation */
		struct content_config content;
	} round; /* changed between rounds only */
	struct cache *cache;
	const struct walk_part *part; /* NULL: the whole walk */
	struct buf *partial;          /* where a part's result goes */
	struct vega_time now;
	struct quota quota;
	atomic_bool memory_ended; /* of what is limited */
	atomic_int full;          /* ENOSPC or EDQUOT, of the output's file system */
	struct sink *sink;        /* NULL during the planning pass */
	bool receipt;             /* it will be seen */
	struct fs_trees *trees;
	struct walk *walk;
	struct growth growth;
	pthread_mutex_t message_lock;
	atomic_uint_fast64_t
	        expected; /* entries, for the callback; asked when it first is called */
	atomic_bool expected_asked;
	struct buf first_error; /* that went into a record; under the lock */
	uint64_t started_ns;
};

/* The visitor's context. */
struct run_thread {
	struct run *run;
	struct sink_thread *sink;
	struct op_thread op_thread[OPS_MAX];
	void *accumulator[OPS_MAX];
	struct content_thread *content;
	unsigned round; /* that it reads for; 0: the walk */
	struct receipt receipt;
	uint64_t unwritten; /* errors of operations that write */
};

/* progress.c: by any thread. */

/* Report progress if it is due. context: a run_thread. */
void run_turn(void *context);
void run_message(struct run *run, const char *line);
/* Of cache.h's `warn`. context: the run. */
void run_warn_cache(void *context, const char *text);

/* visit.c */

extern const struct walk_visitor run_visitor;

/* As walk_config.thread_begin; shared: the run. */
void *run_thread_begin(void *shared, struct walk_thread *walk_thread);
void run_thread_free(struct run_thread *thread);
void run_breathe(void *context);

static inline struct run_thread *run_thread_at(const struct run *run, unsigned index)
{
	return walk_thread_context(walk_thread_at(run->walk, index));
}

/* rounds.c: after the walk, by so many threads at most. False: memory ended; a stop clears
 * *complete. */
bool run_rounds(struct run *run, unsigned threads, bool *complete);

/* plan.c: the pass before the walk, where an operation asks for one. */
int run_plan(struct run *run, const struct walk_config *settings, struct vega_error *err);

/* run.c */

/* run_spec() is run_begin(), run_add_op() for each of the spec's operations, and run_ops(), which
 * frees all. Operations are kept in the order in which they are added. */
int run_begin(struct run *run, const struct spec *spec, const struct engine_config *config,
        struct vega_error *err);
void run_add_op(struct run *run, const struct op *op, const struct operation *operation);
int run_ops(struct run *run, struct vega_error *err);

#endif
