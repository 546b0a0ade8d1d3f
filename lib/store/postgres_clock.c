/*
 * Times that a clock which was ahead has left in the PostgreSQL store: leases and retries whose
 * time would not come for as long as it was wrong. See STORE_AHEAD_US.
 */
#include <string.h>

#include "store/postgres_sql.h"

/* clang-format off */
/* $1 is STORE_AHEAD_US. */
#define AHEAD "now() + $1::bigint * interval '1 microsecond'"
static const struct postgres_statement mend_leases = {
	.sql = "WITH ahead AS MATERIALIZED ("
		" SELECT s.nr FROM vega.job_state s WHERE s.state = 'PROCESSING'"
		"  AND s.lease_until > " AHEAD " AND s.started > " AHEAD " AND s.lease_until > s.started"
		" FOR UPDATE OF s SKIP LOCKED)"
		" UPDATE vega.job_state s SET started = now(),"
		"  lease_until = now() + least(s.lease_until - s.started, interval '1 day')"
		" FROM ahead a WHERE s.nr = ANY (ARRAY[a.nr])",
	.role = "vega_worker",
};

/* $1 is STORE_RETRY_AHEAD_US. What is never due is not the work of a clock. */
static const struct postgres_statement mend_due = {
	.sql = "WITH ahead AS MATERIALIZED ("
		" SELECT s.nr FROM vega.job_state s, vega.job j WHERE j.nr = ANY (ARRAY[s.nr])"
		"  AND s.state = 'PENDING' AND s.due > " AHEAD " AND isfinite(s.due)"
		"  AND s.due IS DISTINCT FROM j.not_before"
		" FOR UPDATE OF s SKIP LOCKED)"
		" UPDATE vega.job_state s SET due = now()"
		" FROM ahead a WHERE s.nr = ANY (ARRAY[a.nr])",
	.role = "vega_worker",
};
/* clang-format on */

static int mend(struct postgres_store *store, const struct postgres_statement *statement,
        int64_t ahead, struct vega_error *err)
{
	struct postgres_parameters p = {0};
	PGresult *reply = NULL;
	postgres_add_integer(&p, ahead);
	int code = postgres_query(store, statement, &p, &reply, err);
	bool any = code == 0 && strcmp(PQcmdTuples(reply), "0") != 0;
	PQclear(reply);
	return code ? code : any;
}

int postgres_mend_clock(struct postgres_store *store, bool idle, struct vega_error *err)
{
	int leases = mend(store, &mend_leases, STORE_AHEAD_US, err);
	int due = leases < 0 || !idle ? 0 : mend(store, &mend_due, STORE_RETRY_AHEAD_US, err);
	return leases < 0 ? leases : due < 0 ? due : leases || due;
}
