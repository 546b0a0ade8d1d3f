/* commit(), finish() and cancel() of the SQLite store: how a lease, or a job, ends. */

#include "store/sqlite_internal.h"

#include <string.h>

#include "store/rules.h"

static struct sqlite_store *handle(struct store *base)
{
	return (struct sqlite_store *)base;
}

/* A job that commit(), finish() or cancel() is about. */
struct subject {
	int64_t nr;
	struct store_hot hot;
};

/* 1; 0: there is none; negative: failed. */
static int find_job(
        struct sqlite_store *store, const char *id, struct subject *job, struct vega_error *err)
{
	sqlite3_stmt *statement;
	struct store_hot *hot = &job->hot;
	int code = sqlite_prepare(store, &statement, err,
	        "SELECT s.nr, s.lease_seq, s.finished_seq, s.attempt, j.max_attempts, s.state,"
	        " s.cancel_requested, s.committed_seq" SQLITE_JOB_TABLES " WHERE j.id = lower(?)",
	        "s", id);
	code = code ? code : sqlite_step(store, statement, err);
	if (code == 1) {
		job->nr = sqlite3_column_int64(statement, 0);
		hot->lease_seq = (uint64_t)sqlite3_column_int64(statement, 1);
		hot->finished_seq = (uint64_t)sqlite3_column_int64(statement, 2);
		hot->attempt = (unsigned)sqlite3_column_int64(statement, 3);
		hot->max_attempts = (unsigned)sqlite3_column_int64(statement, 4);
		job_state_parse((const char *)sqlite3_column_text(statement, 5), &hot->state);
		hot->cancel_requested = sqlite3_column_int(statement, 6) != 0;
		hot->committed_seq = (uint64_t)sqlite3_column_int64(statement, 7);
	}
	sqlite_release(statement);
	return code;
}

static int store_result(struct sqlite_store *store, struct arena *arena, const struct subject *job,
        const struct store_result *result, struct vega_error *err)
{
	sqlite3_stmt *statement = NULL;
	const char *uri = result->records_uri, *tail = result->stderr_tail;
	if (!store_clean(arena, &uri) || !store_clean(arena, &tail)) {
		return vega_fail_nomem(err);
	}
	int code = sqlite_prepare(store, &statement, err,
	        "INSERT OR REPLACE INTO job_result (nr, lease_seq, summary, records, records_uri,"
	        " records_size, records_digest, stderr_tail, exit_code)"
	        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
	        "iisssissi", job->nr, (int64_t)job->hot.lease_seq, result->summary, result->records,
	        uri, (int64_t)result->records_size, result->records_digest, tail,
	        (int64_t)result->exit_code);
	code = code ? code : sqlite_execute(store, statement, err);
	sqlite_release(statement);
	return code;
}

/* Adds what publishing left to the result that was committed. */
static int add_to_result(struct sqlite_store *store, struct arena *arena, const struct subject *job,
        const struct store_result *result, struct vega_error *err)
{
	sqlite3_stmt *statement = NULL;
	const char *tail = result->stderr_tail;
	if (!store_clean(arena, &tail)) {
		return vega_fail_nomem(err);
	}
	int code = sqlite_prepare(store, &statement, err,
	        "UPDATE job_result SET exit_code = max(exit_code, ?1),"
	        " stderr_tail = coalesce(?2, stderr_tail) WHERE nr = ?3",
	        "isi", (int64_t)result->exit_code, tail, job->nr);
	code = code ? code : sqlite_execute(store, statement, err);
	sqlite_release(statement);
	return code;
}

static int store_end(struct sqlite_store *store, const struct subject *job,
        const struct store_result *result, struct vega_error *err)
{
	sqlite3_stmt *statement = NULL;
	struct arena arena = {0};
	const char *error = result->error;
	enum job_state state = job->hot.state;
	bool released = result->outcome == STORE_RELEASED;
	int64_t now = sqlite_now_us();
	int64_t delay = released ? 0 : store_span_us(rule_delay_ms(&job->hot));
	int code = store_clean(&arena, &error) ? 0 : vega_fail_nomem(err);
	code = code ? code
	            : sqlite_prepare(store, &statement, err,
	                      "UPDATE job_state SET state = ?1, finished_seq = lease_seq,"
	                      " lease_until = NULL, finished = ?2, due = ?3, attempt = ?7,"
	                      " error = CASE WHEN ?4 THEN error ELSE ?5 END WHERE nr = ?6",
	                      "stiisii", job_state_name(state), job_state_terminal(state) ? now : 0,
	                      now + delay, (int64_t)released, error, job->nr,
	                      (int64_t)job->hot.attempt);
	code = code ? code : sqlite_execute(store, statement, err);
	if (code == 0 && job->hot.committed_seq && state == JOB_COMPLETED) {
		code = add_to_result(store, &arena, job, result, err);
	} else if (code == 0 && !job->hot.committed_seq && !released) {
		struct store_result left = {
		        .stderr_tail = result->stderr_tail, .exit_code = result->exit_code};
		code = store_result(
		        store, &arena, job, job->hot.cancel_requested ? &left : result, err);
	}
	sqlite_release(statement);
	arena_release(&arena);
	return code;
}

static int lease_lost(const struct store_lease *lease, struct vega_error *err)
{
	return vega_fail(err, VEGA_LEASE_LOST,
	        "lease %llu of job %s is no longer ours; its result is discarded",
	        (unsigned long long)lease->lease_seq, lease->id);
}

static int store_commit(struct sqlite_store *store, const struct subject *job,
        const struct store_result *result, struct vega_error *err)
{
	sqlite3_stmt *statement = NULL;
	struct arena arena = {0};
	int code = sqlite_prepare(store, &statement, err,
	        "UPDATE job_state SET committed_seq = lease_seq WHERE nr = ?", "i", job->nr);
	if (code == 0) {
		code = sqlite_execute(store, statement, err);
	}
	if (code == 0) {
		code = store_result(store, &arena, job, result, err);
	}
	sqlite_release(statement);
	arena_release(&arena);
	return code;
}

int sqlite_commit(struct store *base, const struct store_lease *lease,
        const struct store_result *result, struct vega_error *err)
{
	struct sqlite_store *store = handle(base);
	struct subject job = {0};
	int code = sqlite_begin(store, err);
	if (code) {
		return code;
	}
	code = find_job(store, lease->id, &job, err);
	if (code < 0) {
		return sqlite_end(store, code, err);
	}
	code = code ? rule_commit(&job.hot, lease->lease_seq) : VEGA_LEASE_LOST;
	if (code == VEGA_LEASE_LOST) {
		code = lease_lost(lease, err);
	} else if (code == VEGA_NO) {
		code = vega_fail(err, VEGA_NO, "cancellation of job %s was asked for", lease->id);
	} else if (code == 1) {
		code = store_commit(store, &job, result, err);
	}
	return sqlite_end(store, code, err);
}

static int finish_one(
        struct sqlite_store *store, struct store_ending *ending, struct vega_error *err)
{
	const struct store_lease *lease = ending->lease;
	const struct store_result *result = ending->result;
	struct subject job = {0};
	int code = find_job(store, lease->id, &job, err);
	if (code < 0) {
		return code;
	}
	code = code ? rule_finish(&job.hot, lease->lease_seq, result->outcome) : VEGA_LEASE_LOST;
	ending->code = code == VEGA_LEASE_LOST ? code : 0;
	ending->state = job_state_terminal(job.hot.state) ? job.hot.state : JOB_PENDING;
	return code > 0 ? store_end(store, &job, result, err) : 0;
}

int sqlite_finish(struct store *base, struct store_ending *endings, size_t count,
        const struct store_claim *claim, struct job *jobs, struct vega_error *err)
{
	struct sqlite_store *store = handle(base);
	int code = sqlite_begin(store, err);
	if (code) {
		return code;
	}
	for (size_t i = 0; code == 0 && i < count; i++) {
		code = finish_one(store, &endings[i], err);
	}
	if (code == 0 && claim) {
		memset(jobs, 0, claim->max * sizeof *jobs);
		code = sqlite_claim_now(store, claim, jobs, err);
	}
	return sqlite_end_claim(store, code, jobs, err);
}

int sqlite_cancel(struct store *base, const char *id, enum job_state *state, struct vega_error *err)
{
	struct sqlite_store *store = handle(base);
	sqlite3_stmt *statement = NULL;
	struct subject job = {0};
	char canonical[UUID_TEXT];
	int code = store_id(id, canonical, err);
	code = code ? code : sqlite_begin(store, err);
	if (code) {
		return code;
	}
	code = find_job(store, canonical, &job, err);
	if (code == 0) {
		code = vega_fail(err, VEGA_NO, "no job %s", id);
	} else if (code == 1 && rule_cancel(&job.hot) == VEGA_NO) {
		code = vega_fail(err, VEGA_NO,
		        "job %s is publishing its files; it is too late to cancel it", id);
	} else if (code == 1) {
		code = sqlite_prepare(store, &statement, err,
		        "UPDATE job_state SET cancel_requested = 1,"
		        " finished = CASE WHEN state = 'PENDING' THEN ?1 END,"
		        " state = CASE WHEN state = 'PENDING' THEN 'CANCELLED' ELSE state END"
		        " WHERE nr = ?2 AND state IN ('PENDING', 'PROCESSING')",
		        "ii", sqlite_now_us(), job.nr);
		code = code ? code : sqlite_execute(store, statement, err);
	}
	sqlite_release(statement);
	code = sqlite_end(store, code, err);
	if (code == 0 && state) {
		*state = job.hot.state;
	}
	return code;
}
