/* cancel() of the PostgreSQL store: ask, and when no row was changed, say why. */

#include "store/postgres_sql.h"

/* clang-format off */
static const struct postgres_statement ask = {
	.sql = "WITH asked AS ("
		" UPDATE vega.job_state s SET cancel_requested = true,"
		"  finished = CASE WHEN s.state = 'PENDING' THEN now() END,"
		"  state = CASE WHEN s.state = 'PENDING' THEN 'CANCELLED' ELSE s.state END"
		" FROM vega.job j WHERE j.id = $1::uuid AND s.nr = ANY (ARRAY[j.nr])"
		"  AND s.state IN ('PENDING', 'PROCESSING') AND s.committed_seq = 0"
		" RETURNING j.id, s.state),"
		TOLD("asked")
		" SELECT state, " HOW_MANY_TOLD " FROM asked",
	.role = "vega_submitter",
	.role_for_all = "vega_admin",
};
static const struct postgres_statement find = {
	.sql = "SELECT s.state, (s.committed_seq > 0)::integer" JOB_TABLES " WHERE j.id = $1::uuid",
	.role = "vega_submitter",
	.role_for_all = "vega_admin",
};
/* clang-format on */

/* The job could not be asked: 0 and its state when it is over, else the reason. */
static int not_asked(struct postgres_store *store, const struct postgres_parameters *p,
        const char *id, enum job_state *state, struct vega_error *err)
{
	PGresult *reply = NULL;
	int code = postgres_query(store, &find, p, &reply, err);
	if (code == 0 && PQntuples(reply) == 0) {
		code = vega_fail(err, VEGA_NO, "no job %s", id);
	} else if (code == 0) {
		job_state_parse(PQgetvalue(reply, 0, 0), state);
		if (job_state_terminal(*state)) {
			code = 0;
		} else if (postgres_integer(reply, 0, 1)) {
			code = vega_fail(err, VEGA_NO,
			        "job %s is publishing its files; it is too late to cancel it", id);
		} else {
			code = vega_fail(err, VEGA_FATAL,
			        "job %s is not yours: to cancel it needs the role vega_admin", id);
		}
	}
	PQclear(reply);
	return code;
}

int postgres_cancel(
        struct store *base, const char *id, enum job_state *state, struct vega_error *err)
{
	struct postgres_store *store = (struct postgres_store *)base;
	struct postgres_parameters p = {0};
	PGresult *reply = NULL;
	enum job_state after = JOB_PENDING;
	char canonical[UUID_TEXT];
	int code = store_id(id, canonical, err);
	code = code ? code : postgres_begin_call(store, err);
	if (code) {
		return code;
	}
	postgres_add_text(&p, canonical);
	code = postgres_query(store, &ask, &p, &reply, err);
	if (code == 0 && PQntuples(reply) > 0) {
		job_state_parse(PQgetvalue(reply, 0, 0), &after);
	} else if (code == 0) {
		code = not_asked(store, &p, id, &after, err);
	}
	if (code == 0 && state) {
		*state = after;
	}
	PQclear(reply);
	return code;
}
