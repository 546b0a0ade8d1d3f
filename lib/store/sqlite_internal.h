/* The SQLite store: its handle, its file (sqlite_file.c), its statements (sqlite_statement.c), its
 * calls (sqlite.c), its housekeeping (sqlite_admin.c), its waiting (sqlite_wait.c). */
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

#define SQLITE_SCHEMA_VERSION 3
extern const char sqlite_schema[];

/* What turns a store of version n into one of version n + 1. */
extern const char *const sqlite_upgrades[SQLITE_SCHEMA_VERSION];

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

/* Slots of the driver. */
int sqlite_wait(struct store *base, uint64_t timeout_ms, int wake_fd, struct vega_error *err);
int sqlite_announce(struct store *base, const struct store_worker *worker, struct vega_error *err);
int sqlite_leave(struct store *base, const char *name, struct vega_error *err);
int sqlite_workers(
        struct store *base, store_each_worker *each, void *context, struct vega_error *err);
int sqlite_stats(struct store *base, store_each_stats *each, void *context, struct vega_error *err);
int sqlite_prune(struct store *base, struct store_prune *prune, struct vega_error *err);

#endif
