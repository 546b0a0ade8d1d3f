/*
 * Statements of the SQLite store: prepared once per connection and found again by their text, bound
 * by letters, stepped; and the transactions around them.
 */
#include <stdarg.h>
#include <string.h>

#include "base/check.h"
#include "base/killpoint.h"
#include "store/sqlite_internal.h"

int64_t sqlite_now_us(void)
{
	return store_time_us(vega_now());
}

static int bind_all(sqlite3_stmt *statement, const char *letters, va_list args)
{
	CHECK(!*letters || (int)strlen(letters) == sqlite3_bind_parameter_count(statement));
	int code = SQLITE_OK;
	for (int i = 1; *letters && code == SQLITE_OK; letters++, i++) {
		if (*letters == 's') {
			const char *text = va_arg(args, const char *);
			code = sqlite3_bind_text64(statement, i, text, text ? strlen(text) : 0,
			        SQLITE_STATIC, SQLITE_UTF8);
			continue;
		}
		int64_t value = va_arg(args, int64_t);
		code = *letters == 't' && value == 0 ? sqlite3_bind_null(statement, i)
		                                     : sqlite3_bind_int64(statement, i, value);
	}
	return code;
}

/* One with this text that is not in use, or NULL. SQLite keeps the list. */
static sqlite3_stmt *find_prepared(struct sqlite_store *store, const char *sql)
{
	sqlite3_stmt *statement = NULL;
	while ((statement = sqlite3_next_stmt(store->db, statement))) {
		if (!sqlite3_stmt_busy(statement) && strcmp(sqlite3_sql(statement), sql) == 0) {
			return statement;
		}
	}
	return NULL;
}

int sqlite_prepare(struct sqlite_store *store, sqlite3_stmt **statement, struct vega_error *err,
        const char *sql, const char *letters, ...)
{
	*statement = find_prepared(store, sql);
	int code = *statement ? SQLITE_OK
	                      : sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
	                                statement, NULL);
	if (code == SQLITE_OK) {
		va_list args;
		va_start(args, letters);
		code = bind_all(*statement, letters, args);
		va_end(args);
	}
	if (code != SQLITE_OK) {
		code = sqlite_fail(store, err);
		sqlite_release(*statement);
		*statement = NULL;
		return code;
	}
	return 0;
}

void sqlite_release(sqlite3_stmt *statement)
{
	sqlite3_reset(statement);
	if (statement) {
		sqlite3_clear_bindings(statement);
	}
}

int sqlite_rebind(struct sqlite_store *store, sqlite3_stmt *statement, struct vega_error *err,
        const char *letters, ...)
{
	va_list args;
	va_start(args, letters);
	sqlite3_reset(statement);
	int code = bind_all(statement, letters, args);
	va_end(args);
	return code == SQLITE_OK ? 0 : sqlite_fail(store, err);
}

int sqlite_step(struct sqlite_store *store, sqlite3_stmt *statement, struct vega_error *err)
{
	int code = sqlite3_step(statement);
	if (code == SQLITE_ROW) {
		return 1;
	}
	if (code == SQLITE_DONE) {
		return 0;
	}
	code = sqlite_fail(store, err);
	sqlite3_reset(statement);
	return code;
}

bool sqlite_next(
        struct sqlite_store *store, sqlite3_stmt *statement, int *code, struct vega_error *err)
{
	int step = *code ? *code : sqlite_step(store, statement, err);
	bool row = step == 1;
	*code = row ? 0 : step;
	return row;
}

int sqlite_begin(struct sqlite_store *store, struct vega_error *err)
{
	int code = sqlite_begin_call(store, err);
	code = code ? code : sqlite_run(store, "BEGIN IMMEDIATE", err);
	KILL_POINT(sqlite_begun);
	return code;
}

int sqlite_end(struct sqlite_store *store, int code, struct vega_error *err)
{
	if (code == 0) {
		CHECK(!sqlite3_get_autocommit(store->db));
		KILL_POINT(sqlite_commit);
		code = sqlite_run(store, "COMMIT", err);
		KILL_POINT(sqlite_committed);
		return code;
	}
	if (!sqlite3_get_autocommit(store->db)) {
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	}
	return code;
}

int sqlite_execute(struct sqlite_store *store, sqlite3_stmt *statement, struct vega_error *err)
{
	int code = sqlite_step(store, statement, err);
	sqlite3_reset(statement);
	return code;
}

const char *sqlite_row_text(void *statement, int column)
{
	return (const char *)sqlite3_column_text(statement, column);
}

int sqlite_read_job(
        sqlite3_stmt *statement, unsigned parts, struct job *job, struct vega_error *err)
{
	struct store_row row = {.text = sqlite_row_text, .context = statement};
	return store_read_job(job, &row, parts, err);
}
