/* announce(), leave(), workers(), stats() and prune() of the PostgreSQL store. */
#include "store/postgres_internal.h"

static struct postgres_store *handle(struct store *base)
{
	return (struct postgres_store *)base;
}

int postgres_announce(struct store *base, const struct store_worker *worker, struct vega_error *err)
{
	static const struct postgres_statement statement = {
	        .sql = "INSERT INTO vega.worker (name, host, pid, version, lease_ms, jobs, "
	               "running, "
	               "queues)"
	               " VALUES ($1, $2, $3::integer, $4, $5::bigint, $6::integer, $7::integer, "
	               "$8::jsonb)"
	               " ON CONFLICT (name) DO UPDATE SET seen = now(), lease_ms = "
	               "excluded.lease_ms,"
	               " jobs = excluded.jobs, running = excluded.running, queues = "
	               "excluded.queues",
	        .role = "vega_worker",
	};
	struct postgres_store *store = handle(base);
	struct arena arena = {0};
	struct postgres_parameters p = {0};
	PGresult *reply = NULL;
	const char *name = worker->name, *host = worker->host;
	int code = store_clean(&arena, &name) && store_clean(&arena, &host)
	                   ? postgres_begin_call(store, err)
	                   : vega_fail_nomem(err);
	if (code == 0) {
		postgres_add_text(&p, name);
		postgres_add_text(&p, host);
		postgres_add_integer(&p, worker->pid);
		postgres_add_text(&p, worker->version);
		postgres_add_integer(&p, store_limit(worker->lease_ms));
		postgres_add_integer(&p, worker->jobs);
		postgres_add_integer(&p, worker->running);
		postgres_add_text(&p, worker->queues);
		code = postgres_query(store, &statement, &p, &reply, err);
	}
	PQclear(reply);
	arena_release(&arena);
	return code;
}

int postgres_leave(struct store *base, const char *name, struct vega_error *err)
{
	static const struct postgres_statement statement = {
	        .sql = "DELETE FROM vega.worker WHERE name = $1", .role = "vega_worker"};
	struct postgres_store *store = handle(base);
	struct arena arena = {0};
	struct postgres_parameters p = {0};
	PGresult *reply = NULL;
	int code =
	        store_clean(&arena, &name) ? postgres_begin_call(store, err) : vega_fail_nomem(err);
	if (code == 0) {
		postgres_add_text(&p, name);
		code = postgres_query(store, &statement, &p, &reply, err);
	}
	PQclear(reply);
	arena_release(&arena);
	return code;
}

int postgres_workers(
        struct store *base, store_each_worker *each, void *context, struct vega_error *err)
{
	static const struct postgres_statement statement = {
	        .sql = "SELECT name, host, pid, version, (extract(epoch FROM started) * "
	               "1000000)::bigint,"
	               " (extract(epoch FROM seen) * 1000000)::bigint, lease_ms, jobs, running, "
	               "queues,"
	               " (extract(epoch FROM now()) * 1000000)::bigint"
	               " FROM vega.worker ORDER BY name COLLATE \"C\"",
	        .role = "vega_reader",
	};
	struct postgres_store *store = handle(base);
	const struct postgres_parameters none = {0};
	PGresult *reply = NULL;
	int code = postgres_begin_call(store, err);
	code = code ? code : postgres_query(store, &statement, &none, &reply, err);
	for (int i = 0; code == 0 && i < PQntuples(reply); i++) {
		struct postgres_row context_row = {.result = reply, .number = i};
		const struct store_row row = {.text = postgres_row_text, .context = &context_row};
		const struct store_worker worker = store_read_worker(&row);
		if (each(&worker, context)) {
			break;
		}
	}
	PQclear(reply);
	return code;
}

#define LATER(a, b) "greatest(" a ", " b ")"
#define AGE(time) "(extract(epoch FROM now() - " time ") * 1000)::bigint"

int postgres_stats(
        struct store *base, store_each_stats *each, void *context, struct vega_error *err)
{
	static const struct postgres_statement statement = {
	        .sql = "SELECT " STORE_STATS("now()", "interval '1 minute'", "interval '1 hour'",
	                AGE, LATER) " FROM vega.job j LEFT JOIN vega.job_state s USING (nr)"
	                            " GROUP BY j.queue ORDER BY j.queue COLLATE \"C\"",
	        .role = "vega_reader",
	};
	struct postgres_store *store = handle(base);
	const struct postgres_parameters none = {0};
	PGresult *reply = NULL;
	int code = postgres_begin_call(store, err);
	if (code == 0) {
		code = postgres_search(store, err);
	}
	if (code == 0) {
		code = postgres_query(store, &statement, &none, &reply, err);
	}
	for (int i = 0; code == 0 && i < PQntuples(reply); i++) {
		struct postgres_row context_row = {.result = reply, .number = i};
		const struct store_row row = {.text = postgres_row_text, .context = &context_row};
		const struct store_stats stats = store_read_stats(&row);
		if (each(&stats, context)) {
			break;
		}
	}
	PQclear(reply);
	return code;
}

/* The job is locked, not its state: an administrator may lock any, and change none. */
#define PRUNE_SQL(spec, more, lock) \
	"SELECT s.nr, j.id, s.lease_seq, " spec ", s.records_uri," \
	" coalesce(s.records_size, 0)" more " FROM vega.job_state s JOIN vega.job j USING (nr)" \
	" WHERE s.nr > $1::bigint AND j.nr > $1::bigint AND s.state = ANY ($2::vega.state[])" \
	" AND s.finished <= now() - $3::bigint * interval '1 millisecond'" \
	" AND ($4::text IS NULL OR s.queue = $4)" \
	" AND " POSTGRES_LABELLED("$5::text", "$6::text") " ORDER BY s.nr LIMIT $7::integer" lock

static const struct postgres_statement select_dry = {
        .sql = PRUNE_SQL("NULL", "", ""), .role = "vega_admin"};
static const struct postgres_statement select_locked = {
        .sql = PAGE_OF(PRUNE_SQL("j.spec", SPEC_SIZE, " FOR UPDATE OF j SKIP LOCKED"), ""),
        .role = "vega_admin"};
static const struct postgres_statement delete = {
        .sql = "DELETE FROM vega.job WHERE nr = ANY ($1::bigint[])", .role = "vega_admin"};

static int select_batch(struct postgres_store *store, const struct store_prune *prune,
        PGresult **reply, struct vega_error *err)
{
	struct arena arena = {0};
	struct buf states = BUF_INIT;
	struct postgres_parameters p = {0};
	const char *queue = prune->queue, *label = prune->label, *key, *value;
	bool clean = store_clean(&arena, &queue) && store_clean(&arena, &label) &&
	             postgres_state_array(store_prunable(prune), &states);
	int code =
	        clean ? store_split_label(label, &arena, &key, &value, err) : vega_fail_nomem(err);
	if (code == 0) {
		postgres_add_integer(&p, prune->after);
		postgres_add_text(&p, states.data);
		postgres_add_integer(&p, store_span_us(prune->older_ms) / 1000);
		postgres_add_text(&p, queue);
		postgres_add_text(&p, key);
		postgres_add_text(&p, value);
		postgres_add_integer(&p, prune->dry_run ? prune->batch : prune->page);
		code = postgres_query(
		        store, prune->dry_run ? &select_dry : &select_locked, &p, reply, err);
	}
	buf_release(&states);
	arena_release(&arena);
	return code;
}

static int prune_batch(
        struct postgres_store *store, struct store_prune *prune, struct vega_error *err)
{
	struct postgres_array numbers = {.count = 0}; /* of those to delete */
	struct postgres_parameters p = {0};
	PGresult *reply = NULL;
	unsigned first = prune->batch < STORE_PAGE_FIRST ? prune->batch : STORE_PAGE_FIRST;
	prune->page = prune->page ? prune->page : first;
	int seen = 0, code = select_batch(store, prune, &reply, err);
	for (; code == 0 && seen < PQntuples(reply); seen++) {
		struct postgres_row context = {.result = reply, .number = seen};
		const struct store_row row = {.text = postgres_row_text, .context = &context};
		if (store_prune_row(prune, &row)) {
			postgres_array_integer(&numbers, prune->after);
		}
	}
	PQclear(reply);
	reply = NULL;
	prune->page = store_next_page((unsigned)seen, prune->batch);
	if (code == 0 && numbers.count) {
		code = postgres_add_arrays(&p, &numbers, 1)
		               ? postgres_query(store, &delete, &p, &reply, err)
		               : vega_fail_nomem(err);
	}
	PQclear(reply);
	postgres_arrays_release(&numbers, 1);
	return code ? code : seen;
}

int postgres_prune(struct store *base, struct store_prune *prune, struct vega_error *err)
{
	struct postgres_store *store = handle(base);
	int code = postgres_begin_call(store, err);
	code = code ? code : postgres_search(store, err);
	if (code || prune->dry_run) {
		return code ? code : prune_batch(store, prune, err);
	}
	code = postgres_run(store, "BEGIN", err);
	code = code ? code : prune_batch(store, prune, err);
	if (code >= 0) {
		int failed = postgres_run(store, "COMMIT", err);
		code = failed ? failed : code;
	} else if (store->conn) {
		struct vega_error ignored;
		postgres_run(store, "ROLLBACK", &ignored);
	}
	return code;
}
