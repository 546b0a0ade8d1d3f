/*
 * Shared by the files of the worker. worker.c has the loop: it tends what must happen in time,
 * renews leases (lease.c), stores results (finish.c), claims jobs (claim.c) and starts them
 * (start.c), announces itself (announce.c), and sleeps. reach.c stands between it and a store that
 * is unreachable; common.c has what all of them need. Times are CLOCK_BOOTTIME milliseconds.
 */
#ifndef VEGA_WORKER_INTERNAL_H
#define VEGA_WORKER_INTERNAL_H

#include "child/deadline.h"
#include "store/result_cache.h"
#include "worker/attempt.h"
#include "worker/worker.h"

/* store_open(), or a test's stand-in for it. */
typedef int worker_opener(
        const char *url, unsigned timeout_ms, struct store **out, struct vega_error *err);

struct worker {
	const struct worker_config *config;
	struct worker_counts *counts;
	worker_opener *open;
	struct store *store; /* NULL until it was reached once */
	struct result_cache *results;
	bool told_of_cache;
	struct child_command command;
	char *spool_dir;
	char name[320];
	char *block;

	struct attempt *attempts;     /* config->jobs of them */
	struct store_lease *leases;   /* of a heartbeat; the ids of those that were ended */
	struct store_ending *endings; /* of the attempts in `over` */
	struct attempt **over;
	struct job *claimed;
	unsigned running; /* attempts that are not FREE */
	unsigned claims;  /* jobs claimed so far */

	int epoll_fd, signal_fd, timer_fd;

	/* CLOCK_BOOTTIME milliseconds */
	uint64_t beat_sent, beat_at;
	uint64_t claim_sent, claim_at;
	unsigned vain;             /* claims in a row that had nothing, and left something due */
	unsigned refusals;         /* of claims, in a row */
	struct vega_error refusal; /* the last of them */
	bool claim_answered;       /* once at least */
	uint64_t retry_at;         /* the store is left alone until then */
	uint64_t away_since;       /* while failures > 0 */
	unsigned failures;         /* of store calls, in a row */
	int away_code;             /* of the last of them */
	uint64_t announce_at;      /* also when a heartbeat was answered */
	bool announced;

	/* what the service manager was told */
	uint64_t watchdog_fed, status_sent;
	char status[256];
	bool told_ready, told_stopping;
	unsigned start_failures;

	struct held *held; /* drain.c: leases of others that it has seen */
	size_t held_count;
	bool told_of_held;
	uint64_t vain_since; /* while claims are in vain */

	unsigned signals;
	int first_signal;
	bool drained;
	struct vega_error failure; /* code != 0: why the worker gives up */
};

/* What an epoll event is about: the attempt's index times EVENT_KINDS, plus the kind. */
enum { EVENT_SIGNAL, EVENT_TIMER, EVENT_OUT, EVENT_ERR, EVENT_KINDS };

/* worker_run() on the store that `open` opens. */
int worker_run_on(const struct worker_config *config, worker_opener *open,
        struct worker_counts *counts, int *signal_seen, struct vega_error *err);

/* common.c */

uint64_t worker_now(void);
uint64_t worker_random(uint64_t limit); /* less than limit, which may be 0 */

static inline uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

enum { TROUBLE = -1, NEWS, DETAIL };
void worker_report(const struct worker *w, int level, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* No further job is to be claimed. */
bool worker_stopping(const struct worker *w);

/* Release what runs and return this error. */
void worker_give_up(struct worker *w, const struct vega_error *err);
bool worker_watch(struct worker *w, int fd, unsigned index, unsigned kind);

/* the times of a lease */

/* So long before its lease may end, a child is killed. Store calls block for less. */
static inline uint64_t worker_margin(const struct worker *w)
{
	return w->config->lease_ms / 4;
}

/* The longest that a store call may take. However long the leases, a watchdog does not wait for
 * more. */
static inline unsigned worker_store_timeout(const struct worker *w)
{
	return (unsigned)least(w->config->lease_ms / 5, 15000);
}

/* The longest time in which the store is not asked again for what it could not do for a lease. */
static inline uint64_t worker_pause(const struct worker *w)
{
	return w->config->lease_ms / 8;
}

/* reach.c */

/* A store call failed, or did not: the next ones wait with growing, jittered pauses, and the log
 * has one line when the store goes and one when it is back. A worker for ever does not end because
 * of a store that has answered a claim: a schema, a role or a file that is gone may be back soon.
 */
void worker_store_away(struct worker *w, const struct vega_error *err);
void worker_store_back(struct worker *w);

/* May store calls be made now? Opens the store when that was not yet done. */
bool worker_store_ready(struct worker *w);

/* lease.c */

/* Is it too late to begin anything under this lease? */
bool worker_lease_ends(const struct worker *w, const struct attempt *attempt, uint64_t now);

/* Its child is to be dead before its lease ends, even while the loop waits for a call. */
void worker_watch_lease(const struct worker *w, const struct attempt *attempt);

/* What must happen in time, whatever the store does: kill children whose lease is about to end, and
 * those whose grace is over. Called before every call that may block. */
void worker_tend(struct worker *w);

/* Renew all leases, when it is time. */
void worker_heartbeat(struct worker *w);

/* start.c */

/* Start a step of an attempt, and watch its child. When that fails the attempt will be released. */
int worker_start(
        struct worker *w, struct attempt *attempt, enum attempt_step step, struct vega_error *err);

/* finish.c, claim.c */

/* Store the results of the attempts that are OVER, or drop them; with that, claim jobs that take
 * their places. */
void worker_finish(struct worker *w);

/* Claim as many jobs as there is room for, when it is time, and start them. */
void worker_claim(struct worker *w);

/* What to ask the store for; and start the `count` jobs in w->claimed that it gave when asked for
 * `room` at `sent`. */
struct store_claim worker_wanted(const struct worker *w, unsigned room);
void worker_take(struct worker *w, unsigned count, unsigned room, uint64_t sent);

/* drain.c */

/* Nothing is due: is there anything to wait for? Sets w->drained, or lowers *due_ms to when it is
 * to be asked again. */
int worker_drained(struct worker *w, uint64_t *due_ms, struct vega_error *err);

/* announce.c */

/* Tell the store of this worker, when it is time: see struct store_worker. One that soon has
 * nothing left to do is not worth the write. */
void worker_announce(struct worker *w);
void worker_leave(struct worker *w);

/* service.c */

/* For a service manager: that this process is not stuck (worker_tend() does that), and, when it has
 * changed, what it does; ready once the store has answered a claim. */
uint64_t worker_watchdog_at(const struct worker *w);
void worker_feed_watchdog(struct worker *w);
void worker_tell_status(struct worker *w);

#endif
