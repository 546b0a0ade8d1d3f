#include "store/sqlite_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/killpoint.h"
#include "store/rules.h"

#define JOB_COLUMNS JOB_COLUMNS_WITH("j.spec")
#define JOB_COLUMNS_WITH(spec) \
	STORE_CLAIM_COLUMNS_WITH(spec) \
	", j.priority, j.idempotency_key, j.labels, j.created, j.not_before, s.worker," \
	" s.lease_until, s.started, s.finished, s.cancel_requested, s.progress, s.error, j.nr"
#define RESULT_COLUMNS \
	", r.summary, r.records_uri, r.records_size, r.records_digest, r.stderr_tail, r.exit_code"
#define RECORDS_COLUMN ", r.records"

#define JOB_TABLES " FROM job j JOIN job_state s ON s.nr = j.nr"
#define RESULT_TABLE " LEFT JOIN job_result r ON r.nr = j.nr"

static struct sqlite_store *handle(struct store *base)
{
	return (struct sqlite_store *)base;
}

static int read_job(
        sqlite3_stmt *statement, unsigned parts, struct job *job, struct vega_error *err)
{
	struct store_row row = {.text = sqlite_row_text, .context = statement};
	return store_read_job(job, &row, parts, err);
}

static int sqlite_open(
        const char *url, unsigned timeout_ms, struct store **out, struct vega_error *err)
{
	const char *path = url + strlen("sqlite:");
	if (!*path) {
		return vega_fail(err, VEGA_USAGE, "'sqlite:' names no file; say sqlite:PATH");
	}
	struct sqlite_store *store = calloc(1, sizeof *store);
	if (!store) {
		return vega_fail_nomem(err);
	}
	store->base.driver = &store_sqlite;
	store->timeout_ms = store_timeout(timeout_ms);
	store->inotify = -1;
	store->deadline = monotonic_ms() + store->timeout_ms;
	int code = sqlite_file_open(store, path, err);
	if (code == 0) {
		code = sqlite_integer(store, "PRAGMA data_version", &store->data_version, err);
	}
	if (code) {
		store_sqlite.close(&store->base);
		return code;
	}
	*out = &store->base;
	return 0;
}

static void sqlite_close(struct store *base)
{
	struct sqlite_store *store = handle(base);
	sqlite_file_close(store);
	free(store->path);
	free(store);
}

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
		        not_before ? not_before : s->now);
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

static int sqlite_submit(
        struct store *base, struct store_request *requests, size_t count, struct vega_error *err)
{
	struct sqlite_store *store = handle(base);
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

/* Jobs whose worker was lost and that are not tried again. */
static int bury(struct sqlite_store *store, int64_t now, struct vega_error *err)
{
	sqlite3_stmt *statement;
	int code = sqlite_prepare(store, &statement, err,
	        "UPDATE job_state AS s SET"
	        " state = CASE WHEN s.cancel_requested THEN 'CANCELLED' ELSE 'FAILED' END,"
	        " error = printf('worker %s was lost in attempt %d of %d', s.worker, s.attempt,"
	        "  j.max_attempts),"
	        " lease_seq = s.lease_seq + 1, lease_until = NULL, finished = ?1"
	        " FROM job j WHERE j.nr = s.nr AND s.state = 'PROCESSING' AND s.lease_until <= ?1"
	        " AND (s.cancel_requested OR s.attempt >= j.max_attempts)"
	        " AND s.committed_seq = 0",
	        "i", now);
	code = code ? code : sqlite_execute(store, statement, err);
	sqlite_release(statement);
	return code;
}

#define CLAIMABLE(condition, queues) \
	"SELECT * FROM (SELECT nr, priority FROM job_state WHERE " condition " " queues \
	" ORDER BY priority DESC, nr LIMIT ?2)"
#define PICK(queues) \
	CLAIMABLE("state = 'PENDING' AND due <= ?1", queues) \
	" UNION ALL " CLAIMABLE("state = 'PROCESSING' AND lease_until <= ?1", \
	        queues) " ORDER BY 2 DESC, 1 LIMIT ?2"
#define IN_ONE "AND queue = ?3"
#define IN_MANY "AND queue IN (SELECT value FROM json_each(?3))"

static const char *const picks[QUEUES_KINDS] = {
        [QUEUES_ANY] = PICK(""),
        [QUEUES_ONE] = PICK(IN_ONE),
        [QUEUES_MANY] = PICK(IN_MANY),
};

static int pick(struct sqlite_store *store, const struct store_claim *claim, int64_t now,
        int64_t *numbers, struct vega_error *err)
{
	sqlite3_stmt *statement = NULL;
	struct buf queues = BUF_INIT;
	enum store_queues kind = store_queues(claim->queues, &queues);
	const char *parameter = buf_cstr(&queues);
	int count = 0, code = parameter ? 0 : vega_fail_nomem(err);
	code = code ? code
	            : sqlite_prepare(store, &statement, err, picks[kind],
	                      kind == QUEUES_ANY ? "ii" : "iis", now, (int64_t)claim->max,
	                      parameter);
	while (sqlite_next(store, statement, &code, err)) {
		numbers[count++] = sqlite3_column_int64(statement, 0);
	}
	sqlite_release(statement);
	buf_release(&queues);
	return code ? code : count;
}

/* All that is left of a job that another program removed. */
static int drop_state(struct sqlite_store *store, int64_t number, struct vega_error *err)
{
	sqlite3_stmt *statement;
	int code = sqlite_prepare(
	        store, &statement, err, "DELETE FROM job_state WHERE nr = ?", "i", number);
	code = code ? code : sqlite_execute(store, statement, err);
	sqlite_release(statement);
	return code;
}

/* Takes the picked jobs and reads them. */
static int take(struct sqlite_store *store, const struct store_claim *claim, int64_t now,
        const int64_t *numbers, int count, struct job *jobs, struct vega_error *err)
{
	sqlite3_stmt *update = NULL, *load = NULL;
	struct arena arena = {0};
	const char *worker = claim->worker;
	int done = 0, code = store_clean(&arena, &worker) ? 0 : vega_fail_nomem(err);
	code = code ? code
	            : sqlite_prepare(store, &update, err,
	                      "UPDATE job_state SET"
	                      " error = CASE WHEN state = 'PROCESSING' THEN"
	                      "  printf('worker %s was lost in attempt %d', worker, attempt)"
	                      "  ELSE error END,"
	                      " state = 'PROCESSING', attempt = attempt + 1,"
	                      " lease_seq = lease_seq + 1,"
	                      " worker = ?1, lease_until = ?2, started = ?3, progress = NULL"
	                      " WHERE nr = ?4",
	                      "");
	code = code ? code
	            : sqlite_prepare(store, &load, err,
	                      "SELECT " STORE_CLAIM_COLUMNS JOB_TABLES " WHERE j.nr = ?", "");
	for (int i = 0; code == 0 && i < count; i++) {
		code = sqlite_rebind(store, update, err, "siii", worker,
		        now + store_span_us(claim->lease_ms), now, numbers[i]);
		code = code ? code : sqlite_execute(store, update, err);
		code = code ? code : sqlite_rebind(store, load, err, "i", numbers[i]);
		code = code ? code : sqlite_step(store, load, err);
		if (code == 1) {
			code = read_job(load, 0, &jobs[done], err);
			done += code == 0;
		} else if (code == 0) {
			code = drop_state(store, numbers[i], err);
		}
	}
	sqlite_release(update);
	sqlite_release(load);
	arena_release(&arena);
	while (code && done > 0) {
		job_release(&jobs[--done]);
	}
	return code ? code : done;
}

/* Claims within a transaction. */
static int claim_now(struct sqlite_store *store, const struct store_claim *claim, struct job *jobs,
        struct vega_error *err)
{
	int64_t now = sqlite_now_us();
	int64_t *numbers = calloc(claim->max, sizeof *numbers);
	if (!numbers) {
		return vega_fail_nomem(err);
	}
	int code = bury(store, now, err);
	code = code ? code : pick(store, claim, now, numbers, err);
	code = code > 0 ? take(store, claim, now, numbers, code, jobs, err) : code;
	free(numbers);
	return code;
}

/* As sqlite_end(), for a call that claimed as many jobs as code says. */
static int end_claim(struct sqlite_store *store, int code, struct job *jobs, struct vega_error *err)
{
	int claimed = code > 0 ? code : 0;
	code = sqlite_end(store, code < 0 ? code : 0, err);
	for (int i = 0; code && i < claimed; i++) {
		job_release(&jobs[i]);
	}
	return code ? code : claimed;
}

/* Looks before it locks, so that idle workers do not keep others from writing. */
static int any_claimable(struct sqlite_store *store, int64_t now, struct vega_error *err)
{
	sqlite3_stmt *statement;
	int code = sqlite_prepare(store, &statement, err,
	        "SELECT EXISTS (SELECT 1 FROM job_state WHERE state = 'PENDING' AND due <= ?1) OR"
	        " EXISTS (SELECT 1 FROM job_state WHERE state = 'PROCESSING' AND lease_until <= "
	        "?1)",
	        "i", now);
	code = code ? code : sqlite_step(store, statement, err);
	if (code == 1) {
		code = sqlite3_column_int(statement, 0);
	}
	sqlite_release(statement);
	return code;
}

static int sqlite_claim(struct store *base, const struct store_claim *claim, struct job *jobs,
        struct vega_error *err)
{
	struct sqlite_store *store = handle(base);
	memset(jobs, 0, claim->max * sizeof *jobs);
	int code = sqlite_begin_call(store, err);
	code = code ? code : any_claimable(store, sqlite_now_us(), err);
	if (code <= 0) {
		return code;
	}
	code = sqlite_run(store, "BEGIN IMMEDIATE", err);
	if (code == 0) {
		KILL_POINT(sqlite_begun);
		code = end_claim(store, claim_now(store, claim, jobs, err), jobs, err);
	}
	return code;
}

static int sqlite_heartbeat(struct store *base, const char *worker, struct store_lease *leases,
        size_t count, uint64_t lease_ms, struct vega_error *err)
{
	struct sqlite_store *store = handle(base);
	sqlite3_stmt *update = NULL;
	struct arena arena = {0};
	int code = sqlite_begin(store, err);
	if (code) {
		return code;
	}
	code = store_clean(&arena, &worker) ? 0 : vega_fail_nomem(err);
	code = code ? code
	            : sqlite_prepare(store, &update, err,
	                      "UPDATE job_state SET lease_until = ?1,"
	                      " progress = coalesce(?2, progress)"
	                      " WHERE nr = (SELECT nr FROM job WHERE id = lower(?3))"
	                      " AND lease_seq = ?4 AND state = 'PROCESSING' AND worker = ?5"
	                      " RETURNING cancel_requested",
	                      "");
	int64_t until = sqlite_now_us() + store_span_us(lease_ms);
	for (size_t i = 0; code == 0 && i < count; i++) {
		code = sqlite_rebind(store, update, err, "issis", until, leases[i].progress,
		        leases[i].id, (int64_t)leases[i].lease_seq, worker);
		code = code ? code : sqlite_step(store, update, err);
		if (code >= 0) {
			leases[i].lost = code == 0;
			leases[i].cancel = code == 1 && sqlite3_column_int(update, 0);
			code = 0;
		}
	}
	sqlite_release(update);
	arena_release(&arena);
	return sqlite_end(store, code, err);
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
	        " s.cancel_requested, s.committed_seq" JOB_TABLES " WHERE j.id = lower(?)",
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
	code = code ? code : sqlite_execute(store, statement, err);
	code = code ? code : store_result(store, &arena, job, result, err);
	sqlite_release(statement);
	arena_release(&arena);
	return code;
}

static int sqlite_commit(struct store *base, const struct store_lease *lease,
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

static int sqlite_finish(struct store *base, struct store_ending *endings, size_t count,
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
		code = claim_now(store, claim, jobs, err);
	}
	return end_claim(store, code, jobs, err);
}

static int sqlite_cancel(
        struct store *base, const char *id, enum job_state *state, struct vega_error *err)
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

static int sqlite_get(
        struct store *base, const char *id, unsigned parts, struct job *job, struct vega_error *err)
{
	struct sqlite_store *store = handle(base);
	sqlite3_stmt *statement = NULL;
	char canonical[UUID_TEXT];
	*job = (struct job){0};
	int code = store_id(id, canonical, err);
	code = code ? code : sqlite_begin_call(store, err);
	if (code) {
		return code;
	}
	/* Not to read a large stream for nothing, it is named only when it is wanted. */
	const char *sql = parts & STORE_PART_RECORDS
	                          ? "SELECT " JOB_COLUMNS RESULT_COLUMNS RECORDS_COLUMN JOB_TABLES
	                                    RESULT_TABLE " WHERE j.id = ?"
	                          : "SELECT " JOB_COLUMNS RESULT_COLUMNS JOB_TABLES RESULT_TABLE
	                            " WHERE j.id = ?";
	code = sqlite_prepare(store, &statement, err, sql, "s", canonical);
	code = code ? code : sqlite_step(store, statement, err);
	if (code == 1) {
		code = read_job(statement, STORE_PART_REST | parts, job, err);
	} else if (code == 0) {
		code = vega_fail(err, VEGA_NO, "no job %s", id);
	}
	sqlite_release(statement);
	return code;
}

/* The index of times only tells where to end: a page is read by number, not sorted. */
/* clang-format off */
#define LIST(spec) \
	"SELECT " JOB_COLUMNS_WITH(spec) JOB_TABLES \
	" WHERE j.nr < ?1 AND " SQLITE_STATE_IN("?2") \
	" AND j.queue = coalesce(?3, j.queue) AND j.submitter = coalesce(?4, j.submitter)" \
	" AND " SQLITE_LABELLED("?5", "?6") \
	" AND (?7 IS NULL OR +j.created >= ?7) AND j.nr >= CASE WHEN ?7 IS NULL THEN 0" \
	"  ELSE (SELECT min(n.nr) FROM job n WHERE n.created >= ?7) END" \
	" AND +j.created <= ?8 ORDER BY j.nr DESC LIMIT ?9"
/* clang-format on */

static int list_page(
        struct store *base, struct store_page *page, struct job *jobs, struct vega_error *err)
{
	struct sqlite_store *store = handle(base);
	const struct store_filter *filter = page->filter;
	sqlite3_stmt *statement = NULL;
	int64_t now = sqlite_now_us();
	const char *sql = filter->parts & STORE_PART_SPEC ? LIST("j.spec") : LIST("NULL");
	size_t bytes = 0;
	int count = 0, code = sqlite_begin_call(store, err);
	code = code ? code
	            : sqlite_prepare(store, &statement, err, sql, "iisssstii", page->before,
	                      (int64_t)(filter->states ? filter->states : UINT32_MAX),
	                      filter->queue, filter->submitter, page->label_key, page->label_value,
	                      filter->younger_ms ? now - store_span_us(filter->younger_ms) : 0,
	                      filter->older_ms ? now - store_span_us(filter->older_ms) : INT64_MAX,
	                      (int64_t)page->limit);
	while (bytes < STORE_PAGE_BYTES && sqlite_next(store, statement, &code, err)) {
		page->before = sqlite3_column_int64(statement, COLUMN_NR);
		bytes += (size_t)sqlite3_column_bytes(statement, COLUMN_SPEC);
		code = read_job(statement, STORE_PART_REST, &jobs[count], err);
		count += code == 0;
	}
	page->more = count == (int)page->limit || bytes >= STORE_PAGE_BYTES;
	sqlite_release(statement);
	while (code && count > 0) {
		job_release(&jobs[--count]);
	}
	return code ? code : count;
}

static int sqlite_list(struct store *base, const struct store_filter *filter, store_each_job *each,
        void *context, struct vega_error *err)
{
	return store_list(base, filter, list_page, each, context, err);
}

#define EARLIEST(queues) \
	"SELECT CASE WHEN EXISTS (SELECT 1 FROM job_state WHERE state = 'PENDING' AND due <= ?1" \
	" " queues ") THEN ?1 ELSE min(" \
	"  coalesce((SELECT min(due) FROM job_state WHERE state = 'PENDING' " queues "), ?2)," \
	"  coalesce((SELECT min(lease_until) FROM job_state WHERE state = 'PROCESSING' " queues \
	"), ?2)) END"

static const char *const earliest[QUEUES_KINDS] = {
        [QUEUES_ANY] = EARLIEST(""),
        [QUEUES_ONE] = EARLIEST(IN_ONE),
        [QUEUES_MANY] = EARLIEST(IN_MANY),
};

static int sqlite_next_due(struct store *base, const struct strlist *queues, uint64_t limit_ms,
        uint64_t *due_ms, struct vega_error *err)
{
	struct sqlite_store *store = handle(base);
	sqlite3_stmt *statement = NULL;
	struct buf names = BUF_INIT;
	enum store_queues kind = store_queues(queues, &names);
	const char *parameter = buf_cstr(&names);
	int64_t now = sqlite_now_us(), latest = now + store_span_us(limit_ms);
	int code = parameter ? sqlite_begin_call(store, err) : vega_fail_nomem(err);
	code = code ? code
	            : sqlite_prepare(store, &statement, err, earliest[kind],
	                      kind == QUEUES_ANY ? "ii" : "iis", now, latest, parameter);
	code = code ? code : sqlite_step(store, statement, err);
	if (code == 1) {
		int64_t when = sqlite3_column_int64(statement, 0);
		*due_ms = when <= now ? 0 : (uint64_t)(when - now + 999) / 1000;
		*due_ms = *due_ms < limit_ms ? *due_ms : limit_ms;
		code = 0;
	}
	sqlite_release(statement);
	buf_release(&names);
	return code;
}

const struct store_driver store_sqlite = {
        .scheme = "sqlite",
        .open = sqlite_open,
        .submit = sqlite_submit,
        .claim = sqlite_claim,
        .heartbeat = sqlite_heartbeat,
        .commit = sqlite_commit,
        .finish = sqlite_finish,
        .cancel = sqlite_cancel,
        .get = sqlite_get,
        .list = sqlite_list,
        .next_due = sqlite_next_due,
        .wait = sqlite_wait,
        .announce = sqlite_announce,
        .leave = sqlite_leave,
        .workers = sqlite_workers,
        .stats = sqlite_stats,
        .prune = sqlite_prune,
        .close = sqlite_close,
};
