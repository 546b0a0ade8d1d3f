/* get(), list() and next_due() of the SQLite store: what it tells without a change. */

#include "store/sqlite_internal.h"

#define JOB_COLUMNS JOB_COLUMNS_WITH("j.spec")
#define JOB_COLUMNS_WITH(spec) \
	STORE_CLAIM_COLUMNS_WITH(spec) \
	", j.priority, j.idempotency_key, j.labels, j.created, j.not_before, s.worker," \
	" s.lease_until, s.started, s.finished, s.cancel_requested, s.progress, s.error, j.nr"
#define RESULT_COLUMNS \
	", r.summary, r.records_uri, r.records_size, r.records_digest, r.stderr_tail, r.exit_code"
#define RECORDS_COLUMN ", r.records"
#define RESULT_TABLE " LEFT JOIN job_result r ON r.nr = j.nr"

static struct sqlite_store *handle(struct store *base)
{
	return (struct sqlite_store *)base;
}

int sqlite_get(
        struct store *base, const char *id, unsigned parts, struct job *job, struct vega_error *err)
{
	struct sqlite_store *store = handle(base);
	sqlite3_stmt *statement = NULL;
	char canonical[UUID_TEXT];
	*job = (struct job){0};
	int code = store_id(id, canonical, err);
	code = code ? code : sqlite_begin_call(store, err);
	if (code) {
		return code;
	}
	/* Not to read a large stream for nothing, it is named only when it is wanted. */
	const char *sql =
	        parts & STORE_PART_RECORDS
	                ? "SELECT " JOB_COLUMNS RESULT_COLUMNS RECORDS_COLUMN SQLITE_JOB_TABLES
	                          RESULT_TABLE " WHERE j.id = ?"
	                : "SELECT " JOB_COLUMNS RESULT_COLUMNS SQLITE_JOB_TABLES RESULT_TABLE
	                  " WHERE j.id = ?";
	code = sqlite_prepare(store, &statement, err, sql, "s", canonical);
	code = code ? code : sqlite_step(store, statement, err);
	if (code == 1) {
		code = sqlite_read_job(statement, STORE_PART_REST | parts, job, err);
	} else if (code == 0) {
		code = vega_fail(err, VEGA_NO, "no job %s", id);
	}
	sqlite_release(statement);
	return code;
}

/* The index of times only tells where to end: a page is read by number, not sorted. */
/* clang-format off */
#define LIST(spec) \
	"SELECT " JOB_COLUMNS_WITH(spec) SQLITE_JOB_TABLES \
	" WHERE j.nr < ?1 AND " SQLITE_STATE_IN("?2") \
	" AND j.queue = coalesce(?3, j.queue) AND j.submitter = coalesce(?4, j.submitter)" \
	" AND " SQLITE_LABELLED("?5", "?6") \
	" AND (?7 IS NULL OR +j.created >= ?7) AND j.nr >= CASE WHEN ?7 IS NULL THEN 0" \
	"  ELSE (SELECT min(n.nr) FROM job n WHERE n.created >= ?7) END" \
	" AND +j.created <= ?8 ORDER BY j.nr DESC LIMIT ?9"
/* clang-format on */

static int list_page(
        struct store *base, struct store_page *page, struct job *jobs, struct vega_error *err)
{
	struct sqlite_store *store = handle(base);
	const struct store_filter *filter = page->filter;
	sqlite3_stmt *statement = NULL;
	int64_t now = sqlite_now_us();
	const char *sql = filter->parts & STORE_PART_SPEC ? LIST("j.spec") : LIST("NULL");
	size_t bytes = 0;
	int count = 0, code = sqlite_begin_call(store, err);
	code = code ? code
	            : sqlite_prepare(store, &statement, err, sql, "iisssstii", page->before,
	                      (int64_t)(filter->states ? filter->states : UINT32_MAX),
	                      filter->queue, filter->submitter, page->label_key, page->label_value,
	                      filter->younger_ms ? now - store_span_us(filter->younger_ms) : 0,
	                      filter->older_ms ? now - store_span_us(filter->older_ms) : INT64_MAX,
	                      (int64_t)page->limit);
	while (bytes < STORE_PAGE_BYTES && sqlite_next(store, statement, &code, err)) {
		page->before = sqlite3_column_int64(statement, COLUMN_NR);
		bytes += (size_t)sqlite3_column_bytes(statement, COLUMN_SPEC);
		code = sqlite_read_job(statement, STORE_PART_REST, &jobs[count], err);
		count += code == 0;
	}
	page->more = count == (int)page->limit || bytes >= STORE_PAGE_BYTES;
	sqlite_release(statement);
	while (code && count > 0) {
		job_release(&jobs[--count]);
	}
	return code ? code : count;
}

int sqlite_list(struct store *base, const struct store_filter *filter, store_each_job *each,
        void *context, struct vega_error *err)
{
	return store_list(base, filter, list_page, each, context, err);
}

#define EARLIEST(queues) \
	"SELECT CASE WHEN EXISTS (SELECT 1 FROM job_state WHERE state = 'PENDING' AND due <= ?1" \
	" " queues ") THEN ?1 ELSE min(" \
	"  coalesce((SELECT min(due) FROM job_state WHERE state = 'PENDING' " queues "), ?2)," \
	"  coalesce((SELECT min(lease_until) FROM job_state WHERE state = 'PROCESSING' " queues \
	"), ?2)) END"

static const char *const earliest[QUEUES_KINDS] = {
        [QUEUES_ANY] = EARLIEST(""),
        [QUEUES_ONE] = EARLIEST(SQLITE_IN_ONE),
        [QUEUES_MANY] = EARLIEST(SQLITE_IN_MANY),
};

int sqlite_next_due(struct store *base, const struct strlist *queues, uint64_t limit_ms,
        uint64_t *due_ms, struct vega_error *err)
{
	struct sqlite_store *store = handle(base);
	sqlite3_stmt *statement = NULL;
	struct buf names = BUF_INIT;
	enum store_queues kind = store_queues(queues, &names);
	const char *parameter = buf_cstr(&names);
	int64_t now = sqlite_now_us(), latest = now + store_span_us(limit_ms);
	int code = parameter ? sqlite_begin_call(store, err) : vega_fail_nomem(err);
	if (code == 0) {
		code = sqlite_prepare(store, &statement, err, earliest[kind],
		        kind == QUEUES_ANY ? "ii" : "iis", now, latest, parameter);
	}
	if (code == 0) {
		code = sqlite_step(store, statement, err);
	}
	if (code == 1) {
		int64_t when = sqlite3_column_int64(statement, 0);
		*due_ms = when <= now ? 0 : (uint64_t)(when - now + 999) / 1000;
		*due_ms = *due_ms < limit_ms ? *due_ms : limit_ms;
		code = 0;
	}
	sqlite_release(statement);
	buf_release(&names);
	if (code == 0 && store_mend_due(&store->mended_at)) {
		code = sqlite_mend_clock(store, err);
		*due_ms = code == 1 ? 0 : *due_ms;
	}
	return code < 0 ? code : 0;
}
