/*
 * One attempt of one job: its lease, its child, what came out of it, and the verdict.
 *
 * FREE ──begin──► RUNNING ──the child ended──► OVER ──stored, or lost──► FREE
 *
 * Times are CLOCK_BOOTTIME milliseconds. Nothing here talks to the store.
 */
#ifndef VEGA_WORKER_ATTEMPT_H
#define VEGA_WORKER_ATTEMPT_H

#include <stdint.h>

#include "store/store.h"
#include "worker/child.h"
#include "worker/spool.h"
#include "worker/stream.h"

#define ATTEMPT_GRACE_MS 5000   /* between SIGTERM and SIGKILL */
#define ATTEMPT_LINGER_MS 10000 /* from the end of stdout to the end of the process */

enum attempt_phase { ATTEMPT_FREE, ATTEMPT_RUNNING, ATTEMPT_OVER };

/* Why we ended it, the weakest reason first: a later one replaces an earlier one only when it is
 * stronger. */
enum attempt_ending {
	ENDING_NONE,
	ENDING_RELEASE, /* the worker stops */
	ENDING_BROKEN,  /* the child does not keep the protocol, or its records cannot be kept */
	ENDING_CANCEL,
	ENDING_LOST, /* the lease is not ours any more, or is about to end */
};

struct attempt {
	enum attempt_phase phase;
	struct job job;
	struct store_lease lease;
	uint64_t lease_end; /* from when the last good claim or heartbeat was sent */
	uint64_t began;
	uint64_t kill_at; /* 0: nothing planned */
	enum attempt_ending ending;
	struct vega_error why; /* of ENDING_BROKEN and ENDING_LOST */
	struct child child;
	struct stream stream;
	struct spool spool;

	/* once OVER: borrows from the members here */
	struct store_result result;
	bool refused; /* see attempt_refused() */
	char *error, *stderr_tail;
};

/*
 * Take over *job (zeroed here) and start its child. When that fails the attempt is OVER, to be
 * released: it is this worker that cannot work.
 */
int attempt_begin(struct attempt *attempt, struct job *job, const struct child_command *command,
        const char *spool_dir, uint64_t now, uint64_t lease_end, struct vega_error *err);

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

/* Carry out a planned SIGKILL that is due. */
void attempt_tick(struct attempt *attempt, uint64_t now);

/* Has the child ended? Then its last output is read, it is reaped, and the attempt is OVER. */
bool attempt_reap(struct attempt *attempt, char *block, size_t size, uint64_t now);

/* The store refused the result: from now on it says RETRY, with this as its error. */
void attempt_refused(struct attempt *attempt, const char *why);

/* FREE again. A spooled file stays only when the job was COMPLETED with it. */
void attempt_clear(struct attempt *attempt, bool stored);

#endif
