/*
 * The model of the job protocol; see README.md. One job, its submitter and its canceller, the
 * pruner, and two workers with their children, against a store, a file system and a clock.
 *
 * A state is plain bytes, so that it can be hashed. An action changes it in one step, or says that
 * it cannot be. What must never be is told by violate().
 */
#ifndef TESTS_MODEL_H
#define TESTS_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "store/rules.h"

#define WORKERS 2
#define FILES 2
#define LEASE 4 /* ticks; a worker's margin is one, its heartbeats are one apart */
#define ATTEMPTS 2
#define SEQ_MAX 12
#define FOREIGN 255 /* who put a file there: a stranger */

enum child_kind { CHILD_NONE, CHILD_WALK, CHILD_PUBLISH, CHILD_DISCARD };
enum child_end { CHILD_RUNS, CHILD_EXITED, CHILD_KILLED };

struct model_child {
	uint8_t kind, end;
	uint8_t at;    /* which step is next */
	uint8_t stage; /* the number that --stage names */
	uint8_t code;  /* of its exit, or the signal */
	uint8_t said;  /* its summary */
	uint8_t told;  /* by SIGTERM to end */
	uint8_t refused;
};

enum call { CALL_NONE, CALL_SUBMIT, CALL_CLAIM, CALL_BEAT, CALL_COMMIT, CALL_FINISH };

/* A request whose sender has stopped waiting, but which the store may yet carry out. */
struct model_flight {
	uint8_t call, seq, outcome;
	uint8_t claims; /* it is a finish() with a claim */
	uint8_t epoch;
};

/* What is in struct worker and its struct attempt (worker.c), as far as it matters. */
struct model_worker {
	uint8_t phase, step, commit, completed, unanswered, ending, outcome, refused, kill;
	uint8_t spooled; /* it has a file of records */
	uint8_t seq, committed;
	uint8_t left;    /* ticks until the lease ends, by this worker's clock */
	uint8_t stalled; /* and for how many ticks: */
	uint8_t lag;
	uint8_t tried; /* to renew, since the last tick */
	uint8_t failures, signals;
	uint8_t epoch; /* a ghost: which claim, counted from 1 */
	struct model_child child;
	struct model_flight flight;
};

enum cancel { CANCEL_NOT, CANCEL_UNKNOWN, CANCEL_TAKEN, CANCEL_REFUSED };

struct state {
	/* the store's row */
	uint8_t present, job, attempt, seq, committed, finished, cancel_requested;
	uint8_t left;   /* ticks until the lease ends */
	uint8_t result; /* the lease whose result is stored */

	/* those who talk to the store, and what they were told */
	uint8_t acknowledged, twins;
	struct model_flight submission;
	uint8_t cancel;

	/* the file system */
	uint8_t stages[SEQ_MAX + 1];  /* bits: it exists, its files */
	uint8_t records[SEQ_MAX + 1]; /* is there a spooled file of this lease? */
	uint8_t target[FILES];        /* whose stage a file came from, or FOREIGN; 0: none */

	/* ghosts */
	uint8_t epoch, pruned, final, published[FILES];

	struct model_worker workers[WORKERS];
};

/* What becomes of a call to the store. All but the first are faults. */
enum behaviour { FINE, LOST_REPLY, LOST_REQUEST, DELAYED, REFUSED, BEHAVIOURS };

/* Safeguards that can be taken away. */
enum mutant {
	NO_MUTANT,
	NO_FENCE_IN_FINISH,
	NO_FENCE_IN_COMMIT,
	NO_FENCE_IN_HEARTBEAT,
	NO_NEW_LEASE_SEQ,
	NO_IDEMPOTENCY,
	COMMIT_IN_SPITE_OF_CANCEL,
	COMPLETE_IN_SPITE_OF_CANCEL,
	CANCEL_IN_SPITE_OF_COMMIT,
	COMMITTED_IS_GIVEN_UP,
	PUBLISH_BEFORE_COMMIT,
	PUBLISH_OVERWRITES,
	PUBLISH_OWN_STAGE,
	DISCARD_WHILE_UNKNOWN,
	NO_STOP_BEFORE_LEASE_END,
	CHILD_OUTLIVES_WORKER,
	NO_TAKING_OVER,
	PRUNE_WHAT_IS_NOT_OVER,
	DROP_RECORDS_UNANSWERED,
	MUTANTS,
};
extern enum mutant mutant;
extern bool staged_job; /* it writes files */

extern struct state *now; /* the state that an action changes */
void violate(const char *what);

static inline bool row_over(const struct state *state)
{
	return job_state_terminal((enum job_state)state->job);
}

/* --- store.c --- */

extern struct store model_store;
void store_behaves(enum behaviour behaviour); /* at the next call */
bool store_was_called(void);                  /* since then */
bool store_put_off(void); /* a second call, so that the others may act between the two */

/* Carry out a request that was under way. */
void store_lands(struct model_flight *flight);
bool store_submit(enum behaviour behaviour);
bool store_cancel(enum behaviour behaviour);
bool store_prune(void);

/* --- worker.c: false: it cannot be now --- */

bool worker_tends(unsigned number);
bool worker_beats(unsigned number, enum behaviour behaviour);
bool worker_finishes(unsigned number, enum behaviour behaviour, bool can_start);
bool worker_claims(unsigned number, enum behaviour behaviour, bool can_start);
bool worker_reaps(unsigned number);
bool worker_loses_patience(unsigned number); /* with a child that was told to end */
bool worker_is_stopped(unsigned number);     /* by SIGTERM */
bool worker_dies(unsigned number);
bool worker_stalls(unsigned number);
/* It goes on; with a call that it was about to make, by its old idea of the time. */
bool worker_resumes(unsigned number, enum call call);
/* Something must be done before time may go on. */
bool worker_is_due(unsigned number);
struct model_worker *worker_now_at(void); /* the one that acts */

/* --- files.c --- */

bool child_goes_on(struct model_worker *worker);
bool child_fails(struct model_worker *worker, uint8_t code);
bool child_obeys(struct model_worker *worker);

#endif
