/*
 * claim() and heartbeat() of the PostgreSQL store: how a lease begins, and how it goes on.
 *
 * The fence. Each claim raises the job's lease_seq, and every later write of the worker names the
 * number that it was given. A worker that was away for longer than its lease cannot know that it
 * lost the job; the row does:
 *
 *      worker A                     job_state                 worker B
 *      claim: lease 5         ────► PROCESSING, seq 5
 *      (stopped, or cut off)        lease_until passes
 *                                   PROCESSING, seq 6   ◄──── claim: lease 6
 *      finish, seq 5          ────► no row has seq 5
 *      VEGA_LEASE_LOST              COMPLETED, seq 6    ◄──── finish, seq 6
 *
 * No clock of a worker takes part: lease_until is set and compared by the database alone. lease_seq
 * never falls, not by a retry, a release or the end of a job, so no old number can come true again.
 *
 * Two statements. Nearly always no lease has expired, and claim_ready is all that is needed. It
 * finds nothing when one has; claim_any then also gives up jobs that are not tried again (GONE,
 * BURIED), and takes over the expired ones. Rows are locked with SKIP LOCKED in CTEs of their own:
 * workers pass by each other's rows, and LIMIT counts rows that are locked.
 */
#include <string.h>

#include "base/check.h"
#include "store/postgres_sql.h"

/*
 * $1 how many, $2 worker, $3 lease, $4 queues. `gone`: jobs whose worker was lost and that are not
 * tried again. Rows are locked in CTEs of their own, so that LIMIT holds.
 */
/* clang-format off */
#define GONE \
	"gone AS MATERIALIZED (" \
	" SELECT s.nr, j.id, j.max_attempts FROM vega.job_state s, vega.job j" \
	" WHERE j.nr = ANY (ARRAY[s.nr]) AND s.state = 'PROCESSING' AND s.lease_until <= now()" \
	"  AND (s.cancel_requested OR s.attempt >= j.max_attempts) AND s.committed_seq = 0" \
	" FOR UPDATE OF s SKIP LOCKED)"
#define BURIED \
	"buried AS (" \
	" UPDATE vega.job_state s SET" \
	"  state = (CASE WHEN s.cancel_requested THEN 'CANCELLED' ELSE 'FAILED' END)::vega.state," \
	"  error = format('worker %s was lost in attempt %s of %s', s.worker, s.attempt," \
	"   g.max_attempts)," \
	"  lease_seq = s.lease_seq + 1, lease_until = NULL, finished = now()" \
	" FROM gone g WHERE s.nr = ANY (ARRAY[g.nr]) RETURNING g.id, s.state)"
#define EXPIRED(queues) \
	"expired AS MATERIALIZED (" \
	" SELECT s.nr, s.priority FROM vega.job_state s, vega.job j" \
	" WHERE j.nr = ANY (ARRAY[s.nr]) AND s.state = 'PROCESSING' AND s.lease_until <= now()" \
	"  AND (s.committed_seq > 0 OR NOT s.cancel_requested AND s.attempt < j.max_attempts)" \
	"  " queues \
	" ORDER BY s.priority DESC, s.nr LIMIT $1::integer" \
	" FOR UPDATE OF s SKIP LOCKED)"
#define PICKED \
	"picked AS MATERIALIZED (" \
	" SELECT nr FROM (SELECT * FROM expired UNION ALL SELECT * FROM ready) claimable" \
	" ORDER BY priority DESC, nr LIMIT $1::integer)"
#define CLAIM_SQL(queues) \
	"WITH " \
	GONE "," \
	BURIED "," \
	TOLD("buried") "," \
	EXPIRED(queues) "," \
	READY("$1", "", queues) "," \
	PICKED "," \
	TAKEN("picked", "$2", "$3") \
	" SELECT " STORE_CLAIM_COLUMNS ", " HOW_MANY_TOLD CLAIMED
#define CLAIM_READY_SQL(queues) \
	"WITH " \
	READY("$1", NONE_EXPIRED(queues), queues) "," \
	TAKEN("ready", "$2", "$3") \
	" SELECT " STORE_CLAIM_COLUMNS CLAIMED
/* clang-format on */

static const struct postgres_statement claim_any[QUEUES_KINDS] = {
        [QUEUES_ANY] = {.sql = CLAIM_SQL(""), .role = "vega_worker"},
        [QUEUES_ONE] = {.sql = CLAIM_SQL(IN_ONE("$4")), .role = "vega_worker"},
        [QUEUES_MANY] = {.sql = CLAIM_SQL(IN_MANY("$4")), .role = "vega_worker"},
};

static const struct postgres_statement claim_ready[QUEUES_KINDS] = {
        [QUEUES_ANY] = {.sql = CLAIM_READY_SQL(""), .role = "vega_worker"},
        [QUEUES_ONE] = {.sql = CLAIM_READY_SQL(IN_ONE("$4")), .role = "vega_worker"},
        [QUEUES_MANY] = {.sql = CLAIM_READY_SQL(IN_MANY("$4")), .role = "vega_worker"},
};

bool postgres_add_claim(struct postgres_parameters *p, struct arena *arena,
        const struct store_claim *claim, enum store_queues *kind)
{
	struct buf queues = BUF_INIT;
	const char *worker = claim->worker;
	*kind = store_queues(claim->queues, &queues);
	const char *names = buf_cstr(&queues);
	names = names ? arena_copy(arena, names, queues.len) : NULL;
	bool good = names && store_clean(arena, &worker);
	buf_release(&queues);
	postgres_add_integer(p, claim->max);
	postgres_add_text(p, worker);
	postgres_add_integer(p, store_span_us(claim->lease_ms) / 1000);
	if (*kind != QUEUES_ANY) {
		postgres_add_text(p, names);
	}
	return good;
}

int postgres_claim(struct store *base, const struct store_claim *claim, struct job *jobs,
        struct vega_error *err)
{
	struct postgres_store *store = (struct postgres_store *)base;
	struct arena arena = {0};
	struct postgres_parameters p = {0};
	PGresult *result = NULL;
	enum store_queues kind;
	int code = postgres_add_claim(&p, &arena, claim, &kind) ? postgres_begin_call(store, err)
	                                                        : vega_fail_nomem(err);
	memset(jobs, 0, claim->max * sizeof *jobs);
	store->claims = true;
	if (code == 0) {
		code = postgres_query(store, &claim_ready[kind], &p, &result, err);
	}
	if (code == 0 && PQntuples(result) == 0) {
		PQclear(result);
		code = postgres_query(store, &claim_any[kind], &p, &result, err);
	}
	code = code ? code : postgres_read_jobs(result, 0, jobs, err);
	store->look_again = store->look_again || code > 0;
	PQclear(result);
	arena_release(&arena);
	return code;
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

/* clang-format off */
/* The leases that are ours. */
#define HELD \
	"SELECT e.n, e.progress, s.nr FROM lease e, vega.job j, vega.job_state s" \
	" WHERE j.id = ANY (ARRAY[e.id]) AND s.nr = ANY (ARRAY[j.nr])" \
	"  AND " FENCE " AND s.worker = $1"
static const struct postgres_statement heartbeat = {
	.sql = "WITH lease AS MATERIALIZED ("
		" SELECT * FROM ROWS FROM ("
		"  json_to_recordset($3::json) AS (id uuid, seq bigint, progress json))"
		"  WITH ORDINALITY AS e (id, seq, progress, n)),"
		"held AS MATERIALIZED (" HELD " FOR UPDATE OF s SKIP LOCKED),"
		"renewed AS ("
		" UPDATE vega.job_state s SET"
		"  lease_until = now() + $2::bigint * interval '1 millisecond',"
		"  progress = coalesce(h.progress, s.progress)"
		" FROM held h WHERE s.nr = ANY (ARRAY[h.nr]) RETURNING h.n, s.cancel_requested)"
		" SELECT o.n, r.cancel_requested::integer FROM (" HELD ") o"
		" LEFT JOIN renewed r USING (n)",
	.role = "vega_worker",
};
/* clang-format on */

int postgres_heartbeat(struct store *base, const char *worker, struct store_lease *leases,
        size_t count, uint64_t lease_ms, struct vega_error *err)
{
	struct postgres_store *store = (struct postgres_store *)base;
	struct arena arena = {0};
	struct buf json = BUF_INIT;
	struct postgres_parameters p = {0};
	PGresult *result = NULL;
	int code = store_clean(&arena, &worker) ? lease_json(leases, count, &json, err)
	                                        : vega_fail_nomem(err);
	code = code ? code : postgres_begin_call(store, err);
	if (code == 0) {
		postgres_add_text(&p, worker);
		postgres_add_integer(&p, store_span_us(lease_ms) / 1000);
		postgres_add_text(&p, json.data);
		code = postgres_query(store, &heartbeat, &p, &result, err);
	}
	for (size_t i = 0; code == 0 && i < count; i++) {
		leases[i].lost = true;
		leases[i].kept = leases[i].cancel = false;
	}
	for (int i = 0; code == 0 && i < PQntuples(result); i++) {
		size_t n = (size_t)postgres_integer(result, i, 0) - 1;
		CHECK(n < count);
		struct store_lease *lease = &leases[n];
		lease->lost = false;
		lease->kept = PQgetisnull(result, i, 1);
		lease->cancel = !lease->kept && postgres_integer(result, i, 1);
	}
	PQclear(result);
	buf_release(&json);
	arena_release(&arena);
	return code;
}
