#include <stdlib.h>
#include <string.h>

#include "store/postgres_sql.h"

const char *postgres_role(unsigned number, const char **for_all)
{
	*for_all = NULL;
	switch (number) {
	case SUBMIT_NEW:
	case SUBMIT:
	case FIND_FIRST:
		return "vega_submitter";
	case CANCEL:
	case FIND_STATE:
		*for_all = "vega_admin";
		return "vega_submitter";
	case GET:
	case GET_RECORDS:
	case LIST:
	case LIST_SPECS:
		*for_all = "vega_reader";
		return "vega_submitter";
	default:
		return number < POSTGRES_ADMIN_FIRST ? "vega_worker" : postgres_admin_role(number);
	}
}

#define RESULT_COLUMNS \
	", s.summary, s.records_uri, s.records_size, s.records_digest, s.stderr_tail, s.exit_code"
#define RECORDS_COLUMN ", s.records"

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
	int code =
	        store->url && store->label ? postgres_begin_call(store, err) : vega_fail_nomem(err);
	if (code) {
		store_postgres.close(&store->base);
		return code;
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

int postgres_read_job(
        const PGresult *result, int number, unsigned parts, struct job *job, struct vega_error *err)
{
	struct postgres_row context = {.result = result, .number = number};
	struct store_row row = {.text = postgres_row_text, .context = &context};
	return store_read_job(job, &row, parts, err);
}

int postgres_read_jobs(
        const PGresult *result, unsigned parts, struct job *jobs, struct vega_error *err)
{
	int count = PQntuples(result);
	for (int i = 0; i < count; i++) {
		int code = postgres_read_job(result, i, parts, &jobs[i], err);
		if (code) {
			while (i > 0) {
				job_release(&jobs[--i]);
			}
			return code;
		}
	}
	return count;
}

static int postgres_cancel(
        struct store *base, const char *id, enum job_state *state, struct vega_error *err)
{
	/* clang-format off */
	static const char ask[] =
		"WITH asked AS ("
		" UPDATE vega.job_state s SET cancel_requested = true,"
		"  finished = CASE WHEN s.state = 'PENDING' THEN now() END,"
		"  state = CASE WHEN s.state = 'PENDING' THEN 'CANCELLED' ELSE s.state END"
		" FROM vega.job j WHERE j.id = $1::uuid AND s.nr = ANY (ARRAY[j.nr])"
		"  AND s.state IN ('PENDING', 'PROCESSING') AND s.committed_seq = 0"
		" RETURNING j.id, s.state),"
		TOLD("asked")
		" SELECT state, " HOW_MANY_TOLD " FROM asked";
	/* clang-format on */
	static const char find[] = "SELECT s.state, (s.committed_seq > 0)::integer" JOB_TABLES
	                           " WHERE j.id = $1::uuid";
	enum job_state after = JOB_PENDING;
	struct postgres_store *store = handle(base);
	struct postgres_parameters p = {0};
	PGresult *reply = NULL;
	char canonical[UUID_TEXT];
	int code = store_id(id, canonical, err);
	code = code ? code : postgres_begin_call(store, err);
	if (code == 0) {
		postgres_add_text(&p, canonical);
		code = postgres_query(store, CANCEL, ask, &p, &reply, err);
	}
	bool asked = code == 0 && PQntuples(reply) > 0;
	if (code == 0 && !asked) {
		PQclear(reply);
		code = postgres_query(store, FIND_STATE, find, &p, &reply, err);
	}
	if (code == 0 && PQntuples(reply) == 0) {
		code = vega_fail(err, VEGA_NO, "no job %s", id);
	} else if (code == 0) {
		job_state_parse(PQgetvalue(reply, 0, 0), &after);
	}
	if (code == 0 && !asked && !job_state_terminal(after) && !postgres_integer(reply, 0, 1)) {
		code = vega_fail(err, VEGA_FATAL,
		        "job %s is not yours: to cancel it needs the role vega_admin", id);
	} else if (code == 0 && !asked && !job_state_terminal(after)) {
		code = vega_fail(err, VEGA_NO,
		        "job %s is publishing its files; it is too late to cancel it", id);
	}
	if (code == 0 && state) {
		*state = after;
	}
	PQclear(reply);
	return code;
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
	int code = store_id(id, canonical, err);
	code = code ? code : postgres_begin_call(store, err);
	if (code) {
		return code;
	}
	postgres_watch(store, canonical);
	postgres_add_text(&p, canonical);
	code = records ? postgres_query(store, GET_RECORDS,
	                         "SELECT " JOB_COLUMNS RESULT_COLUMNS RECORDS_COLUMN JOB_TABLES
	                         " WHERE j.id = $1::uuid",
	                         &p, &reply, err)
	               : postgres_query(store, GET,
	                         "SELECT " JOB_COLUMNS RESULT_COLUMNS JOB_TABLES
	                         " WHERE j.id = $1::uuid",
	                         &p, &reply, err);
	if (code == 0 && PQntuples(reply) == 0) {
		code = vega_fail(err, VEGA_NO, "no job %s", id);
	} else if (code == 0) {
		code = postgres_read_job(
		        reply, 0, STORE_PART_REST | (parts & STORE_PART_RESULT), job, err);
		code = code || !records ? code : read_records(reply, job, err);
	}
	PQclear(reply);
	return code;
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

bool postgres_page_full(const PGresult *reply)
{
	int rows = PQntuples(reply);
	return rows > 0 && strcmp(PQgetvalue(reply, rows - 1, PQnfields(reply) - 1), "t") == 0;
}

/* Both tables are told where the page begins: what is said of one, the planner does not conclude of
 * the other, and reads it from its end. */
/* clang-format off */
#define LIST_SQL(spec, more) \
	"SELECT " JOB_COLUMNS_WITH(spec) more JOB_TABLES \
	" WHERE s.nr < $1::bigint AND j.nr < $1::bigint" \
	" AND ($2::vega.state[] IS NULL OR s.state = ANY ($2::vega.state[]))" \
	" AND ($3::text IS NULL OR j.queue = $3)" \
	" AND ($4::text IS NULL OR j.submitter = $4)" \
	" AND " POSTGRES_LABELLED("$5::text", "$6::text") \
	" AND ($7::bigint = 0 OR" \
	"  j.created >= now() - $7::bigint * interval '1 millisecond')" \
	" AND ($8::bigint = 0 OR" \
	"  j.created <= now() - $8::bigint * interval '1 millisecond')" \
	" ORDER BY s.nr DESC LIMIT $9::integer"
/* clang-format on */

static int list_page(
        struct store *base, struct store_page *page, struct job *jobs, struct vega_error *err)
{
	struct postgres_store *store = handle(base);
	const struct store_filter *filter = page->filter;
	bool specs = filter->parts & STORE_PART_SPEC;
	struct postgres_parameters p = {0};
	struct buf states = BUF_INIT;
	PGresult *reply = NULL;
	int code = postgres_state_array(filter->states, &states) ? postgres_begin_call(store, err)
	                                                         : vega_fail_nomem(err);
	if (code == 0) {
		postgres_watch(store, NULL);
		code = postgres_search(store, err);
	}
	if (code == 0) {
		postgres_add_integer(&p, page->before);
		postgres_add_text(&p, filter->states ? states.data : NULL);
		postgres_add_text(&p, filter->queue);
		postgres_add_text(&p, filter->submitter);
		postgres_add_text(&p, page->label_key);
		postgres_add_text(&p, page->label_value);
		postgres_add_integer(&p, store_span_us(filter->younger_ms) / 1000);
		postgres_add_integer(&p, store_span_us(filter->older_ms) / 1000);
		postgres_add_integer(&p, page->limit);
		code = specs ? postgres_query(store, LIST_SPECS,
		                       PAGE_OF(LIST_SQL("j.spec", SPEC_SIZE), "DESC"), &p, &reply,
		                       err)
		             : postgres_query(store, LIST, LIST_SQL("NULL", ""), &p, &reply, err);
	}
	code = code ? code : postgres_read_jobs(reply, STORE_PART_REST, jobs, err);
	if (code >= 0) {
		page->more = code == (int)page->limit || (specs && postgres_page_full(reply));
	}
	if (code > 0) {
		page->before = postgres_integer(reply, code - 1, COLUMN_NR);
	}
	PQclear(reply);
	buf_release(&states);
	return code;
}

static int postgres_list(struct store *base, const struct store_filter *filter,
        store_each_job *each, void *context, struct vega_error *err)
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
	int code = names ? postgres_begin_call(store, err) : vega_fail_nomem(err);
	store->claims = true;
	if (code == 0) {
		postgres_add_integer(&p, store_span_us(limit_ms) / 1000);
		if (kind != QUEUES_ANY) {
			postgres_add_text(&p, names);
		}
		code = postgres_query(
		        store, NEXT_DUE + (unsigned)kind, next_due_sql[kind], &p, &reply, err);
	}
	if (code == 0) {
		int64_t left = postgres_integer(reply, 0, 0);
		*due_ms = left > 0 ? (uint64_t)left : 0;
		*due_ms = *due_ms < limit_ms ? *due_ms : limit_ms;
	}
	PQclear(reply);
	buf_release(&parameter);
	return code;
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
