/*
 * The SQLite store, from below: its tables (sqlite_schema.c), its file (sqlite_file.c), its
 * statements (sqlite_statement.c); then its calls, a file for those that belong together
 * (sqlite_submit.c, sqlite_claim.c, sqlite_finish.c, sqlite_read.c, sqlite_wait.c, sqlite_admin.c);
 * and the driver (sqlite.c).
 */
#ifndef VEGA_STORE_SQLITE_INTERNAL_H
#define VEGA_STORE_SQLITE_INTERNAL_H

#include <sqlite3.h>
#include <sys/types.h>

#include "store/store_internal.h"

struct sqlite_store {
	struct store base;
	sqlite3 *db;
	char *path; /* absolute, links resolved */
	dev_t dev;  /* which file is open, so that one put in its place is noticed */
	ino_t ino;
	unsigned timeout_ms;
	uint64_t deadline;    /* of the call at work */
	int64_t data_version; /* what the last wait() saw */
	uint64_t mended_at;   /* see store_mend_due() */
	int inotify;          /* on the file's directory; -1: none yet, or not to be had */
};

/* Conditions: the state of s is among a parameter's bits (1 << enum job_state); j has a label, or
 * none is wanted. */
#define SQLITE_STATE_IN(bits) \
	"(" bits " >> CASE s.state WHEN 'PENDING' THEN 0 WHEN 'PROCESSING' THEN 1" \
	" WHEN 'COMPLETED' THEN 2 WHEN 'FAILED' THEN 3 ELSE 4 END) & 1"
#define SQLITE_LABELLED(key, value) \
	"(" key " IS NULL OR EXISTS (SELECT 1 FROM json_each(j.labels) l" \
	" WHERE l.key = " key " AND l.value = " value "))"

#define SQLITE_JOB_TABLES " FROM job j JOIN job_state s ON s.nr = j.nr"

/* Of claim() and next_due(), with the queues as parameter 3. */
#define SQLITE_IN_ONE "AND queue = ?3"
#define SQLITE_IN_MANY "AND queue IN (SELECT value FROM json_each(?3))"

#define SQLITE_SCHEMA_VERSION 3
extern const char sqlite_schema[];

/* What turns a store of version n into one of version n + 1. */
extern const char *const sqlite_upgrades[SQLITE_SCHEMA_VERSION];

#define SQLITE_APPLICATION_ID 0x56656761 /* "Vega" */

/* What comes after "sqlite:". */
int sqlite_path(const char *url, const char **path, struct vega_error *err);

/* The file that `path` names, in *whole with its links resolved, which the caller frees; created
 * when nothing is there, and its directory, too. VEGA_FATAL: its locks would not hold there, or it
 * would not be empty. */
int sqlite_place(const char *path, char **whole, struct vega_error *err);

bool sqlite_no_space(int errnum);

/* Opens what `path` names, after creating it when nothing is there. sqlite_file_close() is needed
 * even after a failure. */
int sqlite_file_open(struct sqlite_store *store, const char *path, struct vega_error *err);
void sqlite_file_close(struct sqlite_store *store);

/* Begins a call: sets its deadline, and opens the file anew when another one was put in its place.
 */
int sqlite_begin_call(struct sqlite_store *store, struct vega_error *err);

/* Maps SQLite's last error, and rolls back. */
int sqlite_fail(struct sqlite_store *store, struct vega_error *err);

/* Runs statements without parameters or rows. */
int sqlite_run(struct sqlite_store *store, const char *sql, struct vega_error *err);

/* The first column of the first row. */
int sqlite_integer(
        struct sqlite_store *store, const char *sql, int64_t *value, struct vega_error *err);

int64_t sqlite_now_us(void);

/*
 * The statement with its parameters, ready to step, or NULL after a failure. A letter for each: s
 * const char * (NULL: SQL's NULL), i int64_t, t int64_t (0: NULL). Text must outlive it; the caller
 * releases it. It stays prepared until the file is closed.
 */
int sqlite_prepare(struct sqlite_store *store, sqlite3_stmt **statement, struct vega_error *err,
        const char *sql, const char *letters, ...);

void sqlite_release(sqlite3_stmt *statement); /* may be NULL */

/* The same for a statement that was run before. */
int sqlite_rebind(struct sqlite_store *store, sqlite3_stmt *statement, struct vega_error *err,
        const char *letters, ...);

/* 1: a row; 0: the end; negative: failed. */
int sqlite_step(struct sqlite_store *store, sqlite3_stmt *statement, struct vega_error *err);

/* Goes through the rows while *code is 0: true with one at hand. False: at their end, or *code
 * tells.
 */
bool sqlite_next(
        struct sqlite_store *store, sqlite3_stmt *statement, int *code, struct vega_error *err);

/* Steps a statement that returns no rows, once. */
int sqlite_execute(struct sqlite_store *store, sqlite3_stmt *statement, struct vega_error *err);

/* Begins a call that writes. */
int sqlite_begin(struct sqlite_store *store, struct vega_error *err);

/* Commits when code is 0, else rolls back what is left to roll back. */
int sqlite_end(struct sqlite_store *store, int code, struct vega_error *err);

/* A row of a statement: the text of a struct store_row. */
const char *sqlite_row_text(void *statement, int column);

/* Fills a zeroed job from a row, as store_read_job() does. */
int sqlite_read_job(
        sqlite3_stmt *statement, unsigned parts, struct job *job, struct vega_error *err);

/* Claims within a transaction: how many, or a negative code. */
int sqlite_claim_now(struct sqlite_store *store, const struct store_claim *claim, struct job *jobs,
        struct vega_error *err);

/* sqlite_end() for a call that claimed as many jobs as code says: returns that, or releases them
 * and fails. */
int sqlite_end_claim(
        struct sqlite_store *store, int code, struct job *jobs, struct vega_error *err);

/* 1: something that a clock had put far ahead is not any more. */
int sqlite_mend_clock(struct sqlite_store *store, struct vega_error *err);

/* Slots of the driver. */
store_submit_call sqlite_submit;
store_claim_call sqlite_claim;
store_heartbeat_call sqlite_heartbeat;
store_commit_call sqlite_commit;
store_finish_call sqlite_finish;
store_cancel_call sqlite_cancel;
store_get_call sqlite_get;
store_list_call sqlite_list;
store_next_due_call sqlite_next_due;
store_wait_call sqlite_wait;
store_announce_call sqlite_announce;
store_leave_call sqlite_leave;
store_workers_call sqlite_workers;
store_stats_call sqlite_stats;
store_prune_call sqlite_prune;
store_shared_call sqlite_shared;

#endif