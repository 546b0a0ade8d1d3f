/* get(), list() and next_due() of the PostgreSQL store: what it tells without a change. */

#include "store/postgres_sql.h"

#include <stdlib.h>
#include <string.h>

#define RESULT_COLUMNS \
	", s.summary, s.records_uri, s.records_size, s.records_digest, s.stderr_tail, s.exit_code"
#define RECORDS_COLUMN ", s.records"

static struct postgres_store *handle(struct store *base)
{
	return (struct postgres_store *)base;
}

/* clang-format off */
static const struct postgres_statement get = {
	.sql = "SELECT " JOB_COLUMNS RESULT_COLUMNS JOB_TABLES " WHERE j.id = $1::uuid",
	.role = "vega_submitter",
	.role_for_all = "vega_reader",
};
static const struct postgres_statement get_records = {
	.sql = "SELECT " JOB_COLUMNS RESULT_COLUMNS RECORDS_COLUMN JOB_TABLES " WHERE j.id = $1::uuid",
	.role = "vega_submitter",
	.role_for_all = "vega_reader",
};
/* clang-format on */

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

int postgres_get(
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
	code = postgres_query(store, records ? &get_records : &get, &p, &reply, err);
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

/* Both tables are told where the page begins: the planner does not apply the bound to the second
 * table, and would scan that from its end. */
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
static const struct postgres_statement list = {
	.sql = LIST_SQL("NULL", ""),
	.role = "vega_submitter",
	.role_for_all = "vega_reader",
};
static const struct postgres_statement list_specs = {
	.sql = PAGE_OF(LIST_SQL("j.spec", SPEC_SIZE), "DESC"),
	.role = "vega_submitter",
	.role_for_all = "vega_reader",
};
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
		code = postgres_query(store, specs ? &list_specs : &list, &p, &reply, err);
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

int postgres_list(struct store *base, const struct store_filter *filter, store_each_job *each,
        void *context, struct vega_error *err)
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

static const struct postgres_statement next_due[QUEUES_KINDS] = {
        [QUEUES_ANY] = {.sql = NEXT_DUE_SQL(""), .role = "vega_worker"},
        [QUEUES_ONE] = {.sql = NEXT_DUE_SQL(IN_ONE("$2")), .role = "vega_worker"},
        [QUEUES_MANY] = {.sql = NEXT_DUE_SQL(IN_MANY("$2")), .role = "vega_worker"},
};

int postgres_next_due(struct store *base, const struct strlist *queues, uint64_t limit_ms,
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
		code = postgres_query(store, &next_due[kind], &p, &reply, err);
	}
	if (code == 0) {
		int64_t left = postgres_integer(reply, 0, 0);
		*due_ms = left > 0 ? (uint64_t)left : 0;
		*due_ms = *due_ms < limit_ms ? *due_ms : limit_ms;
		if (store_mend_due(&store->mended_at)) {
			code = postgres_mend_clock(store, left > 0, err);
			*due_ms = code == 1 ? 0 : *due_ms;
		}
	}
	PQclear(reply);
	buf_release(&parameter);
	return code < 0 ? code : 0;
}
