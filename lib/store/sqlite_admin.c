/* announce(), leave(), workers(), stats() and prune() of the SQLite store. */
#include <stdlib.h>

#include "store/sqlite_internal.h"

static struct sqlite_store *handle(struct store *base)
{
	return (struct sqlite_store *)base;
}

int sqlite_announce(struct store *base, const struct store_worker *worker, struct vega_error *err)
{
	struct sqlite_store *store = handle(base);
	sqlite3_stmt *statement = NULL;
	struct arena arena = {0};
	const char *name = worker->name, *host = worker->host;
	int code = store_clean(&arena, &name) && store_clean(&arena, &host)
	                   ? sqlite_begin(store, err)
	                   : vega_fail_nomem(err);
	if (code == 0) {
		code = sqlite_prepare(store, &statement, err,
		        "INSERT INTO worker (name, host, pid, version, started, seen, lease_ms, "
		        "jobs,"
		        " running, queues) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9)"
		        " ON CONFLICT (name) DO UPDATE SET seen = excluded.seen,"
		        " lease_ms = excluded.lease_ms, jobs = excluded.jobs,"
		        " running = excluded.running, queues = excluded.queues",
		        "ssisiiiis", name, host, (int64_t)worker->pid, worker->version,
		        sqlite_now_us(), store_limit(worker->lease_ms), (int64_t)worker->jobs,
		        (int64_t)worker->running, worker->queues);
		code = code ? code : sqlite_execute(store, statement, err);
		sqlite_release(statement);
		code = sqlite_end(store, code, err);
	}
	arena_release(&arena);
	return code;
}

int sqlite_leave(struct store *base, const char *name, struct vega_error *err)
{
	struct sqlite_store *store = handle(base);
	sqlite3_stmt *statement = NULL;
	struct arena arena = {0};
	int code = store_clean(&arena, &name) ? sqlite_begin(store, err) : vega_fail_nomem(err);
	if (code == 0) {
		code = sqlite_prepare(
		        store, &statement, err, "DELETE FROM worker WHERE name = ?", "s", name);
		code = code ? code : sqlite_execute(store, statement, err);
		sqlite_release(statement);
		code = sqlite_end(store, code, err);
	}
	arena_release(&arena);
	return code;
}

int sqlite_workers(
        struct store *base, store_each_worker *each, void *context, struct vega_error *err)
{
	struct sqlite_store *store = handle(base);
	sqlite3_stmt *statement = NULL;
	bool stopped = false;
	int code = sqlite_begin_call(store, err);
	code = code ? code
	            : sqlite_prepare(store, &statement, err,
	                      "SELECT name, host, pid, version, started, seen, lease_ms,"
	                      " jobs, running, queues, ? FROM worker ORDER BY name",
	                      "i", sqlite_now_us());
	while (!stopped && sqlite_next(store, statement, &code, err)) {
		const struct store_row row = {.text = sqlite_row_text, .context = statement};
		const struct store_worker worker = store_read_worker(&row);
		stopped = each(&worker, context) != 0;
	}
	sqlite_release(statement);
	return code;
}

#define LATER(a, b) "max(" a ", " b ")"
#define AGE(time) "(?1 - " time ") / 1000"

int sqlite_stats(struct store *base, store_each_stats *each, void *context, struct vega_error *err)
{
	struct sqlite_store *store = handle(base);
	sqlite3_stmt *statement = NULL;
	bool stopped = false;
	int code = sqlite_begin_call(store, err);
	code = code ? code
	            : sqlite_prepare(store, &statement, err,
	                      "SELECT " STORE_STATS("?1", "60000000", "3600000000", AGE,
	                              LATER) " FROM job j LEFT JOIN job_state s ON s.nr = j.nr "
	                                     "LEFT JOIN job_result r ON r.nr = j.nr GROUP BY "
	                                     "j.queue ORDER BY j.queue",
	                      "i", sqlite_now_us());
	while (!stopped && sqlite_next(store, statement, &code, err)) {
		const struct store_row row = {.text = sqlite_row_text, .context = statement};
		const struct store_stats stats = store_read_stats(&row);
		stopped = each(&stats, context) != 0;
	}
	sqlite_release(statement);
	return code;
}

/* Looks at a batch, and fills numbers with the jobs to delete. How many it looked at. */
static int look(struct sqlite_store *store, struct store_prune *prune, int64_t *numbers, int *gone,
        struct vega_error *err)
{
	sqlite3_stmt *statement = NULL;
	struct arena arena = {0};
	const char *queue = prune->queue, *label = prune->label, *key, *value;
	bool clean = store_clean(&arena, &queue) && store_clean(&arena, &label);
	int seen = 0, code = clean ? store_split_label(label, &arena, &key, &value, err)
	                           : vega_fail_nomem(err);
	code = code ? code
	            : sqlite_prepare(store, &statement, err,
	                      "SELECT s.nr, j.id, s.lease_seq, j.spec, r.records_uri,"
	                      " coalesce(r.records_size, 0) FROM job_state s"
	                      " JOIN job j ON j.nr = s.nr"
	                      " LEFT JOIN job_result r ON r.nr = s.nr"
	                      " WHERE s.nr > ?1 AND " SQLITE_STATE_IN(
	                              "?2") " AND s.finished <= ?3"
	                                    " AND s.queue = coalesce(?4, s.queue)"
	                                    " AND " SQLITE_LABELLED(
	                                            "?5", "?6") " ORDER BY s.nr LIMIT ?7",
	                      "iiisssi", prune->after, (int64_t)store_prunable(prune),
	                      sqlite_now_us() - store_span_us(prune->older_ms), queue, key, value,
	                      (int64_t)prune->batch);
	while (sqlite_next(store, statement, &code, err)) {
		const struct store_row row = {.text = sqlite_row_text, .context = statement};
		if (store_prune_row(prune, &row)) {
			numbers[(*gone)++] = prune->after;
		}
		seen++;
	}
	sqlite_release(statement);
	arena_release(&arena);
	return code ? code : seen;
}

static int delete_jobs(
        struct sqlite_store *store, const int64_t *numbers, int count, struct vega_error *err)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite_prepare(store, &statement, err, "DELETE FROM job WHERE nr = ?", "");
	for (int i = 0; code == 0 && i < count; i++) {
		code = sqlite_rebind(store, statement, err, "i", numbers[i]);
		code = code ? code : sqlite_execute(store, statement, err);
	}
	sqlite_release(statement);
	return code;
}

int sqlite_prune(struct store *base, struct store_prune *prune, struct vega_error *err)
{
	struct sqlite_store *store = handle(base);
	int gone = 0;
	int64_t *numbers = calloc(prune->batch, sizeof *numbers);
	int code = !numbers         ? vega_fail_nomem(err)
	           : prune->dry_run ? sqlite_begin_call(store, err)
	                            : sqlite_begin(store, err);
	bool begun = code == 0 && !prune->dry_run;
	if (code == 0) {
		code = look(store, prune, numbers, &gone, err);
	}
	if (begun) {
		int failed = code < 0 ? code : delete_jobs(store, numbers, gone, err);
		failed = sqlite_end(store, failed, err);
		code = failed ? failed : code;
	}
	free(numbers);
	return code;
}
