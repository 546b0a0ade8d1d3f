/*
 * The PostgreSQL store, from below: the parameters of a statement (postgres_array.c), its results
 * (postgres_row.c), and the connection, which runs it (postgres_connection.c); then its calls, a
 * file for those that belong together (postgres_submit.c, postgres_claim.c, postgres_finish.c,
 * postgres_cancel.c, postgres_read.c, postgres_wait.c, postgres_admin.c); and the driver
 * (postgres.c).
 */
#ifndef VEGA_STORE_POSTGRES_INTERNAL_H
#define VEGA_STORE_POSTGRES_INTERNAL_H

#include <libpq-fe.h>

#include "store/store_internal.h"

/* Of schema.sql. */
#define POSTGRES_SCHEMA_VERSION 3

/* Who waits with vega-status holds this advisory lock shared, so that finishing a job costs a
 * NOTIFY (and its global lock) only while somebody listens: see WATCHED. */
#define WATCHER_LOCK "1986359137, 1" /* "vega", 1 */
/* A submitter's batches hold this one, with the submitter's hash, each in its turn. */
#define SUBMIT_LOCK "1986359138"
/* A job may have become claimable, or a cancel was asked for. */
#define READY_CHANNEL "vega_ready"
/* A job ended; the payload is its id. */
#define DONE_CHANNEL "vega_done"

/* A statement. It has static storage: a connection knows it by its address. */
struct postgres_statement {
	const char *sql;
	const char *role;         /* who may run it */
	const char *role_for_all; /* who may run it on everybody's jobs; NULL: the same */
};

/* One that was run on this connection. */
struct postgres_used {
	const struct postgres_statement *statement;
	char name[16]; /* under which the server knows it, when it is prepared */
	bool prepared;
};
#define POSTGRES_STATEMENTS 48 /* more than there are */

struct postgres_store {
	struct store base;
	PGconn *conn; /* NULL: not connected */
	char *url;
	char *label; /* for messages: which database; never the password */
	unsigned timeout_ms;
	uint64_t deadline;                              /* of the call at work */
	struct postgres_used used[POSTGRES_STATEMENTS]; /* on this connection */
	unsigned used_count;
	bool claims;     /* a worker's handle: it waits for READY_CHANNEL only */
	bool look_again; /* jobs were claimed or heard of since the last wait() */
	bool searches;   /* the planner is to choose: postgres_search() */
	bool hurries;    /* it does not wait for locks: postgres_hurry() */
	bool listening;
	bool pooled;             /* the next statement may be another session's */
	bool locked;             /* the last statement waited for a lock in vain */
	bool known;              /* the last statement met a job with an id of its own */
	char *denied;            /* why this user may do nothing here at all, or NULL */
	bool watch_all;          /* since the last wait() more than one job was asked about */
	char watched[UUID_TEXT]; /* the one that was, or "" */
	unsigned nap_ms;
	uint64_t mended_at; /* see store_mend_due() */
};

/* clang-format off */
/* Of rows with a number and a spec, those before which the specs do not fill a page yet; the last
 * column says whether they then do. It measures all rows, which is to read their specs. */
#define PAGE_OF(rows, order) \
	"SELECT p.*, p.specs_before + p.spec_size >= " PAGE_TEXT(STORE_PAGE_BYTES) \
	" FROM (SELECT p.*, coalesce(sum(p.spec_size) OVER (ORDER BY p.nr " order \
	"  ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS specs_before" \
	"  FROM (" rows ") p) p" \
	" WHERE p.specs_before < " PAGE_TEXT(STORE_PAGE_BYTES) " ORDER BY p.nr " order
#define PAGE_TEXT(number) PAGE_TEXT_OF(number)
#define PAGE_TEXT_OF(number) #number
#define SPEC_SIZE ", octet_length(j.spec::text) AS spec_size"
/* clang-format on */

/* Is what PAGE_OF gave full? */
bool postgres_page_full(const PGresult *reply);

/* A condition: j has a label, or none is wanted. */
#define POSTGRES_LABELLED(key, value) \
	"(" key " IS NULL OR" \
	" (j.labels <> '{}' AND j.labels @> jsonb_build_object(" key ", " value ")))"

/* Parameters of one statement, all in text but for bytes. Text is borrowed. */
#define POSTGRES_PARAMETERS 16
struct postgres_parameters {
	int count;
	const char *values[POSTGRES_PARAMETERS];
	int lengths[POSTGRES_PARAMETERS];
	int formats[POSTGRES_PARAMETERS];
	char numbers[POSTGRES_PARAMETERS][24];
};

void postgres_add_text(struct postgres_parameters *p, const char *text); /* NULL: SQL's NULL */
void postgres_add_integer(struct postgres_parameters *p, int64_t value);

/* A row of a result: the context of a struct store_row. */
struct postgres_row {
	const PGresult *result;
	int number;
};
const char *postgres_row_text(void *context, int column);

int64_t postgres_integer(const PGresult *result, int number, int column);

int postgres_read_job(const PGresult *result, int number, unsigned parts, struct job *job,
        struct vega_error *err);

/* Reads all rows; returns how many, or releases what was read and fails. */
int postgres_read_jobs(
        const PGresult *result, unsigned parts, struct job *jobs, struct vega_error *err);

/* "{PENDING,FAILED}", as a vega.state[]. */
const char *postgres_state_array(uint32_t states, struct buf *out);

/*
 * One column of a batch: an array parameter, in PostgreSQL's binary form so that nothing is quoted.
 * Zeroed it is empty; its elements are all text (NULL: SQL's NULL), all bytes, all uuid, or all
 * bigint. One of nothing but NULLs is sent as NULL: unnest() makes the same of it, beside others,
 * and sooner.
 */
struct postgres_array {
	struct buf bytes;
	int32_t type;
	uint32_t count;
	bool known; /* an element is not NULL */
};

void postgres_array_text(struct postgres_array *array, const char *text);
void postgres_array_uuid(struct postgres_array *array, const char *text); /* NULL, if it is none */
void postgres_array_bytes(struct postgres_array *array, const char *text);
void postgres_array_integer(struct postgres_array *array, int64_t value);
void postgres_array_nonzero(struct postgres_array *array, int64_t value); /* 0: NULL */

/* The next parameters, which borrow from the arrays; none of these may be empty. False: no memory.
 */
bool postgres_add_arrays(
        struct postgres_parameters *p, struct postgres_array *arrays, unsigned count);
void postgres_arrays_release(struct postgres_array *arrays, unsigned count);

/* Sets the deadline, and connects when that is needed. */
int postgres_begin_call(struct postgres_store *store, struct vega_error *err);

/*
 * Runs one statement, which is its own transaction, until the deadline: again after a deadlock or a
 * serialization failure, and again on a new connection after the loss of one. So every statement
 * must be one that may be repeated; after postgres_run("BEGIN") each is tried once. The caller
 * clears *result.
 */
int postgres_query(struct postgres_store *store, const struct postgres_statement *statement,
        const struct postgres_parameters *parameters, PGresult **result, struct vega_error *err);

/* Runs statements without parameters as one transaction, on this connection or not at all. */
int postgres_run(struct postgres_store *store, const char *sql, struct vega_error *err);

void postgres_disconnect(struct postgres_store *store);

/* The message for a lost connection, with libpq's reason. */
int postgres_lost(struct postgres_store *store, struct vega_error *err);

/* Remembers what the caller looks at, for wait(). id NULL: everything. */
void postgres_watch(struct postgres_store *store, const char *id);

/*
 * A session is set up for statements that look each row up by its key: planned once, and well even
 * when the tables were empty then. This makes it one that searches, as lists do.
 */
int postgres_search(struct postgres_store *store, struct vega_error *err);

/* From now on, no statement of this connection waits for a lock longer than for a part of its time:
 * then it sets `locked`, and fails. A connection that is lost here is made again by the statement.
 */
void postgres_hurry(struct postgres_store *store);

/* What claim() and finish() say of a claim: how many, the worker, the lease, and with QUEUES_ONE or
 * QUEUES_MANY the queues. Text is the arena's, or borrowed. False: no memory. */
bool postgres_add_claim(struct postgres_parameters *p, struct arena *arena,
        const struct store_claim *claim, enum store_queues *kind);

/* 1: something that a clock had put far ahead is not any more. `idle`: no job is due. */
int postgres_mend_clock(struct postgres_store *store, bool idle, struct vega_error *err);

/* Slots of the driver. */
store_submit_call postgres_submit;
store_claim_call postgres_claim;
store_heartbeat_call postgres_heartbeat;
store_commit_call postgres_commit;
store_finish_call postgres_finish;
store_cancel_call postgres_cancel;
store_get_call postgres_get;
store_list_call postgres_list;
store_next_due_call postgres_next_due;
store_wait_call postgres_wait;
store_announce_call postgres_announce;
store_leave_call postgres_leave;
store_workers_call postgres_workers;
store_stats_call postgres_stats;
store_prune_call postgres_prune;

#endif
