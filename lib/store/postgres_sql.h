/* What several statements of the PostgreSQL store share. */
#ifndef VEGA_STORE_POSTGRES_SQL_H
#define VEGA_STORE_POSTGRES_SQL_H

#include "store/postgres_internal.h"

/* Times leave as microseconds. Those of the database's clock are exact as doubles until 2255, and
 * cheaper so than as numeric. */
#define CLOCK_US(time) "(date_part('epoch', " time ") * 1000000)::bigint"
/* clang-format off */
/* As many columns as STORE_CLAIM_COLUMNS. */
#define NO_CLAIM \
	"NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL"
#define JOB_COLUMNS JOB_COLUMNS_WITH("j.spec")
#define JOB_COLUMNS_WITH(spec) \
	STORE_CLAIM_COLUMNS_WITH(spec) ", j.priority, j.idempotency_key, j.labels, " CLOCK_US("j.created") "," \
	" (extract(epoch FROM j.not_before) * 1000000)::bigint, s.worker, " \
	CLOCK_US("s.lease_until") ", " CLOCK_US("s.started") ", " CLOCK_US("s.finished") ", " \
	"s.cancel_requested::integer, s.progress, s.error, j.nr"
#define JOB_TABLES " FROM vega.job j JOIN vega.job_state s USING (nr)"

/*
 * A statement is planned once, perhaps while the tables are empty, and runs when they are not. So a
 * join is written "key = ANY (ARRAY[value])": to the planner that is no equality, which it could
 * turn around, but a look-up by key in the second table. Nor does the fence offer it the index of
 * what is PROCESSING to begin with.
 */
#define FENCE "s.lease_seq = e.seq AND s.state IS NOT DISTINCT FROM 'PROCESSING'"

#define IN_ONE(parameter) "AND s.queue = " parameter
#define IN_MANY(parameter) "AND s.queue IN (SELECT json_array_elements_text(" parameter "::json))"

/* Jobs that are due, locked; and those of `which`, taken for a worker. */
#define READY(limit, condition, queues) \
	"ready AS MATERIALIZED (" \
	" SELECT s.nr, s.priority FROM vega.job_state s" \
	" WHERE s.state = 'PENDING' AND s.due <= now() " condition queues \
	" ORDER BY s.priority DESC, s.nr LIMIT " limit "::integer" \
	" FOR UPDATE OF s SKIP LOCKED)"
#define TAKEN(which, worker, lease_ms) \
	"taken AS (" \
	" UPDATE vega.job_state s SET" \
	"  error = CASE WHEN s.state = 'PROCESSING' THEN" \
	"   format('worker %s was lost in attempt %s', s.worker, s.attempt)" \
	"   ELSE s.error END," \
	"  state = 'PROCESSING', attempt = s.attempt + 1, lease_seq = s.lease_seq + 1," \
	"  worker = " worker "," \
	"  lease_until = now() + " lease_ms "::bigint * interval '1 millisecond'," \
	"  started = now(), progress = NULL" \
	" FROM " which " p WHERE s.nr = ANY (ARRAY[p.nr])" \
	" RETURNING s.nr, s.priority, s.state, s.attempt, s.lease_seq, s.committed_seq)"

/* Those that were taken, in order; sorted before the specifications are there to be moved. */
#define CLAIMED \
	" FROM (SELECT * FROM taken ORDER BY priority DESC, nr) s" \
	" JOIN vega.job j ON j.nr = ANY (ARRAY[s.nr]) ORDER BY s.priority DESC, s.nr"

/* What is to be done nearly always, when no lease has expired. */
#define NONE_EXPIRED(queues) \
	"AND NOT EXISTS (SELECT FROM vega.job_state s" \
	" WHERE s.state = 'PROCESSING' AND s.lease_until <= now() " queues ") "

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
/* clang-format on */

#endif
