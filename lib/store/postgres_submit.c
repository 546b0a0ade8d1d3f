/*
 * submit() of the PostgreSQL store: a batch of jobs in one statement, and the ids of those that
 * were there already.
 */
#include <string.h>

#include "store/postgres_sql.h"

#define TRIES 5 /* for what is not there and cannot be stored, as it was just removed */

/* With the type and the collation of the column: else no index is used, or not for its order. */
#define SUBMITTER "session_user::text COLLATE \"default\""

/* What is submitted: a row each. What a request leaves open is NULL, so that a column that all
 * leave open is not sent at all. */
enum request_column {
	REQUEST_ID,
	REQUEST_SPEC,
	REQUEST_KEY,
	REQUEST_QUEUE,
	REQUEST_PRIORITY,
	REQUEST_MAX_ATTEMPTS,
	REQUEST_LABELS,
	REQUEST_NOT_BEFORE,
	REQUEST_TIMEOUT_MS,
	REQUEST_MEMORY_BYTES,
	REQUEST_OUTPUT_BYTES,
	REQUEST_COLUMNS,
};
#define REQUESTS \
	"unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[]," \
	" $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])" \
	" WITH ORDINALITY AS i (id, spec, key, queue, priority, max_attempts, labels," \
	" not_before, timeout_ms, memory_bytes, output_bytes, n)"

/* clang-format off */
#define FRESH(from, on_conflict) \
	"fresh AS (" \
	" INSERT INTO vega.job (id, spec, queue, priority, max_attempts, idempotency_key, labels," \
	"  not_before, timeout_ms, memory_bytes, output_bytes)" \
	" SELECT id, spec::json, coalesce(queue, 'default'), coalesce(priority, 0)," \
	"  coalesce(max_attempts, $12::integer), key, coalesce(labels::jsonb, '{}')," \
	"  timestamptz 'epoch' + not_before * interval '1 microsecond', timeout_ms," \
	"  memory_bytes, output_bytes FROM " from " ORDER BY n" on_conflict \
	" RETURNING nr, queue, priority, not_before)," \
	"state AS (" \
	" INSERT INTO vega.job_state (nr, queue, priority, due)" \
	" SELECT nr, queue, priority, coalesce(not_before, 'epoch') FROM fresh)"

/*
 * A NOTIFY takes a lock that lets commits pass only one by one. It is needed when a worker may be
 * waiting: not when its queue holds jobs that can be claimed, of which workers have heard and after
 * which they look again (postgres_wait.c). The submitter's own last jobs tell: of equal ones they
 * are claimed last. At the head of the queue a submitter would have to pass by all others' jobs.
 */
#define TOLD_READY \
	"told AS (SELECT " TELL_READY " WHERE EXISTS (" \
	" SELECT FROM (SELECT DISTINCT queue, not_before > now() AS later FROM fresh) f" \
	" WHERE f.later OR NOT coalesce((" \
	"  SELECT bool_or(s.state = 'PENDING' AND s.queue = f.queue AND s.due <= now())" \
	"  FROM (SELECT j.nr FROM vega.job j WHERE j.submitter = " SUBMITTER \
	"   ORDER BY j.nr DESC LIMIT 8) last" \
	"  JOIN vega.job_state s ON s.nr = ANY (ARRAY[last.nr])), false)))"

/* To be ready for a job that is there costs a sixth, and an id is there only when a call is repeated:
 * then this one fails, and is followed by the next one. */
static const struct postgres_statement submit_new = {
	.sql = "WITH " FRESH(REQUESTS, "") ","
		TOLD_READY
		" SELECT count(*), " HOW_MANY_TOLD " FROM fresh",
	.role = "vega_submitter",
};

/*
 * A job that is there already, by its id or by its submitter's key, is left alone. `clash`: a key is
 * for one spec. `turn`: batches with the same keys in different orders would wait for each other in
 * circles, and again when PostgreSQL has broken one; so those of a submitter pass one by one.
 */
static const struct postgres_statement submit_known = {
	.sql = "WITH turn AS MATERIALIZED ("
		" SELECT pg_advisory_xact_lock(" SUBMIT_LOCK ", hashtext(session_user))"
		" WHERE cardinality($1::uuid[]) > 1),"
		"input AS MATERIALIZED ("
		" SELECT * FROM " REQUESTS " WHERE (SELECT count(*) FROM turn) IS NOT NULL),"
		"clash AS MATERIALIZED ("
		" SELECT i.n, j.id FROM input i JOIN vega.job j ON j.submitter = " SUBMITTER
		"  AND j.idempotency_key = ANY (ARRAY[i.key])"
		" WHERE j.id <> i.id AND j.spec::text <> i.spec"
		" UNION ALL SELECT n, first FROM ("
		"  SELECT n, spec, first_value(id) OVER key AS first, first_value(spec) OVER key AS first_spec"
		"  FROM input WHERE key IS NOT NULL WINDOW key AS (PARTITION BY key ORDER BY n)) k"
		" WHERE spec <> first_spec),"
		FRESH("input WHERE NOT EXISTS (SELECT FROM clash)", " ON CONFLICT DO NOTHING") ","
		TOLD_READY
		" SELECT count(*), " HOW_MANY_TOLD ", (SELECT n FROM clash ORDER BY n LIMIT 1),"
		" (SELECT id FROM clash ORDER BY n LIMIT 1) FROM fresh",
	.role = "vega_submitter",
};
/* clang-format on */

static int add_request(struct postgres_array *columns, struct arena *arena,
        struct store_request *request, struct vega_error *err)
{
	const struct job_limits *limits = &request->limits;
	const char *key = request->idempotency_key;
	const char *queue = request->queue;
	int code = store_id(request->id, request->stored_id, err);
	if (!store_clean(arena, &key) || !store_clean(arena, &queue)) {
		return vega_fail_nomem(err);
	}
	postgres_array_uuid(&columns[REQUEST_ID], request->stored_id);
	postgres_array_text(&columns[REQUEST_SPEC], request->spec);
	postgres_array_text(&columns[REQUEST_KEY], key);
	postgres_array_text(&columns[REQUEST_QUEUE], queue);
	postgres_array_nonzero(&columns[REQUEST_PRIORITY], request->priority);
	postgres_array_nonzero(&columns[REQUEST_MAX_ATTEMPTS], request->max_attempts);
	postgres_array_text(&columns[REQUEST_LABELS], request->labels);
	postgres_array_nonzero(&columns[REQUEST_NOT_BEFORE], store_time_us(request->not_before));
	postgres_array_nonzero(&columns[REQUEST_TIMEOUT_MS], store_limit(limits->timeout_ms));
	postgres_array_nonzero(&columns[REQUEST_MEMORY_BYTES], store_limit(limits->memory_bytes));
	postgres_array_nonzero(&columns[REQUEST_OUTPUT_BYTES], store_limit(limits->output_bytes));
	request->existed = false;
	return code;
}

/*
 * Fills stored_id from rows of two ids a request, its own and that of a clash, which is an error.
 * Counts those that are not known (NULL).
 */
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

/* Which of the requests are there, and as what; the parameters are those of the submit. */
static int find_first(struct postgres_store *store, const struct postgres_parameters *p,
        struct store_request *requests, size_t count, size_t *unknown, struct vega_error *err)
{
	/* clang-format off */
	static const struct postgres_statement find = {
		.sql = "SELECT coalesce(j.id, k.id),"
			" CASE WHEN j.id IS NULL AND k.spec::text <> i.spec THEN k.id END"
			" FROM unnest($1::uuid[], $2::text[], $3::text[])"
			"  WITH ORDINALITY AS i (id, spec, key, n)"
			" LEFT JOIN vega.job j ON j.id = ANY (ARRAY[i.id])"
			" LEFT JOIN vega.job k ON k.submitter = " SUBMITTER
			"  AND k.idempotency_key = ANY (ARRAY[i.key])"
			" ORDER BY i.n",
		.role = "vega_submitter",
	};
	/* clang-format on */
	struct postgres_parameters found = *p;
	PGresult *result = NULL;
	found.count = REQUEST_QUEUE;
	int code = postgres_query(store, &find, &found, &result, err);
	code = code ? code : note_ids(result, requests, count, unknown, err);
	PQclear(result);
	return code;
}

/* `fresh`: none is expected to be there. *unknown is how many are not stored by it; the others are.
 */
static int submit(struct postgres_store *store, const struct postgres_parameters *p, bool fresh,
        struct store_request *requests, size_t count, size_t *unknown, struct vega_error *err)
{
	PGresult *result = NULL;
	int code = 0;
	if (fresh) {
		code = postgres_query(store, &submit_new, p, &result, err);
		fresh = code == 0 || !store->known;
	}
	if (!fresh) {
		code = postgres_query(store, &submit_known, p, &result, err);
	}
	if (code == 0 && !fresh && !PQgetisnull(result, 0, 2)) {
		size_t n = (size_t)postgres_integer(result, 0, 2) - 1;
		code = store_key_taken(&requests[n], PQgetvalue(result, 0, 3), err);
	} else if (code == 0) {
		*unknown = count - (size_t)postgres_integer(result, 0, 0);
	}
	PQclear(result);
	return code;
}

/*
 * The statement that stores does not see what was committed while it ran, so the first job of a
 * repeated key is looked for by a second one. Only when that one was removed meanwhile is there
 * none: then it is submitted after all.
 */
int postgres_submit(
        struct store *base, struct store_request *requests, size_t count, struct vega_error *err)
{
	struct postgres_store *store = (struct postgres_store *)base;
	struct postgres_array columns[REQUEST_COLUMNS] = {0};
	struct postgres_parameters p = {0};
	struct arena arena = {0};
	size_t unknown = count;
	bool keys = false;
	int code = 0;
	for (size_t i = 0; code == 0 && i < count; i++) {
		code = add_request(columns, &arena, &requests[i], err);
		keys = keys || requests[i].idempotency_key;
	}
	if (code == 0 && count && !postgres_add_arrays(&p, columns, REQUEST_COLUMNS)) {
		code = vega_fail_nomem(err);
	}
	postgres_add_integer(&p, JOB_MAX_ATTEMPTS_DEFAULT);
	code = code ? code : postgres_begin_call(store, err);
	for (int tries = 0; code == 0 && unknown > 0; tries++) {
		code = submit(store, &p, !keys && tries == 0, requests, count, &unknown, err);
		if (code == 0 && unknown > 0 && tries == TRIES) {
			code = vega_fail(err, VEGA_FATAL,
			        "%s has a job with this id already, of another submitter",
			        store->label);
		} else if (code == 0 && unknown > 0) {
			code = find_first(store, &p, requests, count, &unknown, err);
		}
	}
	postgres_arrays_release(columns, REQUEST_COLUMNS);
	arena_release(&arena);
	return code;
}
