/*
 * One attempt of one job: its lease, its child, what came out of it, and the verdict.
 *
 * FREE ──begin──► RUNNING ──the child ended──► OVER ──stored, or lost──► FREE
 *
 * A job that writes files has up to three children, one a step, so that its files appear exactly
 * once although it may be attempted many times (fs/stage.h, store.h's commit()): one walks and
 * leaves the files in a stage; when the store has committed the result, one publishes them, of this
 * worker or, if it is lost, of the next; and when the job's state is stored, or the lease is lost
 * before the commit, one removes what is left of the stage.
 *
 * Times are CLOCK_BOOTTIME milliseconds. Nothing here talks to the store.
 */
#ifndef VEGA_WORKER_ATTEMPT_H
#define VEGA_WORKER_ATTEMPT_H

#include <stdint.h>

#include "child/child.h"
#include "child/spool.h"
#include "child/stream.h"
#include "store/store.h"

#define ATTEMPT_GRACE_MS 5000    /* between SIGTERM and SIGKILL */
#define ATTEMPT_LINGER_MS 10000  /* from the end of stdout to the end of the process */
#define ATTEMPT_DISCARD_MS 60000 /* for removing a stage */

enum attempt_phase { ATTEMPT_FREE, ATTEMPT_RUNNING, ATTEMPT_OVER };

/* Why we ended it, the weakest reason first: a later one replaces an earlier one only when it is
 * stronger. */
enum attempt_ending {
	ENDING_NONE,
	ENDING_RELEASE, /* the worker stops */
	ENDING_BROKEN,  /* the child does not keep the protocol, or its records cannot be kept */
	ENDING_LIMIT,   /* it used more time than it may */
	ENDING_CANCEL,
	ENDING_LOST, /* the lease is not ours any more, or is about to end */
};

enum attempt_step { STEP_WALK, STEP_PUBLISH, STEP_DISCARD };

enum attempt_commit {
	COMMIT_NONE,
	COMMIT_UNKNOWN, /* the store was asked, and did not answer */
	COMMIT_DONE,
};

struct attempt {
	enum attempt_phase phase;
	enum attempt_step step;
	bool staged; /* it writes files */
	enum attempt_commit commit;
	bool completed;  /* the job is, with its result */
	bool unanswered; /* its result may be: the store was given it, and did not answer */
	struct job job;
	struct identity identity; /* whom its processes run as; user NULL: as the worker */
	struct store_lease lease;
	uint64_t lease_end; /* from when the last good claim or heartbeat was sent */
	uint64_t began;
	uint64_t again_at; /* when to store again what a locked row did not let; 0: it did */
	uint64_t kill_at;  /* 0: nothing planned */
	uint64_t limit_at; /* when the walk has used up its time; 0: never */
	enum attempt_ending ending;
	struct vega_error why; /* of ENDING_BROKEN, ENDING_LIMIT and ENDING_LOST */
	struct child child;
	struct stream stream;
	struct spool spool;

	/* once OVER: borrows from the members here */
	struct store_result result;
	bool refused; /* see attempt_refused() */
	char *error, *stderr_tail;
};

/* Take over *job (zeroed here). The first step is STEP_WALK, or for a committed job STEP_PUBLISH.
 */
void attempt_begin(struct attempt *attempt, struct job *job, const char *spool_dir, uint64_t now,
        uint64_t lease_end);

/*
 * Start the child of a step. When that fails the attempt is OVER, and to be released: it is this
 * worker that cannot work. When it is only that the submitter has nobody to run as, or that user
 * cannot run vega-walk, that is the attempt's own end: 0, and it is OVER.
 */
int attempt_start(struct attempt *attempt, enum attempt_step step,
        const struct child_command *command, uint64_t now, struct vega_error *err);

/* It is OVER, and no step of it was begun: give it back. */
void attempt_put_off(struct attempt *attempt);

/* Is it running, or to be stored, under a lease that is ours? */
bool attempt_holds_lease(const struct attempt *attempt);

/* Its files are staged, and it succeeded: the store must commit() it. */
bool attempt_to_commit(const struct attempt *attempt);

/* The store has committed it: its files are to be published. */
void attempt_committed(struct attempt *attempt);

/* May its stages be removed? Not while somebody is to publish them. */
bool attempt_to_discard(const struct attempt *attempt);

/* The child's stdout or stderr is readable: take a few blocks. */
void attempt_read_out(struct attempt *attempt, char *block, size_t size, uint64_t now);
void attempt_read_err(struct attempt *attempt, char *block, size_t size);

/*
 * End it: SIGTERM to the group and SIGKILL after a while; SIGKILL at once for ENDING_LOST. When the
 * child has ended already, a cancellation or a loss still changes the verdict. `why` may be NULL.
 */
void attempt_stop(
        struct attempt *attempt, enum attempt_ending ending, const char *why, uint64_t now);

/* SIGKILL, but the verdict stays. */
void attempt_kill(struct attempt *attempt);

/* End a walk whose time is used up; carry out a planned SIGKILL that is due. */
void attempt_tick(struct attempt *attempt, uint64_t now);

/* Has the child ended? Then its last output is read, it is reaped, and the attempt is OVER. */
bool attempt_reap(struct attempt *attempt, char *block, size_t size, uint64_t now);

/* The store refused the result: from now on it says RETRY, with this as its error. */
void attempt_refused(struct attempt *attempt, const char *why);

/* FREE again. A spooled file stays only when the store has it, or may have it. */
void attempt_clear(struct attempt *attempt);

#endif
