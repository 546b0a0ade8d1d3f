#include "store/postgres_internal.h"

#include <stdlib.h>
#include <string.h>

/* Numbers of statements, for postgres_query(). */
enum statement {
	SUBMIT,
	FIND_FIRST,
	CLAIM,
	HEARTBEAT = CLAIM + QUEUES_KINDS,
	COMMIT,
	FIND_COMMIT,
	FINISH,
	FIND_LEASE,
	CANCEL,
	FIND_STATE,
	GET,
	GET_RECORDS,
	LIST,
	NEXT_DUE,
	STATEMENTS = NEXT_DUE + QUEUES_KINDS,
};
_Static_assert(STATEMENTS <= POSTGRES_ADMIN_FIRST, "each has a number of its own");

/* Times leave as microseconds. */
#define JOB_COLUMNS \
	"j.id, j.spec, j.submitter, j.queue, j.priority, j.max_attempts, j.idempotency_key," \
	" j.labels, j.timeout_ms, j.memory_bytes, j.output_bytes, (extract(epoch FROM j.created) " \
	"* 1000000)::bigint," \
	" (extract(epoch FROM j.not_before) * 1000000)::bigint, s.state, s.attempt," \
	" s.lease_seq, s.committed_seq, s.worker, (extract(epoch FROM s.lease_until) * " \
	"1000000)::bigint," \
	" (extract(epoch FROM s.started) * 1000000)::bigint," \
	" (extract(epoch FROM s.finished) * 1000000)::bigint," \
	" s.cancel_requested::integer, s.progress, s.error, j.nr"
#define RESULT_COLUMNS \
	", r.summary, r.records_uri, r.records_size, r.records_digest, r.stderr_tail, r.exit_code"
#define RECORDS_COLUMN ", r.records"
#define JOB_TABLES " FROM vega.job j JOIN vega.job_state s USING (nr)"
#define RESULT_TABLE " LEFT JOIN vega.job_result r USING (nr)"

#define TELL_READY "pg_notify('" READY_CHANNEL "', '')"

/* Does anybody watch jobs end? A watcher holds the lock shared; where there is none, the lock is
 * had, and given back at once. */
#define WATCHED \
	"(SELECT CASE WHEN pg_try_advisory_lock(" WATCHER_LOCK ")" \
	" THEN NOT pg_advisory_unlock(" WATCHER_LOCK ") ELSE true END)"

/* Tells of jobs whose state has changed: rows of an id and a state. */
#define TOLD(changed) \
	"told AS (" \
	" SELECT " TELL_READY " WHERE EXISTS (" \
	"  SELECT FROM " changed " WHERE state IN ('PENDING', 'PROCESSING'))" \
	" UNION ALL SELECT pg_notify('" DONE_CHANNEL "', id::text) FROM " changed \
	" WHERE state NOT IN ('PENDING', 'PROCESSING') AND " WATCHED ")"
#define HOW_MANY_TOLD "(SELECT count(*) FROM told)"

static struct postgres_store *handle(struct store *base)
{
	return (struct postgres_store *)base;
}

static int postgres_open(
        const char *url, unsigned timeout_ms, struct store **out, struct vega_error *err)
{
	PQconninfoOption *options = PQconninfoParse(url, NULL);
	PQconninfoFree(options);
	if (!options) {
		return vega_fail(err, VEGA_USAGE,
		        "the store's URL is not one that libpq understands; see \"Connection "
		        "Strings\" in PostgreSQL's manual");
	}
	struct postgres_store *store = calloc(1, sizeof *store);
	if (!store) {
		return vega_fail_nomem(err);
	}
	store->base.driver = &store_postgres;
	store->timeout_ms = store_timeout(timeout_ms);
	store->url = strdup(url);
	store->label = strdup("the PostgreSQL database");
	int rc =
	        store->url && store->label ? postgres_begin_call(store, err) : vega_fail_nomem(err);
	if (rc) {
		store_postgres.close(&store->base);
		return rc;
	}
	*out = &store->base;
	return 0;
}

static void postgres_close(struct store *base)
{
	struct postgres_store *store = handle(base);
	postgres_disconnect(store);
	free(store->url);
	free(store->label);
	free(store);
}

const char *postgres_row_text(void *context, int column)
{
	const struct postgres_row *row = context;
	return PQgetisnull(row->result, row->number, column)
	               ? NULL
	               : PQgetvalue(row->result, row->number, column);
}

int64_t postgres_integer(const PGresult *result, int number, int column)
{
	return strtoll(PQgetvalue(result, number, column), NULL, 10);
}

static int read_job(
        const PGresult *result, int number, unsigned parts, struct job *job, struct vega_error *err)
{
	struct postgres_row context = {.result = result, .number = number};
	struct store_row row = {.text = postgres_row_text, .context = &context};
	return store_read_job(job, &row, parts, err);
}

/* Reads all rows; releases what was read on failure. */
static int read_jobs(const PGresult *result, struct job *jobs, struct vega_error *err)
{
	int count = PQntuples(result);
	for (int i = 0; i < count; i++) {
		int rc = read_job(result, i, 0, &jobs[i], err);
		if (rc) {
			while (i > 0) {
				job_release(&jobs[--i]);
			}
			return rc;
		}
	}
	return count;
}

/* A job that is there already, by its id or by its submitter's key, is left alone. `clash`: a key
 * is for one spec. */
#define SUBMIT_SQL \
	"WITH input AS MATERIALIZED (" \
	" SELECT * FROM ROWS FROM (json_to_recordset($1::json) AS (id uuid, spec json," \
	"  queue text, priority integer, max_attempts integer, key text, labels jsonb," \
	"  not_before bigint, timeout_ms bigint, memory_bytes bigint, output_bytes bigint))" \
	" WITH ORDINALITY AS i (id, spec, queue, priority, max_attempts, key, labels," \
	"  not_before, timeout_ms, memory_bytes, output_bytes, n))," \
	"clash AS MATERIALIZED (" \
	" SELECT i.n, j.id FROM input i JOIN vega.job j ON j.submitter = session_user" \
	"  AND j.idempotency_key = i.key WHERE j.id <> i.id AND j.spec::text <> i.spec::text" \
	" UNION ALL SELECT n, first FROM (" \
	"  SELECT n, spec::text, first_value(id) OVER key AS first," \
	"   first_value(spec::text) OVER key AS first_spec" \
	"  FROM input WHERE key IS NOT NULL WINDOW key AS (PARTITION BY key ORDER BY n)) k" \
	"  WHERE spec <> first_spec)," \
	"fresh AS (" \
	" INSERT INTO vega.job (id, spec, queue, priority, max_attempts, idempotency_key, labels," \
	"  not_before, timeout_ms, memory_bytes, output_bytes)" \
	" SELECT id, spec, queue, priority, max_attempts, key, labels," \
	"  timestamptz 'epoch' + not_before * interval '1 microsecond', timeout_ms," \
	"  memory_bytes, output_bytes FROM input WHERE NOT EXISTS (SELECT FROM clash) ORDER BY n" \
	" ON CONFLICT DO NOTHING RETURNING nr, id, queue, priority, not_before)," \
	"state AS (" \
	" INSERT INTO vega.job_state (nr, queue, priority, due)" \
	" SELECT nr, queue, priority, coalesce(not_before, now()) FROM fresh)," \
	"told AS (SELECT " TELL_READY " WHERE EXISTS (SELECT FROM fresh)) " \
	"SELECT f.id, c.id, " HOW_MANY_TOLD \
	" FROM input i LEFT JOIN fresh f ON f.id = i.id LEFT JOIN clash c USING (n) ORDER BY n"

static void add_limit(struct json *json, const char *name, uint64_t limit)
{
	if (limit) {
		json_key(json, name);
		json_i64(json, store_limit(limit));
	}
}

static void add_request(struct json *json, const struct store_request *request)
{
	const char *labels = request->labels ? request->labels : "{}";
	json_object_begin(json);
	json_member_str(json, "id", request->id);
	json_key(json, "spec");
	json_raw(json, request->spec, strlen(request->spec));
	json_member_str(json, "queue", request->queue ? request->queue : "default");
	json_key(json, "priority");
	json_i64(json, request->priority);
	json_member_u64(json, "max_attempts",
	        request->max_attempts ? request->max_attempts : JOB_MAX_ATTEMPTS_DEFAULT);
	if (request->idempotency_key) {
		json_member_str(json, "key", request->idempotency_key);
	}
	json_key(json, "labels");
	json_raw(json, labels, strlen(labels));
	if (request->not_before.sec || request->not_before.nsec) {
		json_key(json, "not_before");
		json_i64(json, store_time_us(request->not_before));
	}
	add_limit(json, "timeout_ms", request->limits.timeout_ms);
	add_limit(json, "memory_bytes", request->limits.memory_bytes);
	add_limit(json, "output_bytes", request->limits.output_bytes);
	json_object_end(json);
}

static int submit_json(
        const struct store_request *requests, size_t count, struct buf *out, struct vega_error *err)
{
	char canonical[UUID_TEXT];
	struct json json = json_writer(out);
	json_array_begin(&json);
	for (size_t i = 0; i < count; i++) {
		int rc = store_id(requests[i].id, canonical, err);
		if (rc) {
			return rc;
		}
		add_request(&json, &requests[i]);
	}
	json_array_end(&json);
	return buf_cstr(out) ? 0 : vega_fail_nomem(err);
}

/* Fills stored_id from rows of two ids a request, its own and that of a clash, which is an error.
 * Counts those that are not known (NULL). */
static int note_ids(const PGresult *result, struct store_request *requests, size_t count,
        size_t *unknown, struct vega_error *err)
{
	*unknown = 0;
	for (size_t i = 0; i < count; i++) {
		if (!PQgetisnull(result, (int)i, 1)) {
			return store_key_taken(&requests[i], PQgetvalue(result, (int)i, 1), err);
		}
		if (PQgetisnull(result, (int)i, 0)) {
			++*unknown;
			continue;
		}
		memcpy(requests[i].stored_id, PQgetvalue(result, (int)i, 0), UUID_TEXT);
		requests[i].existed = strcasecmp(requests[i].stored_id, requests[i].id) != 0;
	}
	return 0;
}

/*
 * The statement that stores does not see what was committed while it ran, so the first job of a
 * repeated key is looked for by a second one. Only when that one was removed meanwhile is there
 * none: then it is submitted after all.
 */
static int postgres_submit(
        struct store *base, struct store_request *requests, size_t count, struct vega_error *err)
{
	static const char find_first[] =
	        "SELECT coalesce(j.id, k.id),"
	        " CASE WHEN j.id IS NULL AND k.spec::text <> i.spec::text THEN k.id END"
	        " FROM ROWS FROM (json_to_recordset($1::json) AS (id uuid, key text, spec json))"
	        "  WITH ORDINALITY AS i (id, key, spec, n)"
	        " LEFT JOIN vega.job j ON j.id = i.id"
	        " LEFT JOIN vega.job k ON k.submitter = session_user"
	        "  AND k.idempotency_key = i.key ORDER BY i.n";
	struct postgres_store *store = handle(base);
	struct buf json = BUF_INIT;
	size_t unknown = count;
	int rc = submit_json(requests, count, &json, err);
	rc = rc ? rc : postgres_begin_call(store, err);
	while (rc == 0 && unknown > 0) {
		struct postgres_parameters p = {0};
		PGresult *result = NULL;
		postgres_add_text(&p, json.data);
		rc = postgres_query(store, SUBMIT, SUBMIT_SQL, &p, &result, err);
		rc = rc ? rc : note_ids(result, requests, count, &unknown, err);
		PQclear(result);
		if (rc == 0 && unknown > 0) {
			rc = postgres_query(store, FIND_FIRST, find_first, &p, &result, err);
			rc = rc ? rc : note_ids(result, requests, count, &unknown, err);
			PQclear(result);
		}
	}
	buf_release(&json);
	return rc;
}

/*
 * $1 how many, $2 worker, $3 lease, $4 queues. `gone`: jobs whose worker was lost and that are not
 * tried again. Rows are locked in CTEs of their own, so that LIMIT holds.
 */
#define GONE \
	"gone AS MATERIALIZED (" \
	" SELECT s.nr, j.id, j.max_attempts FROM vega.job_state s JOIN vega.job j USING (nr)" \
	" WHERE s.state = 'PROCESSING' AND s.lease_until <= now()" \
	"  AND (s.cancel_requested OR s.attempt >= j.max_attempts) AND s.committed_seq = 0" \
	" FOR UPDATE OF s SKIP LOCKED),"
#define BURIED \
	"buried AS (" \
	" UPDATE vega.job_state s SET" \
	"  state = (CASE WHEN s.cancel_requested THEN 'CANCELLED' ELSE 'FAILED' END)::vega.state," \
	"  error = format('worker %s was lost in attempt %s of %s', s.worker, s.attempt," \
	"   g.max_attempts)," \
	"  lease_seq = s.lease_seq + 1, lease_until = NULL, finished = now()" \
	" FROM gone g WHERE s.nr = g.nr RETURNING g.id, s.state),"
#define EXPIRED(queues) \
	"expired AS MATERIALIZED (" \
	" SELECT s.nr, s.priority FROM vega.job_state s JOIN vega.job j USING (nr)" \
	" WHERE s.state = 'PROCESSING' AND s.lease_until <= now()" \
	"  AND (s.committed_seq > 0 OR NOT s.cancel_requested AND s.attempt < j.max_attempts)" \
	"  " queues " ORDER BY s.priority DESC, s.nr LIMIT $1::integer" \
	" FOR UPDATE OF s SKIP LOCKED),"
#define READY(queues) \
	"ready AS MATERIALIZED (" \
	" SELECT s.nr, s.priority FROM vega.job_state s" \
	" WHERE s.state = 'PENDING' AND s.due <= now() " queues \
	" ORDER BY s.priority DESC, s.nr LIMIT $1::integer" \
	" FOR UPDATE OF s SKIP LOCKED),"
#define PICKED \
	"picked AS MATERIALIZED (" \
	" SELECT nr FROM (SELECT * FROM expired UNION ALL SELECT * FROM ready) claimable" \
	" ORDER BY priority DESC, nr LIMIT $1::integer),"
#define TAKEN \
	"taken AS (" \
	" UPDATE vega.job_state s SET" \
	"  error = CASE WHEN s.state = 'PROCESSING' THEN" \
	"   format('worker %s was lost in attempt %s', s.worker, s.attempt)" \
	"   ELSE s.error END," \
	"  state = 'PROCESSING', attempt = s.attempt + 1, lease_seq = s.lease_seq + 1," \
	"  worker = $2, lease_until = now() + $3::bigint * interval '1 millisecond'," \
	"  started = now(), progress = NULL" \
	" FROM picked p WHERE s.nr = p.nr RETURNING s.*)"
#define CLAIMED \
	" SELECT " JOB_COLUMNS ", " HOW_MANY_TOLD \
	" FROM taken s JOIN vega.job j USING (nr) ORDER BY s.priority DESC, s.nr"
#define CLAIM_SQL(queues) \
	"WITH " GONE BURIED TOLD("buried") "," EXPIRED(queues) READY(queues) PICKED TAKEN CLAIMED

#define IN_ONE(parameter) "AND s.queue = " parameter
#define IN_MANY(parameter) "AND s.queue IN (SELECT json_array_elements_text(" parameter "::json))"

static const char *const claim_sql[QUEUES_KINDS] = {
        [QUEUES_ANY] = CLAIM_SQL(""),
        [QUEUES_ONE] = CLAIM_SQL(IN_ONE("$4")),
        [QUEUES_MANY] = CLAIM_SQL(IN_MANY("$4")),
};

static int postgres_claim(struct store *base, const struct store_claim *claim, struct job *jobs,
        struct vega_error *err)
{
	struct postgres_store *store = handle(base);
	struct arena arena = {0};
	struct buf queues = BUF_INIT;
	struct postgres_parameters p = {0};
	PGresult *result = NULL;
	const char *worker = claim->worker;
	enum store_queues kind = store_queues(claim->queues, &queues);
	const char *names = buf_cstr(&queues);
	int rc = names && store_clean(&arena, &worker) ? postgres_begin_call(store, err)
	                                               : vega_fail_nomem(err);
	memset(jobs, 0, claim->max * sizeof *jobs);
	store->claims = true;
	if (rc == 0) {
		postgres_add_integer(&p, claim->max);
		postgres_add_text(&p, worker);
		postgres_add_integer(&p, store_span_us(claim->lease_ms) / 1000);
		if (kind != QUEUES_ANY) {
			postgres_add_text(&p, names);
		}
		rc = postgres_query(
		        store, CLAIM + (unsigned)kind, claim_sql[kind], &p, &result, err);
	}
	rc = rc ? rc : read_jobs(result, jobs, err);
	PQclear(result);
	buf_release(&queues);
	arena_release(&arena);
	return rc;
}

static int lease_json(
        const struct store_lease *leases, size_t count, struct buf *out, struct vega_error *err)
{
	struct json json = json_writer(out);
	json_array_begin(&json);
	for (size_t i = 0; i < count; i++) {
		json_object_begin(&json);
		json_member_str(&json, "id", leases[i].id);
		json_member_u64(&json, "seq", leases[i].lease_seq);
		if (leases[i].progress) {
			json_key(&json, "progress");
			json_raw(&json, leases[i].progress, strlen(leases[i].progress));
		}
		json_object_end(&json);
	}
	json_array_end(&json);
	return buf_cstr(out) ? 0 : vega_fail_nomem(err);
}

static int postgres_heartbeat(struct store *base, const char *worker, struct store_lease *leases,
        size_t count, uint64_t lease_ms, struct vega_error *err)
{
	static const char sql[] =
	        "WITH renewed AS ("
	        " UPDATE vega.job_state s SET"
	        "  lease_until = now() + $2::bigint * interval '1 millisecond',"
	        "  progress = coalesce(l.progress, s.progress)"
	        " FROM json_to_recordset($3::json) AS l (id uuid, seq bigint, progress json)"
	        "  JOIN vega.job j ON j.id = l.id"
	        " WHERE s.nr = j.nr AND s.lease_seq = l.seq AND s.state = 'PROCESSING'"
	        "  AND s.worker = $1"
	        " RETURNING j.id, s.lease_seq, s.cancel_requested) "
	        "SELECT r.cancel_requested::integer"
	        " FROM ROWS FROM (json_to_recordset($3::json) AS (id uuid, seq bigint))"
	        "  WITH ORDINALITY AS l (id, seq, n)"
	        " LEFT JOIN renewed r ON r.id = l.id AND r.lease_seq = l.seq ORDER BY l.n";
	struct postgres_store *store = handle(base);
	struct arena arena = {0};
	struct buf json = BUF_INIT;
	struct postgres_parameters p = {0};
	PGresult *result = NULL;
	int rc = store_clean(&arena, &worker) ? lease_json(leases, count, &json, err)
	                                      : vega_fail_nomem(err);
	rc = rc ? rc : postgres_begin_call(store, err);
	if (rc == 0) {
		postgres_add_text(&p, worker);
		postgres_add_integer(&p, store_span_us(lease_ms) / 1000);
		postgres_add_text(&p, json.data);
		rc = postgres_query(store, HEARTBEAT, sql, &p, &result, err);
	}
	for (size_t i = 0; rc == 0 && i < count; i++) {
		leases[i].lost = PQgetisnull(result, (int)i, 0);
		leases[i].cancel = !leases[i].lost && postgres_integer(result, (int)i, 0);
	}
	PQclear(result);
	buf_release(&json);
	arena_release(&arena);
	return rc;
}

/* What ends attempts: a row each. */
enum ending_column {
	ENDING_ID,
	ENDING_LEASE_SEQ,
	ENDING_OUTCOME,
	ENDING_ERROR,
	ENDING_SUMMARY,
	ENDING_RECORDS,
	ENDING_RECORDS_URI,
	ENDING_RECORDS_SIZE,
	ENDING_RECORDS_DIGEST,
	ENDING_STDERR_TAIL,
	ENDING_EXIT_CODE,
	ENDING_COLUMNS,
};
#define ENDING \
	" ending AS MATERIALIZED (" \
	" SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[]," \
	"  $6::bytea[], $7::text[], $8::bigint[], $9::text[], $10::text[], $11::bigint[])" \
	" WITH ORDINALITY AS e (job, seq, outcome, problem, summary, records, records_uri," \
	"  records_size, records_digest, stderr_tail, exit_code, n)),"

/* Into job_result, from rows of `ending` with the job's nr. */
#define STORE_RESULT(from) \
	" INSERT INTO vega.job_result AS r (nr, lease_seq, summary, records, records_uri," \
	"  records_size, records_digest, stderr_tail, exit_code)" \
	" SELECT nr, seq, summary::jsonb, records, records_uri, records_size, records_digest," \
	"  stderr_tail, exit_code FROM " from \
	" ON CONFLICT (nr) DO UPDATE SET (lease_seq, summary, records, records_uri," \
	"  records_size, records_digest, stderr_tail, exit_code) = (excluded.lease_seq," \
	"  excluded.summary, excluded.records, excluded.records_uri, excluded.records_size," \
	"  excluded.records_digest, excluded.stderr_tail, excluded.exit_code)"

#define COMMITTED \
	"committed AS (" \
	" UPDATE vega.job_state s SET committed_seq = s.lease_seq" \
	" FROM ending e JOIN vega.job j ON j.id = e.job::uuid" \
	" WHERE s.nr = j.nr AND s.lease_seq = e.seq AND s.state = 'PROCESSING'" \
	"  AND s.committed_seq = 0 AND NOT s.cancel_requested" \
	" RETURNING s.nr, e.*)," \
	"result AS (" STORE_RESULT("committed") ")"
static const char commit_sql[] = "WITH" ENDING COMMITTED " SELECT nr FROM committed";

/* state_after() in rules.c says the same in C. */
#define STATE_AFTER \
	"CASE WHEN s.committed_seq > 0 AND e.outcome <> 'COMPLETED' THEN 'PENDING'" \
	" WHEN e.outcome IN ('RETRY', 'RELEASED') AND s.cancel_requested THEN 'CANCELLED'" \
	" WHEN e.outcome = 'RETRY' AND s.attempt >= j.max_attempts THEN 'FAILED'" \
	" WHEN e.outcome IN ('RETRY', 'RELEASED') THEN 'PENDING' ELSE e.outcome END"

/* $12 what a retry after attempt 1, 2, … waits. */
#define ENDED \
	"ended AS (" \
	" UPDATE vega.job_state s SET" \
	"  state = (" STATE_AFTER ")::vega.state," \
	"  finished = CASE WHEN " STATE_AFTER " <> 'PENDING' THEN now() END," \
	"  due = now() + CASE WHEN e.outcome = 'RETRY' THEN" \
	"   ($12::bigint[])[least(s.attempt, cardinality($12::bigint[]))]" \
	"    * interval '1 millisecond' ELSE interval '0' END," \
	"  attempt = s.attempt - CASE WHEN e.outcome = 'RELEASED' THEN 1 ELSE 0 END," \
	"  error = CASE WHEN e.outcome = 'RELEASED' THEN s.error ELSE e.problem END," \
	"  finished_seq = s.lease_seq, lease_until = NULL" \
	" FROM ending e JOIN vega.job j ON j.id = e.job::uuid" \
	" WHERE s.nr = j.nr AND s.lease_seq = e.seq AND s.state = 'PROCESSING'" \
	" RETURNING s.nr, j.id, s.state, s.committed_seq, e.*)," \
	"result AS (" STORE_RESULT("ended WHERE outcome <> 'RELEASED' AND committed_seq = 0") "),"
/* What publishing adds to the result that was committed. */
#define ADDED \
	"added AS (" \
	" UPDATE vega.job_result r SET exit_code = greatest(r.exit_code, e.exit_code)," \
	"  stderr_tail = coalesce(e.stderr_tail, r.stderr_tail)" \
	" FROM ended e WHERE r.nr = e.nr AND e.committed_seq > 0 AND e.state = 'COMPLETED')"
static const char finish_sql[] = "WITH" ENDING ENDED ADDED
                                 "," TOLD("ended") " SELECT n, state, " HOW_MANY_TOLD " FROM ended";

static const char *outcome_name(enum store_outcome outcome)
{
	switch (outcome) {
	case STORE_COMPLETED:
		return job_state_name(JOB_COMPLETED);
	case STORE_FAILED:
		return job_state_name(JOB_FAILED);
	case STORE_CANCELLED:
		return job_state_name(JOB_CANCELLED);
	case STORE_RETRY:
		return "RETRY";
	case STORE_RELEASED:
		break;
	}
	return "RELEASED";
}

/* "{1000,2000,…}" up to where the delay no longer grows. */
static const char *retry_delays(struct buf *out)
{
	uint64_t last = 0;
	buf_add_char(out, '{');
	for (unsigned attempt = 1; job_retry_delay_ms(attempt) != last; attempt++) {
		last = job_retry_delay_ms(attempt);
		buf_add_str(out, attempt > 1 ? "," : "");
		buf_add_u64(out, last);
	}
	buf_add_char(out, '}');
	return buf_cstr(out);
}

/* The parameters that commit and finish share. Text is the arena's, or borrowed. */
static bool add_ending(struct postgres_array *columns, struct arena *arena,
        const struct store_lease *lease, const struct store_result *result)
{
	const char *error = result->error, *uri = result->records_uri, *tail = result->stderr_tail;
	if (!store_clean(arena, &error) || !store_clean(arena, &uri) ||
	        !store_clean(arena, &tail)) {
		return false;
	}
	postgres_array_text(&columns[ENDING_ID], lease->id);
	postgres_array_integer(&columns[ENDING_LEASE_SEQ], (int64_t)lease->lease_seq);
	postgres_array_text(&columns[ENDING_OUTCOME], outcome_name(result->outcome));
	postgres_array_text(&columns[ENDING_ERROR], error);
	postgres_array_text(&columns[ENDING_SUMMARY], result->summary);
	postgres_array_bytes(&columns[ENDING_RECORDS], result->records);
	postgres_array_text(&columns[ENDING_RECORDS_URI], uri);
	postgres_array_integer(&columns[ENDING_RECORDS_SIZE], (int64_t)result->records_size);
	postgres_array_text(&columns[ENDING_RECORDS_DIGEST], result->records_digest);
	postgres_array_text(&columns[ENDING_STDERR_TAIL], tail);
	postgres_array_integer(&columns[ENDING_EXIT_CODE], result->exit_code);
	return true;
}

static int lease_lost(const struct store_lease *lease, struct vega_error *err)
{
	return vega_fail(err, VEGA_LEASE_LOST,
	        "lease %llu of job %s is no longer ours; its result is discarded",
	        (unsigned long long)lease->lease_seq, lease->id);
}

/* No row was changed: an earlier call was not answered, a request to cancel came first, or the
 * lease was lost. */
static int settle_commit(
        struct postgres_store *store, const struct store_lease *lease, struct vega_error *err)
{
	static const char sql[] =
	        "SELECT (s.committed_seq = s.lease_seq)::integer" JOB_TABLES
	        " WHERE j.id = $1::uuid AND s.lease_seq = $2::bigint AND s.state = 'PROCESSING'"
	        "  AND s.committed_seq IN (0, s.lease_seq)";
	struct postgres_parameters p = {0};
	PGresult *reply = NULL;
	postgres_add_text(&p, lease->id);
	postgres_add_integer(&p, (int64_t)lease->lease_seq);
	int rc = postgres_query(store, FIND_COMMIT, sql, &p, &reply, err);
	if (rc == 0 && PQntuples(reply) == 0) {
		rc = lease_lost(lease, err);
	} else if (rc == 0 && !postgres_integer(reply, 0, 0)) {
		rc = vega_fail(err, VEGA_NO, "cancellation of job %s was asked for", lease->id);
	}
	PQclear(reply);
	return rc;
}

static int postgres_commit(struct store *base, const struct store_lease *lease,
        const struct store_result *result, struct vega_error *err)
{
	struct postgres_store *store = handle(base);
	struct arena arena = {0};
	struct postgres_array columns[ENDING_COLUMNS] = {0};
	struct postgres_parameters p = {0};
	PGresult *reply = NULL;
	int rc = postgres_begin_call(store, err);
	if (rc == 0 && (!add_ending(columns, &arena, lease, result) ||
	                       !postgres_add_arrays(&p, columns, ENDING_COLUMNS))) {
		rc = vega_fail_nomem(err);
	}
	rc = rc ? rc : postgres_query(store, COMMIT, commit_sql, &p, &reply, err);
	if (rc == 0 && PQntuples(reply) == 0) {
		rc = settle_commit(store, lease, err);
	}
	PQclear(reply);
	postgres_arrays_release(columns, ENDING_COLUMNS);
	arena_release(&arena);
	return rc;
}

/*
 * Those whose row was not changed: either the lease was lost, or an earlier call of ours was not
 * answered.
 */
static int settle(struct postgres_store *store, const struct postgres_parameters *p,
        struct store_ending *endings, size_t count, struct vega_error *err)
{
	static const char sql[] =
	        "SELECT s.state FROM unnest($1::text[], $2::bigint[])"
	        " WITH ORDINALITY AS e (id, seq, n) LEFT JOIN vega.job j ON j.id = e.id::uuid"
	        " LEFT JOIN vega.job_state s ON s.nr = j.nr AND s.finished_seq = e.seq"
	        " ORDER BY e.n";
	struct postgres_parameters leases = *p;
	PGresult *reply = NULL;
	leases.count = ENDING_OUTCOME;
	int rc = postgres_query(store, FIND_LEASE, sql, &leases, &reply, err);
	for (size_t i = 0; rc == 0 && i < count; i++) {
		struct store_ending *ending = &endings[i];
		if (ending->code && !PQgetisnull(reply, (int)i, 0)) {
			job_state_parse(PQgetvalue(reply, (int)i, 0), &ending->state);
			ending->state =
			        job_state_terminal(ending->state) ? ending->state : JOB_PENDING;
			ending->code = 0;
		}
	}
	PQclear(reply);
	return rc;
}

static int end_attempts(struct postgres_store *store, const struct postgres_parameters *p,
        struct store_ending *endings, size_t count, struct vega_error *err)
{
	PGresult *reply = NULL;
	int rc = postgres_query(store, FINISH, finish_sql, p, &reply, err);
	if (rc) {
		return rc;
	}
	int ended = PQntuples(reply);
	for (size_t i = 0; i < count; i++) {
		endings[i].code = VEGA_LEASE_LOST;
	}
	for (int i = 0; i < ended; i++) {
		struct store_ending *ending = &endings[postgres_integer(reply, i, 0) - 1];
		job_state_parse(PQgetvalue(reply, i, 1), &ending->state);
		ending->code = 0;
	}
	PQclear(reply);
	return (size_t)ended < count ? settle(store, p, endings, count, err) : 0;
}

static int postgres_finish(
        struct store *base, struct store_ending *endings, size_t count, struct vega_error *err)
{
	struct postgres_store *store = handle(base);
	struct arena arena = {0};
	struct buf delays = BUF_INIT;
	struct postgres_array columns[ENDING_COLUMNS] = {0};
	struct postgres_parameters p = {0};
	bool good = true;
	if (count == 0) {
		return 0;
	}
	for (size_t i = 0; good && i < count; i++) {
		good = add_ending(columns, &arena, endings[i].lease, endings[i].result);
	}
	good = good && retry_delays(&delays) && postgres_add_arrays(&p, columns, ENDING_COLUMNS);
	int rc = good ? postgres_begin_call(store, err) : vega_fail_nomem(err);
	if (rc == 0) {
		postgres_add_text(&p, delays.data);
		rc = end_attempts(store, &p, endings, count, err);
	}
	buf_release(&delays);
	postgres_arrays_release(columns, ENDING_COLUMNS);
	arena_release(&arena);
	return rc;
}

static int postgres_cancel(
        struct store *base, const char *id, enum job_state *state, struct vega_error *err)
{
	static const char ask[] =
	        "WITH asked AS ("
	        " UPDATE vega.job_state s SET cancel_requested = true,"
	        "  finished = CASE WHEN s.state = 'PENDING' THEN now() END,"
	        "  state = CASE WHEN s.state = 'PENDING' THEN 'CANCELLED' ELSE s.state END"
	        " FROM vega.job j WHERE j.id = $1::uuid AND s.nr = j.nr"
	        "  AND s.state IN ('PENDING', 'PROCESSING') AND s.committed_seq = 0"
	        " RETURNING j.id, s.state)," TOLD("asked") " SELECT state, " HOW_MANY_TOLD
	                                                   " FROM asked";
	static const char find[] = "SELECT s.state" JOB_TABLES " WHERE j.id = $1::uuid";
	enum job_state after = JOB_PENDING;
	struct postgres_store *store = handle(base);
	struct postgres_parameters p = {0};
	PGresult *reply = NULL;
	char canonical[UUID_TEXT];
	int rc = store_id(id, canonical, err);
	rc = rc ? rc : postgres_begin_call(store, err);
	if (rc == 0) {
		postgres_add_text(&p, canonical);
		rc = postgres_query(store, CANCEL, ask, &p, &reply, err);
	}
	bool asked = rc == 0 && PQntuples(reply) > 0;
	if (rc == 0 && !asked) {
		PQclear(reply);
		rc = postgres_query(store, FIND_STATE, find, &p, &reply, err);
	}
	if (rc == 0 && PQntuples(reply) == 0) {
		rc = vega_fail(err, VEGA_NO, "no job %s", id);
	} else if (rc == 0) {
		job_state_parse(PQgetvalue(reply, 0, 0), &after);
	}
	if (rc == 0 && !asked && !job_state_terminal(after)) {
		rc = vega_fail(err, VEGA_NO,
		        "job %s is publishing its files; it is too late to cancel it", id);
	}
	if (rc == 0 && state) {
		*state = after;
	}
	PQclear(reply);
	return rc;
}

/* The records are bytea: PostgreSQL sends them in hexadecimal. */
static int read_records(const PGresult *reply, struct job *job, struct vega_error *err)
{
	if (PQgetisnull(reply, 0, COLUMN_RECORDS)) {
		return 0;
	}
	size_t len;
	const char *text = PQgetvalue(reply, 0, COLUMN_RECORDS);
	unsigned char *bytes = PQunescapeBytea((const unsigned char *)text, &len);
	job->records = bytes ? strndup((const char *)bytes, len) : NULL;
	PQfreemem(bytes);
	if (!job->records) {
		job_release(job);
		return vega_fail_nomem(err);
	}
	return 0;
}

static int postgres_get(
        struct store *base, const char *id, unsigned parts, struct job *job, struct vega_error *err)
{
	struct postgres_store *store = handle(base);
	struct postgres_parameters p = {0};
	PGresult *reply = NULL;
	char canonical[UUID_TEXT];
	bool records = parts & STORE_PART_RECORDS;
	*job = (struct job){0};
	int rc = store_id(id, canonical, err);
	rc = rc ? rc : postgres_begin_call(store, err);
	if (rc) {
		return rc;
	}
	postgres_watch(store, canonical);
	postgres_add_text(&p, canonical);
	rc = records ? postgres_query(store, GET_RECORDS,
	                       "SELECT " JOB_COLUMNS RESULT_COLUMNS RECORDS_COLUMN JOB_TABLES
	                               RESULT_TABLE " WHERE j.id = $1::uuid",
	                       &p, &reply, err)
	             : postgres_query(store, GET,
	                       "SELECT " JOB_COLUMNS RESULT_COLUMNS JOB_TABLES RESULT_TABLE
	                       " WHERE j.id = $1::uuid",
	                       &p, &reply, err);
	if (rc == 0 && PQntuples(reply) == 0) {
		rc = vega_fail(err, VEGA_NO, "no job %s", id);
	} else if (rc == 0) {
		rc = read_job(reply, 0, parts & STORE_PART_RESULT, job, err);
		rc = rc || !records ? rc : read_records(reply, job, err);
	}
	PQclear(reply);
	return rc;
}

const char *postgres_state_array(uint32_t states, struct buf *out)
{
	buf_add_char(out, '{');
	for (int i = 0; i < JOB_STATES; i++) {
		if (states & 1u << i) {
			buf_add_str(out, out->len > 1 ? "," : "");
			buf_add_str(out, job_state_name((enum job_state)i));
		}
	}
	buf_add_char(out, '}');
	return buf_cstr(out);
}

/* Both tables are told where the page begins: what is said of one, the planner does not conclude of
 * the other, and reads it from its end. */
static int list_page(struct store *base, const struct store_page *page, struct job *jobs,
        int64_t *last, struct vega_error *err)
{
	static const char sql[] =
	        "SELECT " JOB_COLUMNS JOB_TABLES " WHERE s.nr < $1::bigint AND j.nr < $1::bigint"
	        " AND ($2::vega.state[] IS NULL OR s.state = ANY ($2::vega.state[]))"
	        " AND ($3::text IS NULL OR j.queue = $3)"
	        " AND ($4::text IS NULL OR j.submitter = $4)"
	        " AND " POSTGRES_LABELLED("$5::text",
	                "$6::text") " AND ($7::bigint = 0 OR"
	                            "  j.created >= now() - $7::bigint * interval '1 millisecond')"
	                            " AND ($8::bigint = 0 OR"
	                            "  j.created <= now() - $8::bigint * interval '1 millisecond')"
	                            " ORDER BY s.nr DESC LIMIT $9::integer";
	struct postgres_store *store = handle(base);
	const struct store_filter *filter = page->filter;
	struct postgres_parameters p = {0};
	struct buf states = BUF_INIT;
	PGresult *reply = NULL;
	int rc = postgres_state_array(filter->states, &states) ? postgres_begin_call(store, err)
	                                                       : vega_fail_nomem(err);
	if (rc == 0) {
		postgres_watch(store, NULL);
		postgres_add_integer(&p, page->before);
		postgres_add_text(&p, filter->states ? states.data : NULL);
		postgres_add_text(&p, filter->queue);
		postgres_add_text(&p, filter->submitter);
		postgres_add_text(&p, page->label_key);
		postgres_add_text(&p, page->label_value);
		postgres_add_integer(&p, store_span_us(filter->younger_ms) / 1000);
		postgres_add_integer(&p, store_span_us(filter->older_ms) / 1000);
		postgres_add_integer(&p, page->limit);
		rc = postgres_query(store, LIST, sql, &p, &reply, err);
	}
	rc = rc ? rc : read_jobs(reply, jobs, err);
	if (rc > 0) {
		*last = postgres_integer(reply, rc - 1, COLUMN_NR);
	}
	PQclear(reply);
	buf_release(&states);
	return rc;
}

static int postgres_list(struct store *base, const struct store_filter *filter,
        int (*each)(const struct job *job, void *context), void *context, struct vega_error *err)
{
	return store_list(base, filter, list_page, each, context, err);
}

/* $1 the longest answer, $2 queues. */
#define NEXT_DUE_SQL(queues) \
	"SELECT CASE WHEN EXISTS (" \
	" SELECT FROM vega.job_state s WHERE s.state = 'PENDING' AND s.due <= now() " queues ")" \
	" THEN 0 ELSE ceil(extract(epoch FROM least(" \
	"  (SELECT min(s.due) FROM vega.job_state s WHERE s.state = 'PENDING' " queues ")," \
	"  (SELECT min(s.lease_until) FROM vega.job_state s" \
	"   WHERE s.state = 'PROCESSING' " queues ")," \
	"  now() + $1::bigint * interval '1 millisecond') - now()) * 1000)::bigint END"

static const char *const next_due_sql[QUEUES_KINDS] = {
        [QUEUES_ANY] = NEXT_DUE_SQL(""),
        [QUEUES_ONE] = NEXT_DUE_SQL(IN_ONE("$2")),
        [QUEUES_MANY] = NEXT_DUE_SQL(IN_MANY("$2")),
};

static int postgres_next_due(struct store *base, const struct strlist *queues, uint64_t limit_ms,
        uint64_t *due_ms, struct vega_error *err)
{
	struct postgres_store *store = handle(base);
	struct postgres_parameters p = {0};
	struct buf parameter = BUF_INIT;
	PGresult *reply = NULL;
	enum store_queues kind = store_queues(queues, &parameter);
	const char *names = buf_cstr(&parameter);
	int rc = names ? postgres_begin_call(store, err) : vega_fail_nomem(err);
	store->claims = true;
	if (rc == 0) {
		postgres_add_integer(&p, store_span_us(limit_ms) / 1000);
		if (kind != QUEUES_ANY) {
			postgres_add_text(&p, names);
		}
		rc = postgres_query(
		        store, NEXT_DUE + (unsigned)kind, next_due_sql[kind], &p, &reply, err);
	}
	if (rc == 0) {
		int64_t left = postgres_integer(reply, 0, 0);
		*due_ms = left > 0 ? (uint64_t)left : 0;
		*due_ms = *due_ms < limit_ms ? *due_ms : limit_ms;
	}
	PQclear(reply);
	buf_release(&parameter);
	return rc;
}

const struct store_driver store_postgres = {
        .scheme = "postgresql",
        .open = postgres_open,
        .submit = postgres_submit,
        .claim = postgres_claim,
        .heartbeat = postgres_heartbeat,
        .commit = postgres_commit,
        .finish = postgres_finish,
        .cancel = postgres_cancel,
        .get = postgres_get,
        .list = postgres_list,
        .next_due = postgres_next_due,
        .wait = postgres_wait,
        .announce = postgres_announce,
        .leave = postgres_leave,
        .workers = postgres_workers,
        .stats = postgres_stats,
        .prune = postgres_prune,
        .close = postgres_close,
};
