/* claim() and heartbeat() of the SQLite store: how a lease begins, and how it goes on. */

#include "store/sqlite_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/killpoint.h"

static struct sqlite_store *handle(struct store *base)
{
	return (struct sqlite_store *)base;
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

static const char *const picks[QUEUES_KINDS] = {
        [QUEUES_ANY] = PICK(""),
        [QUEUES_ONE] = PICK(SQLITE_IN_ONE),
        [QUEUES_MANY] = PICK(SQLITE_IN_MANY),
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
		CHECK((unsigned)count < claim->max);
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

/* How the picked jobs are taken. */
struct taking {
	sqlite3_stmt *update, *load;
	const char *worker;
	int64_t now, until;
};

static int prepare_taking(struct sqlite_store *store, struct taking *taking, struct vega_error *err)
{
	int code = sqlite_prepare(store, &taking->update, err,
	        "UPDATE job_state SET"
	        " error = CASE WHEN state = 'PROCESSING' THEN"
	        "  printf('worker %s was lost in attempt %d', worker, attempt)"
	        "  ELSE error END,"
	        " state = 'PROCESSING', attempt = attempt + 1, lease_seq = lease_seq + 1,"
	        " worker = ?1, lease_until = ?2, started = ?3, progress = NULL"
	        " WHERE nr = ?4",
	        "");
	return code ? code
	            : sqlite_prepare(store, &taking->load, err,
	                      "SELECT " STORE_CLAIM_COLUMNS SQLITE_JOB_TABLES " WHERE j.nr = ?",
	                      "");
}

/* 1: the job is ours; 0: another program has removed it, and its state has gone now, too. */
static int take_one(struct sqlite_store *store, const struct taking *taking, int64_t number,
        struct job *job, struct vega_error *err)
{
	int code = sqlite_rebind(store, taking->update, err, "siii", taking->worker, taking->until,
	        taking->now, number);
	if (code == 0) {
		code = sqlite_execute(store, taking->update, err);
	}
	if (code == 0) {
		code = sqlite_rebind(store, taking->load, err, "i", number);
	}
	if (code) {
		return code;
	}
	code = sqlite_step(store, taking->load, err);
	if (code == 0) {
		return drop_state(store, number, err);
	}
	if (code == 1) {
		code = sqlite_read_job(taking->load, 0, job, err);
		CHECK(code || job->lease_seq > 0);
	}
	return code ? code : 1;
}

/* Takes the picked jobs and reads them; how many are left of them. */
static int take(struct sqlite_store *store, const struct store_claim *claim, int64_t now,
        const int64_t *numbers, int count, struct job *jobs, struct vega_error *err)
{
	struct taking taking = {
	        .worker = claim->worker, .now = now, .until = now + store_span_us(claim->lease_ms)};
	struct arena arena = {0};
	int done = 0;
	int code = store_clean(&arena, &taking.worker) ? prepare_taking(store, &taking, err)
	                                               : vega_fail_nomem(err);
	for (int i = 0; code == 0 && i < count; i++) {
		int taken = take_one(store, &taking, numbers[i], &jobs[done], err);
		done += taken == 1;
		code = taken < 0 ? taken : 0;
	}
	sqlite_release(taking.update);
	sqlite_release(taking.load);
	arena_release(&arena);
	while (code && done > 0) {
		job_release(&jobs[--done]);
	}
	return code ? code : done;
}

int sqlite_claim_now(struct sqlite_store *store, const struct store_claim *claim, struct job *jobs,
        struct vega_error *err)
{
	int64_t now = sqlite_now_us();
	int64_t *numbers = calloc(claim->max, sizeof *numbers);
	if (!numbers) {
		return vega_fail_nomem(err);
	}
	CHECK(!sqlite3_get_autocommit(store->db)); /* nobody else writes between these */
	int code = bury(store, now, err);
	if (code == 0) {
		code = pick(store, claim, now, numbers, err);
	}
	if (code > 0) {
		code = take(store, claim, now, numbers, code, jobs, err);
	}
	free(numbers);
	return code;
}

int sqlite_end_claim(struct sqlite_store *store, int code, struct job *jobs, struct vega_error *err)
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

int sqlite_claim(struct store *base, const struct store_claim *claim, struct job *jobs,
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
		code = sqlite_end_claim(
		        store, sqlite_claim_now(store, claim, jobs, err), jobs, err);
	}
	return code;
}

int sqlite_heartbeat(struct store *base, const char *worker, struct store_lease *leases,
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
