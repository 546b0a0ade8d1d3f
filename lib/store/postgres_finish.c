/*
 * commit() and finish() of the PostgreSQL store: how a lease ends.
 *
 * The fence is in the WHERE of each UPDATE (see postgres_claim.c). A call whose UPDATE changed
 * fewer rows than it named asks why by a second statement: the lease was lost, the row is locked,
 * or this very call came through before and its answer was lost. The last case is known by
 * finished_seq, or committed_seq, which hold the lease that wrote them: a repeated call then
 * succeeds and changes nothing.
 */
#include <stdlib.h>

#include "base/check.h"
#include "store/postgres_sql.h"

/* What ends attempts: a row each. What nearly all have in common is NULL, so that the column is not
 * sent when all have: the outcome COMPLETED, no records, the exit code 0. */
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
/* clang-format off */
#define ENDING \
	"ending AS (" \
	" SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[]," \
	"  $6::bytea[], $7::text[], $8::bigint[], $9::text[], $10::text[], $11::bigint[])" \
	" WITH ORDINALITY AS e (job, seq, outcome, problem, summary, records, records_uri," \
	"  records_size, records_digest, stderr_tail, exit_code, n))"
/* Theirs, when they are held. */
#define ENDING_JOBS \
	"j.id = ANY (ARRAY[e.job]) AND s.nr = ANY (ARRAY[j.nr]) AND " FENCE

/* Sets what an attempt leaves, if `stored`; else what an earlier one has left stays. A job to be cancelled
 * leaves nothing. */
#define LEFT(column, type, stored) \
	"  " column " = CASE WHEN NOT (" stored ") THEN s." column \
	" WHEN NOT s.cancel_requested THEN e." column type " END"
#define RESULT(stored) \
	"  result_seq = CASE WHEN " stored " THEN e.seq ELSE s.result_seq END," \
	LEFT("summary", "::jsonb", stored) "," LEFT("records", "", stored) "," \
	LEFT("records_uri", "", stored) "," LEFT("records_size", "", stored) "," \
	LEFT("records_digest", "", stored)

static const struct postgres_statement commit = {
	.sql = "WITH " ENDING
		" UPDATE vega.job_state s SET committed_seq = s.lease_seq," RESULT("true") ","
		"  stderr_tail = e.stderr_tail, exit_code = coalesce(e.exit_code, 0)"
		" FROM ending e, vega.job j WHERE " ENDING_JOBS
		"  AND s.committed_seq = 0 AND NOT s.cancel_requested"
		" RETURNING s.nr",
	.role = "vega_worker",
};

/* state_after() in rules.c says the same in C. */
#define STATE_AFTER \
	"CASE WHEN s.committed_seq = 0 AND s.cancel_requested THEN 'CANCELLED'::vega.state" \
	" WHEN e.outcome IS NULL THEN 'COMPLETED' WHEN s.committed_seq > 0 THEN 'PENDING'" \
	" WHEN e.outcome = 'RETRY' AND s.attempt >= j.max_attempts THEN 'FAILED'" \
	" WHEN e.outcome IN ('RETRY', 'RELEASED') THEN 'PENDING' ELSE e.outcome::vega.state END"

/* $12 what another attempt after 1, 2, … waits. The result of a committed attempt is stored already;
 * publishing its files adds to it. */
#define STORED "s.committed_seq = 0 AND e.outcome IS DISTINCT FROM 'RELEASED'"
#define ADDED "s.committed_seq > 0 AND e.outcome IS NULL"
#define ENDED(condition) \
	"ended AS (" \
	" UPDATE vega.job_state s SET" \
	"  state = " STATE_AFTER "," \
	"  finished = CASE WHEN " STATE_AFTER " <> 'PENDING' THEN now() END," \
	"  due = CASE WHEN e.outcome IS NULL THEN s.due WHEN e.outcome = 'RELEASED' THEN now()" \
	"   ELSE now() + ($12::bigint[])[least(s.attempt, cardinality($12::bigint[])," \
	"    CASE WHEN s.committed_seq > 0 THEN 5 END)]" \
	"    * interval '1 millisecond' END," \
	"  attempt = CASE WHEN e.outcome = 'RELEASED' THEN s.attempt - 1 ELSE s.attempt END," \
	"  error = CASE WHEN e.outcome = 'RELEASED' THEN s.error ELSE e.problem END," \
	"  finished_seq = s.lease_seq, lease_until = NULL," \
	RESULT(STORED) "," \
	"  stderr_tail = CASE WHEN " STORED " THEN e.stderr_tail" \
	"   WHEN " ADDED " THEN coalesce(e.stderr_tail, s.stderr_tail) ELSE s.stderr_tail END," \
	"  exit_code = CASE WHEN " STORED " THEN coalesce(e.exit_code, 0)" \
	"   WHEN " ADDED " THEN greatest(s.exit_code, e.exit_code) ELSE s.exit_code END" \
	" FROM ending e, vega.job j WHERE " ENDING_JOBS condition \
	" RETURNING j.id, s.state, e.n)"
/* A row for each state, with the numbers of those that went there. */
#define ENDED_STATES \
	" string_agg(n::text, ' '), state, " HOW_MANY_TOLD " FROM ended GROUP BY state"
#define ENDED_TOLD \
	TOLD("ended") \
	" SELECT" ENDED_STATES
static const struct postgres_statement finish = {
	.sql = "WITH " ENDING ","
		ENDED("") ","
		ENDED_TOLD,
	.role = "vega_worker",
};

/* The same without those whose row somebody keeps locked. */
static const struct postgres_statement finish_free = {
	.sql = "WITH " ENDING ","
		"free AS MATERIALIZED ("
		" SELECT s.nr FROM ending e, vega.job j, vega.job_state s"
		" WHERE " ENDING_JOBS " FOR UPDATE OF s SKIP LOCKED),"
		ENDED(" AND s.nr IN (SELECT nr FROM free)") ","
		ENDED_TOLD,
	.role = "vega_worker",
};

/*
 * The same, and a claim: $13 how many, $14 worker, $15 lease, $16 queues. Both look at the jobs as
 * they were before, so none is ended and claimed at once. A row is a job that was claimed, or a state
 * of jobs that ended. PostgreSQL appends the second kind to the first, which is sorted, unless it
 * works in parallel, and it does not where rows are changed.
 *
 * `ready` comes first. A job that another worker has claimed since our snapshot still looks PENDING
 * in it; it is seen not to be, but PostgreSQL locks its row to find that out, and then its worker
 * waits for us to end it. So the snapshot should be new. Nobody waits in a circle, as who is waited
 * for has the older snapshot; or, when a lease is lost meanwhile, PostgreSQL breaks it.
 */
#define FINISH_CLAIM_SQL(queues) \
	"WITH " ENDING "," \
	READY("$13", NONE_EXPIRED(queues), queues) "," \
	ENDED(" AND (SELECT count(*) FROM ready) IS NOT NULL") "," \
	TOLD("ended") "," \
	TAKEN("ready", "$14", "$15") \
	" (SELECT " STORE_CLAIM_COLUMNS ", NULL, NULL::vega.state, 0" CLAIMED ")" \
	" UNION ALL SELECT " NO_CLAIM "," ENDED_STATES
/* clang-format on */
enum { CLAIMED_ENDING = COLUMN_PRIORITY, CLAIMED_STATE };

static const struct postgres_statement finish_claim[QUEUES_KINDS] = {
        [QUEUES_ANY] = {.sql = FINISH_CLAIM_SQL(""), .role = "vega_worker"},
        [QUEUES_ONE] = {.sql = FINISH_CLAIM_SQL(IN_ONE("$16")), .role = "vega_worker"},
        [QUEUES_MANY] = {.sql = FINISH_CLAIM_SQL(IN_MANY("$16")), .role = "vega_worker"},
};

static const char *outcome_name(enum store_outcome outcome)
{
	switch (outcome) {
	case STORE_COMPLETED:
		return NULL;
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
	postgres_array_uuid(&columns[ENDING_ID], lease->id);
	postgres_array_integer(&columns[ENDING_LEASE_SEQ], (int64_t)lease->lease_seq);
	postgres_array_text(&columns[ENDING_OUTCOME], outcome_name(result->outcome));
	postgres_array_text(&columns[ENDING_ERROR], error);
	postgres_array_text(&columns[ENDING_SUMMARY], result->summary);
	postgres_array_bytes(&columns[ENDING_RECORDS], result->records);
	postgres_array_text(&columns[ENDING_RECORDS_URI], uri);
	postgres_array_nonzero(&columns[ENDING_RECORDS_SIZE], (int64_t)result->records_size);
	postgres_array_text(&columns[ENDING_RECORDS_DIGEST], result->records_digest);
	postgres_array_text(&columns[ENDING_STDERR_TAIL], tail);
	postgres_array_nonzero(&columns[ENDING_EXIT_CODE], result->exit_code);
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
	static const struct postgres_statement find = {
	        .sql = "SELECT (s.committed_seq = s.lease_seq)::integer" JOB_TABLES
	               " WHERE j.id = $1::uuid AND s.lease_seq = $2::bigint"
	               " AND s.state = 'PROCESSING'"
	               "  AND s.committed_seq IN (0, s.lease_seq)",
	        .role = "vega_worker",
	};
	struct postgres_parameters p = {0};
	PGresult *reply = NULL;
	postgres_add_text(&p, lease->id);
	postgres_add_integer(&p, (int64_t)lease->lease_seq);
	int code = postgres_query(store, &find, &p, &reply, err);
	if (code == 0 && PQntuples(reply) == 0) {
		code = lease_lost(lease, err);
	} else if (code == 0 && !postgres_integer(reply, 0, 0)) {
		code = vega_fail(err, VEGA_NO, "cancellation of job %s was asked for", lease->id);
	}
	PQclear(reply);
	return code;
}

int postgres_commit(struct store *base, const struct store_lease *lease,
        const struct store_result *result, struct vega_error *err)
{
	struct postgres_store *store = (struct postgres_store *)base;
	struct arena arena = {0};
	struct postgres_array columns[ENDING_COLUMNS] = {0};
	struct postgres_parameters p = {0};
	PGresult *reply = NULL;
	int code = postgres_begin_call(store, err);
	if (code == 0 && (!add_ending(columns, &arena, lease, result) ||
	                         !postgres_add_arrays(&p, columns, ENDING_COLUMNS))) {
		code = vega_fail_nomem(err);
	}
	if (code == 0) {
		postgres_hurry(store);
		code = postgres_query(store, &commit, &p, &reply, err);
	}
	if (code == 0 && PQntuples(reply) == 0) {
		code = settle_commit(store, lease, err);
	} else if (code && store->locked) {
		code = vega_fail(err, VEGA_LOCKED, "the row of job %s is locked", lease->id);
	}
	PQclear(reply);
	postgres_arrays_release(columns, ENDING_COLUMNS);
	arena_release(&arena);
	return code;
}

/*
 * Those whose row was not changed: the lease was lost, an earlier call of ours was not answered, or
 * the row is locked.
 */
static int settle(struct postgres_store *store, const struct postgres_parameters *p,
        struct store_ending *endings, size_t count, struct vega_error *err)
{
	/* clang-format off */
	static const struct postgres_statement find = {
		.sql = "SELECT s.state, (s.finished_seq IS NOT DISTINCT FROM e.seq)::integer"
			" FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS e (job, seq, n)"
			" LEFT JOIN vega.job j ON j.id = ANY (ARRAY[e.job])"
			" LEFT JOIN vega.job_state s ON s.nr = ANY (ARRAY[j.nr])"
			"  AND (s.finished_seq = e.seq OR " FENCE ")"
			" ORDER BY e.n",
		.role = "vega_worker",
	};
	/* clang-format on */
	struct postgres_parameters leases = *p;
	PGresult *reply = NULL;
	leases.count = ENDING_OUTCOME;
	int code = postgres_query(store, &find, &leases, &reply, err);
	for (size_t i = 0; code == 0 && i < count; i++) {
		struct store_ending *ending = &endings[i];
		if (!ending->code || PQgetisnull(reply, (int)i, 0)) {
			continue;
		}
		if (!postgres_integer(reply, (int)i, 1)) {
			ending->code = VEGA_LOCKED;
			continue;
		}
		job_state_parse(PQgetvalue(reply, (int)i, 0), &ending->state);
		ending->state = job_state_terminal(ending->state) ? ending->state : JOB_PENDING;
		ending->code = 0;
	}
	PQclear(reply);
	return code;
}

/* Notes those that were ended, by the columns with their numbers and state. Returns how many. */
static size_t note_ended(
        const PGresult *reply, int numbers, int state, struct store_ending *endings, size_t count)
{
	size_t ended = 0;
	for (size_t i = 0; i < count; i++) {
		endings[i].code = VEGA_LEASE_LOST;
	}
	for (int i = 0; i < PQntuples(reply); i++) {
		enum job_state after = JOB_PENDING;
		char *next = PQgetvalue(reply, i, numbers); /* "", where it is NULL */
		job_state_parse(PQgetvalue(reply, i, state), &after);
		while (*next) {
			size_t n = (size_t)strtoull(next, &next, 10) - 1;
			CHECK(n < count && endings[n].code);
			struct store_ending *ending = &endings[n];
			ending->state = after;
			ending->code = 0;
			ended++;
		}
	}
	CHECK(ended <= count);
	return ended;
}

/* Runs one of the statements that only end attempts. */
static int end_by(struct postgres_store *store, const struct postgres_statement *statement,
        const struct postgres_parameters *p, struct store_ending *endings, size_t count,
        struct vega_error *err)
{
	PGresult *reply = NULL;
	int code = postgres_query(store, statement, p, &reply, err);
	if (code == 0 && note_ended(reply, 0, 1, endings, count) < count) {
		code = settle(store, p, endings, count, err);
	}
	PQclear(reply);
	return code;
}

static int end_free(struct postgres_store *store, const struct postgres_parameters *p,
        struct store_ending *endings, size_t count, struct vega_error *err)
{
	return end_by(store, &finish_free, p, endings, count, err);
}

static int end_attempts(struct postgres_store *store, const struct postgres_parameters *p,
        struct store_ending *endings, size_t count, struct vega_error *err)
{
	int code = end_by(store, &finish, p, endings, count, err);
	return code && store->locked ? end_free(store, p, endings, count, err) : code;
}

/* The same, with a claim. Jobs that there is no memory for are left to the end of their leases: the
 * attempts have ended. */
static int end_and_claim(struct postgres_store *store, const struct postgres_parameters *p,
        struct store_ending *endings, size_t count, const struct store_claim *claim,
        struct job *jobs, struct vega_error *err)
{
	struct arena arena = {0};
	struct postgres_parameters both = *p;
	PGresult *reply = NULL;
	enum store_queues kind;
	int claimed = 0;
	int code = postgres_add_claim(&both, &arena, claim, &kind)
	                   ? postgres_query(store, &finish_claim[kind], &both, &reply, err)
	                   : vega_fail_nomem(err);
	memset(jobs, 0, claim->max * sizeof *jobs);
	store->claims = true;
	if (code && store->locked) {
		code = end_free(store, p, endings, count, err);
	} else if (code == 0 &&
	           note_ended(reply, CLAIMED_ENDING, CLAIMED_STATE, endings, count) < count) {
		code = settle(store, p, endings, count, err);
	}
	for (int i = 0; i < PQntuples(reply); i++) {
		if (PQgetisnull(reply, i, CLAIMED_ENDING) &&
		        postgres_read_job(reply, i, 0, &jobs[claimed], err) == 0) {
			claimed++;
		}
	}
	while (code && claimed > 0) {
		job_release(&jobs[--claimed]);
	}
	store->look_again = store->look_again || claimed > 0;
	PQclear(reply);
	arena_release(&arena);
	return code ? code : claimed;
}

int postgres_finish(struct store *base, struct store_ending *endings, size_t count,
        const struct store_claim *claim, struct job *jobs, struct vega_error *err)
{
	struct postgres_store *store = (struct postgres_store *)base;
	struct arena arena = {0};
	struct buf delays = BUF_INIT;
	struct postgres_array columns[ENDING_COLUMNS] = {0};
	struct postgres_parameters p = {0};
	bool good = true;
	if (count == 0) {
		return claim ? postgres_claim(base, claim, jobs, err) : 0;
	}
	for (size_t i = 0; good && i < count; i++) {
		good = add_ending(columns, &arena, endings[i].lease, endings[i].result);
	}
	good = good && retry_delays(&delays) && postgres_add_arrays(&p, columns, ENDING_COLUMNS);
	int code = good ? postgres_begin_call(store, err) : vega_fail_nomem(err);
	if (code == 0) {
		postgres_add_text(&p, delays.data);
		postgres_hurry(store);
		code = claim ? end_and_claim(store, &p, endings, count, claim, jobs, err)
		             : end_attempts(store, &p, endings, count, err);
	}
	buf_release(&delays);
	postgres_arrays_release(columns, ENDING_COLUMNS);
	arena_release(&arena);
	return code;
}
