/* submit() of the SQLite store: each job and its state, or the job that was there already. */

#include "store/sqlite_internal.h"

#include <stdio.h>
#include <string.h>

struct submission {
	sqlite3_stmt *job, *state, *first;
	int64_t now;
};

static int prepare_submission(
        struct sqlite_store *store, struct submission *s, struct vega_error *err)
{
	s->now = sqlite_now_us();
	int code = sqlite_prepare(store, &s->job, err,
	        "INSERT INTO job (id, spec, submitter, queue, priority, max_attempts,"
	        " idempotency_key, labels, created, not_before, timeout_ms, memory_bytes,"
	        " output_bytes)"
	        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
	        "");
	code = code ? code
	            : sqlite_prepare(store, &s->state, err,
	                      "INSERT INTO job_state (nr, queue, priority, due)"
	                      " VALUES (?, ?, ?, ?)",
	                      "");
	return code ? code
	            : sqlite_prepare(store, &s->first, err,
	                      "SELECT id, 1 FROM job WHERE id = ?1 UNION ALL"
	                      " SELECT id, spec = ?4 FROM job"
	                      " WHERE submitter = ?2 AND idempotency_key = ?3 LIMIT 1",
	                      "");
}

static int submit_one(struct sqlite_store *store, struct submission *s, struct arena *arena,
        struct store_request *request, struct vega_error *err)
{
	char id[UUID_TEXT];
	const char *submitter = request->submitter ? request->submitter : "";
	const char *key = request->idempotency_key;
	const char *queue = request->queue ? request->queue : "default";
	const char *labels = request->labels ? request->labels : "{}";
	int64_t priority = request->priority;
	int64_t attempts = request->max_attempts ? request->max_attempts : JOB_MAX_ATTEMPTS_DEFAULT;
	int64_t not_before = store_time_us(request->not_before);
	int code = store_id(request->id, id, err);
	if (code) {
		return code;
	}
	if (!store_clean(arena, &submitter) || !store_clean(arena, &key) ||
	        !store_clean(arena, &queue)) {
		return vega_fail_nomem(err);
	}
	code = sqlite_rebind(store, s->job, err, "ssssiissitttt", id, request->spec, submitter,
	        queue, priority, attempts, key, labels, s->now, not_before,
	        store_limit(request->limits.timeout_ms), store_limit(request->limits.memory_bytes),
	        store_limit(request->limits.output_bytes));
	code = code ? code : sqlite_execute(store, s->job, err);
	if (code) {
		return code;
	}
	if (sqlite3_changes(store->db) == 1) {
		memcpy(request->stored_id, id, UUID_TEXT);
		request->existed = false;
		code = sqlite_rebind(store, s->state, err, "isii",
		        (int64_t)sqlite3_last_insert_rowid(store->db), queue, priority,
		        not_before); /* 1970 without one: due at once, whatever the clock says */
		return code ? code : sqlite_execute(store, s->state, err);
	}
	code = sqlite_rebind(store, s->first, err, "ssss", id, submitter, key, request->spec);
	code = code ? code : sqlite_step(store, s->first, err);
	if (code == 1) {
		const char *first = (const char *)sqlite3_column_text(s->first, 0);
		snprintf(request->stored_id, UUID_TEXT, "%s", first);
		request->existed = strcmp(first, id) != 0;
		bool same_spec = sqlite3_column_int(s->first, 1);
		sqlite3_reset(s->first);
		code = same_spec ? 0 : store_key_taken(request, request->stored_id, err);
	}
	return code;
}

int sqlite_submit(
        struct store *base, struct store_request *requests, size_t count, struct vega_error *err)
{
	struct sqlite_store *store = (struct sqlite_store *)base;
	struct submission s = {0};
	struct arena arena = {0};
	int code = sqlite_begin(store, err);
	if (code) {
		return code;
	}
	code = prepare_submission(store, &s, err);
	for (size_t i = 0; code == 0 && i < count; i++) {
		code = submit_one(store, &s, &arena, &requests[i], err);
	}
	sqlite_release(s.job);
	sqlite_release(s.state);
	sqlite_release(s.first);
	arena_release(&arena);
	return sqlite_end(store, code, err);
}
