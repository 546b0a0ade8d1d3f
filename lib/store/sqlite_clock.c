/*
 * Times that a clock which was ahead has left in the SQLite store: leases and retries whose time
 * would not come for as long as it was wrong. See STORE_AHEAD_US.
 */
#include "store/sqlite_internal.h"

/* ?1 is now, ?2 STORE_AHEAD_US or STORE_RETRY_AHEAD_US. */
#define LEASE_AHEAD \
	"state = 'PROCESSING' AND started > ?1 + ?2 AND lease_until > started" \
	" AND lease_until > ?1 + ?2"
#define DUE_AHEAD \
	"state = 'PENDING' AND due > ?1 + ?2 AND due IS NOT" \
	" (SELECT not_before FROM job j WHERE j.nr = job_state.nr)"

static int run(struct sqlite_store *store, const char *sql, int64_t now, int64_t ahead,
        struct vega_error *err)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite_prepare(store, &statement, err, sql, "ii", now, ahead);
	code = code ? code : sqlite_step(store, statement, err);
	if (code == 1) {
		code = sqlite3_column_int(statement, 0);
	}
	sqlite_release(statement);
	return code;
}

int sqlite_mend_clock(struct sqlite_store *store, struct vega_error *err)
{
	const int64_t now = sqlite_now_us();
	int code = run(store, "SELECT EXISTS (SELECT 1 FROM job_state WHERE " LEASE_AHEAD ")", now,
	        STORE_AHEAD_US, err);
	if (code == 0) {
		code = run(store, "SELECT EXISTS (SELECT 1 FROM job_state WHERE " DUE_AHEAD ")",
		        now, STORE_RETRY_AHEAD_US, err);
	}
	if (code <= 0) {
		return code;
	}
	code = sqlite_run(store, "BEGIN IMMEDIATE", err);
	if (code) {
		return code;
	}
	code = run(store,
	        "UPDATE job_state SET started = ?1,"
	        " lease_until = ?1 + min(lease_until - started, 86400000000)"
	        " WHERE " LEASE_AHEAD,
	        now, STORE_AHEAD_US, err);
	code = code ? code
	            : run(store, "UPDATE job_state SET due = ?1 WHERE " DUE_AHEAD, now,
	                      STORE_RETRY_AHEAD_US, err);
	code = sqlite_end(store, code, err);
	return code ? code : 1;
}
