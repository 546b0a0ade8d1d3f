/*
 * The job store: one contract, one file a store, one table (stores[]). Both stores pass
 * tests/contract.
 *
 * A store handle belongs to one thread. Every call may block, but no longer than the deadline given
 * at open (default 15 s) and what the system takes to resolve a name, after which it fails with
 * VEGA_UNAVAILABLE; so does a store that is down or refuses. After VEGA_UNAVAILABLE the handle
 * stays usable: the next call reconnects. A write whose outcome is unknown (the connection broke at
 * COMMIT) is settled inside by reading the row again, or fails with VEGA_UNAVAILABLE; repeating the
 * same call is always safe. Time is the store's: callers pass durations, never points in time
 * (except not_before).
 */
#ifndef VEGA_STORE_STORE_H
#define VEGA_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/strlist.h"
#include "job/job.h"

struct store_driver;
struct store {
	const struct store_driver *driver;
};

/* What a submitter says. Borrowed strings; NULL where not given. */
struct store_request {
	char id[UUID_TEXT];    /* made by the client (uuid7) */
	const char *spec;      /* canonical JSON */
	const char *submitter; /* SQLite stores it; PostgreSQL stamps session_user instead */
	const char *queue;     /* NULL: "default" */
	int priority;
	unsigned max_attempts;       /* 0: JOB_MAX_ATTEMPTS_DEFAULT */
	const char *idempotency_key; /* unique per submitter, and for one spec */
	const char *labels;          /* JSON object; NULL: {} */
	struct job_limits limits;
	struct vega_time not_before; /* {0,0}: now */
	/* out */
	char stored_id[UUID_TEXT]; /* id, or the first job's id for a repeated idempotency key */
	bool existed;
};

struct store_claim {
	const char *worker;           /* "host:pid:random": names one worker process */
	const struct strlist *queues; /* NULL or empty: any queue */
	unsigned max;                 /* how many jobs at most */
	uint64_t lease_ms;
};

/* A held lease. */
struct store_lease {
	char id[UUID_TEXT];
	uint64_t lease_seq;
	const char *progress; /* heartbeat: JSON to store, or NULL */
	/* out, by heartbeat */
	bool lost;   /* fenced out, or the job is gone: kill the child, publish nothing */
	bool kept;   /* ours, but not renewed: somebody keeps the row locked */
	bool cancel; /* cancellation was asked for */
};

enum store_outcome {
	STORE_COMPLETED,
	STORE_FAILED, /* for good */
	STORE_RETRY,  /* this attempt failed: PENDING after a backoff, or FAILED when max_attempts
	                 are used up */
	STORE_CANCELLED,
	STORE_RELEASED, /* graceful stop: PENDING at once; the attempt is not counted, nothing else
	                   of the result is stored */
};

/* What one attempt left. NULL or 0 where there is nothing. */
struct store_result {
	enum store_outcome outcome;
	const char *error;
	const char *summary; /* JSON; stored as jsonb */
	const char *records; /* NDJSON kept in the row, for small results */
	const char *records_uri;
	uint64_t records_size;
	const char *records_digest;
	const char *stderr_tail;
	int exit_code;
};

/* The end of one attempt. */
struct store_ending {
	const struct store_lease *lease;
	const struct store_result *result;
	/* out, by finish() */
	int code; /* 0; VEGA_LEASE_LOST: it is not ours; VEGA_LOCKED: not now, as somebody keeps
	             its row locked; nothing was stored then */
	enum job_state state; /* where the job went */
};

/* Zeroed: every job, newest first, without its spec. */
struct store_filter {
	uint32_t states; /* bits 1 << enum job_state; 0: all */
	const char *queue, *submitter;
	const char *label;             /* "K=V" */
	uint64_t younger_ms, older_ms; /* age since created; 0: any */
	int64_t before;                /* a job's nr: those accepted before it; 0: all. So a caller
	                                  turns pages: the last nr of one begins the next */
	unsigned limit;                /* 0: no limit */
	unsigned parts;                /* to load besides the rest: STORE_PART_SPEC, or nothing */
};

/* What of a job is loaded only when it is asked for, as it may be large. get() always tells the
 * spec. */
enum store_parts { STORE_PART_RESULT = 1, STORE_PART_RECORDS = 2, STORE_PART_SPEC = 8 };

/*
 * A worker process. It announces itself when it begins (unless it ends without work), then with
 * each heartbeat, and each STORE_ANNOUNCE_MS while it has no jobs, since an idle one should seldom
 * write. So it counts as alive for lease_ms after it was seen, and without jobs for
 * STORE_ANNOUNCE_MS longer. Strings are borrowed.
 */
#define STORE_ANNOUNCE_MS 60000
struct store_worker {
	const char *name; /* as claim() has it */
	const char *host, *version;
	const char *queues; /* a JSON array of names; "[]": any */
	int pid;
	unsigned jobs;    /* at a time, at most */
	unsigned running; /* when it was seen */
	uint64_t lease_ms;
	/* out, by workers() */
	struct vega_time started, seen;
	uint64_t silent_ms; /* since then, by the store's clock */
	bool alive;
};

/* The jobs of one queue, as of one moment. */
enum store_window { STORE_LAST_MINUTE, STORE_LAST_HOUR, STORE_WINDOWS };
struct store_stats {
	const char *queue;
	uint64_t jobs[JOB_STATES];
	uint64_t due;           /* PENDING, and may be claimed now */
	uint64_t oldest_due_ms; /* for how long the first of these could have been */
	uint64_t retried;       /* had more than one attempt */
	uint64_t leases;        /* that are held */
	uint64_t partial;       /* COMPLETED, and some entries could not be read or written */
	uint64_t stateless;     /* stored by SQL without a state: never run */
	uint64_t expired;       /* leases that ended, and whose jobs nobody has taken over yet */
	struct {
		uint64_t started;           /* jobs whose last attempt began */
		uint64_t ended[JOB_STATES]; /* jobs that came to this state; 0 for those that do not
		                               last */
	} last[STORE_WINDOWS];
};

/* A job that prune() is about to remove. Borrowed. */
struct store_pruned {
	const char *id;
	uint64_t lease_seq;      /* the last one */
	const char *spec;        /* NULL in a dry run */
	const char *records_uri; /* NULL: its records are in its row, or it has none */
	uint64_t records_size;
};

/* Which jobs to remove: those that ended at least older_ms ago, and that the rest selects. */
struct store_prune {
	uint64_t older_ms;
	uint32_t states; /* bits 1 << enum job_state; 0: each terminal one. Others are no
	                    use: no job is removed before it has ended */
	const char *queue, *label;
	unsigned batch; /* jobs in one transaction, > 0 */
	bool dry_run;   /* remove() is called, and nothing removed */

	/* Take away what the job keeps outside of the store. True: it may go, too. */
	bool (*remove)(const struct store_pruned *job, void *context);
	void *context;

	int64_t after; /* in, out: where the next call goes on; begins as 0 */
	unsigned page; /* in, out: how many jobs it looks at, batch at most; begins as 0 */
};

/* Called once per item. A non-zero answer ends the listing, which returns 0 even so. */
typedef int store_each_job(const struct job *job, void *context);
typedef int store_each_worker(const struct store_worker *worker, void *context);
typedef int store_each_stats(const struct store_stats *stats, void *context);

/* The calls: each is the type of the slot of its name in struct store_driver. */

/*
 * `url` is the whole store URL. Creates or upgrades what may be created (SQLite: the file,
 * mode 0600; PostgreSQL: nothing, "run psql -f schema.sql"), refuses a newer schema
 * (VEGA_FATAL: "made by a newer VegaFS"). VEGA_UNAVAILABLE when it cannot be reached,
 * VEGA_FATAL when it is corrupt, read-only or of the wrong kind.
 */
typedef int store_open_call(
        const char *url, unsigned timeout_ms, struct store **out, struct vega_error *err);

/*
 * All or none. Durable when it returns. A job that is there already, by its id or by its
 * submitter's key, is left as it is. VEGA_USAGE names a key that was used for another spec,
 * and the job. (PostgreSQL: when that is stored while this runs, the rest is stored.)
 */
typedef int store_submit_call(
        struct store *store, struct store_request *requests, size_t count, struct vega_error *err);

/*
 * Claim up to max runnable jobs (PENDING and due, or PROCESSING with an expired lease),
 * highest priority then oldest first, and raise each lease_seq. An expired job whose
 * attempts are used up becomes FAILED, one with cancel_requested CANCELLED. Fills
 * jobs[0…max-1]; the caller releases them. Returns how many, or a negative code. A job with
 * committed_seq > 0 is never given up for its attempts: see commit().
 *
 * Of a job it tells what is needed to run it: id, spec, submitter, queue, max_attempts,
 * limits, state, attempt, lease_seq and committed_seq. The rest is left zeroed; get() tells
 * it.
 */
typedef int store_claim_call(struct store *store, const struct store_claim *claim, struct job *jobs,
        struct vega_error *err);

/* Renew all leases of a worker in one statement, and learn of cancellations and losses.
 * One whose row is locked is passed over, so that the other leases are still renewed. */
typedef int store_heartbeat_call(struct store *store, const char *worker,
        struct store_lease *leases, size_t count, uint64_t lease_ms, struct vega_error *err);

/*
 * An attempt that has staged its output files is over: store its result (the outcome is
 * not looked at) and mark the job as committed by this lease, fenced as finish() is. From
 * now on its files may be published, and the job can only become COMPLETED: a request to
 * cancel is refused, and any other end of an attempt than STORE_COMPLETED makes it
 * PENDING, however many there were. That finish() keeps the result stored here, with the
 * greater exit code and the newer stderr_tail. VEGA_LEASE_LOST; VEGA_NO: cancellation was
 * asked for first, and nothing was stored; VEGA_LOCKED: nor was it, as somebody keeps the
 * row locked. Repeating it changes nothing.
 */
typedef int store_commit_call(struct store *store, const struct store_lease *lease,
        const struct store_result *result, struct vega_error *err);

/*
 * End attempts, each fenced by itself, all in one transaction: whoever has several passes
 * them together. With a pending cancel request, which excludes a commit, the job becomes
 * CANCELLED whatever the outcome, and neither summary nor records are stored. Repeated for
 * a lease that it ended before, it changes nothing, and tells where the first call led. A
 * lost lease or a locked row is told by its ending's code, and costs the others nothing;
 * when the call fails, nothing was stored of any of them.
 *
 * With a claim (NULL: none) it claims in the same transaction, so that the disk is waited
 * for once a job. Fills jobs[] as claim() does, and returns how many: perhaps fewer than
 * claim() would, and none when an ending's row is locked. One that it makes PENDING may be
 * among them. With none given it returns 0.
 */
typedef int store_finish_call(struct store *store, struct store_ending *endings, size_t count,
        const struct store_claim *claim, struct job *jobs, struct vega_error *err);

/* PENDING: CANCELLED at once. PROCESSING: ask. Terminal: unchanged. *state is the state
 * afterwards. VEGA_NO: no such job, or it is committed and too late; VEGA_USAGE: not an
 * id. */
typedef int store_cancel_call(
        struct store *store, const char *id, enum job_state *state, struct vega_error *err);

/* VEGA_NO: no such job; VEGA_USAGE: not an id. `parts`: store_parts to load besides the
 * rest. */
typedef int store_get_call(struct store *store, const char *id, unsigned parts, struct job *job,
        struct vega_error *err);

/* Calls each() for the jobs in order until it returns non-zero. The job is the store's,
 * valid during the call. Some are held at a time: 500, or fewer when their specs are asked
 * for and exceed 1 MiB together. */
typedef int store_list_call(struct store *store, const struct store_filter *filter,
        store_each_job *each, void *context, struct vega_error *err);

/*
 * Milliseconds until a claim could find something, as far as the store can tell: 0 now; at
 * most `limit`.
 */
typedef int store_next_due_call(struct store *store, const struct strlist *queues,
        uint64_t limit_ms, uint64_t *due_ms, struct vega_error *err);

/*
 * Wait until the store's jobs may have changed, or timeout_ms passed, or *wake_fd (when ≥
 * 0) becomes readable, or a signal was handled. It may end for no reason: whoever waits
 * looks again. What changed since the last wait() ends the next one at once. With
 * PostgreSQL, a handle that has called claim() or next_due() hears of jobs to claim and of
 * cancel requests; another one hears of jobs that end, or only of the one that it has got
 * since. Negative as everywhere.
 */
typedef int store_wait_call(
        struct store *store, uint64_t timeout_ms, int wake_fd, struct vega_error *err);

/* Store what a worker says of itself, as seen now; and when it ends well, forget it. */
typedef int store_announce_call(
        struct store *store, const struct store_worker *worker, struct vega_error *err);
typedef int store_leave_call(struct store *store, const char *name, struct vega_error *err);

/* Calls each() for every worker that announced itself and did not leave, by name, until it
 * returns non-zero. */
typedef int store_workers_call(
        struct store *store, store_each_worker *each, void *context, struct vega_error *err);

/* Calls each() for every queue that has jobs, by name, until it returns non-zero. Looks at
 * every job. */
typedef int store_stats_call(
        struct store *store, store_each_stats *each, void *context, struct vega_error *err);

/*
 * Remove up to `batch` jobs that have ended, the oldest first, in one transaction: lock
 * them, call remove() for each, and delete those that it lets go, with their results.
 * Whoever is killed in between leaves a job without its files, which the next call removes,
 * and never a file whose job is gone. Jobs that another prune() has locked are passed over.
 * Returns how many it looked at, 0 when none is left; or a negative code, after which jobs
 * may have been removed or not.
 */
typedef int store_prune_call(
        struct store *store, struct store_prune *prune, struct vega_error *err);

typedef void store_close_call(struct store *store);

/* See store_is_shared(). */
typedef int store_shared_call(const char *url, struct buf *culprit, struct vega_error *err);

/* A kind of store. Every slot is filled. */
struct store_driver {
	const char *scheme; /* of its URLs */
	store_open_call *open;
	store_submit_call *submit;
	store_claim_call *claim;
	store_heartbeat_call *heartbeat;
	store_commit_call *commit;
	store_finish_call *finish;
	store_cancel_call *cancel;
	store_get_call *get;
	store_list_call *list;
	store_next_due_call *next_due;
	store_wait_call *wait;
	store_announce_call *announce;
	store_leave_call *leave;
	store_workers_call *workers;
	store_stats_call *stats;
	store_prune_call *prune;
	store_close_call *close;
	store_shared_call *shared;
};

extern const struct store_driver store_sqlite, store_postgres;
extern const struct store_driver *const stores[]; /* NULL-terminated */

/*
 * url NULL: VEGA_STORE, else sqlite:$XDG_STATE_HOME/vega/jobs.db (~/.local/state). "sqlite:PATH",
 * "postgresql://…", "postgres://…", or any libpq connection string that contains '='. VEGA_USAGE
 * names anything else.
 */
int store_open(const char *url, unsigned timeout_ms, struct store **out, struct vega_error *err);

/*
 * May others than root and this process's user store jobs there? 1, 0, or negative as for
 * store_open(). PostgreSQL is there for that. A SQLite file is private only if nobody else owns or
 * may write to it, its directory, which need not be there yet, and what is on the way to it; else
 * `culprit` is the path that they can change. To be asked before this process opens the file: to
 * close a file drops the locks that SQLite has on it.
 */
int store_is_shared(const char *url, struct buf *culprit, struct vega_error *err);

/* The default SQLite path, or the directory for spooled results; caller frees. NULL: no memory, or
 * no home. */
char *store_state_path(const char *below);

#endif
