/* The file of the SQLite store: checked, upgraded, opened again when another one took its place;
 * and what SQLite's errors mean. */

#include "store/sqlite_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if SQLITE_VERSION_NUMBER < 3037000
#error "SQLite 3.37 or newer is needed (STRICT tables, RETURNING, sqlite3_serialize)"
#endif

#define SMALLEST_PAGE 512 /* SQLite takes a smaller file for an empty one */

/* A race in resetting the WAL could corrupt a database before these releases. */
static bool wal_is_safe(void)
{
	int version = sqlite3_libversion_number();
	return version >= 3051003 || (version >= 3050007 && version < 3051000) ||
	       (version >= 3044006 && version < 3045000);
}

static int fail_code(struct sqlite_store *store, int code, struct vega_error *err)
{
	int errnum = sqlite3_system_errno(store->db);
	const char *path = store->path;
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return vega_fail(err, VEGA_UNAVAILABLE,
		        "sqlite:%s is locked by another process; try again, or see who holds it "
		        "with fuser(1)",
		        path);
	case SQLITE_CORRUPT:
		return vega_fail(err, VEGA_FATAL,
		        "sqlite:%s is damaged (%s); restore it from a backup, or save what is left "
		        "with \"sqlite3 FILE .recover\"",
		        path, sqlite3_errmsg(store->db));
	case SQLITE_NOTADB:
		return vega_fail(err, VEGA_FATAL,
		        "sqlite:%s is no SQLite database, or is damaged; name another file, or "
		        "restore it from a backup",
		        path);
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return vega_fail(err, VEGA_FATAL,
		        "sqlite:%s is read-only; make the file and its directory writable", path);
	case SQLITE_CANTOPEN:
		/* SQLite tries once more without O_CREAT, so errno says why that failed. */
		if (access(path, F_OK) == 0) {
			return vega_fail(err, VEGA_UNAVAILABLE,
			        "cannot open the journal of sqlite:%s: no space or inodes are "
			        "left, or its directory cannot be written; nothing was stored; "
			        "make room (df -i), or see to its permissions, and try again",
			        path);
		}
		return vega_fail_errno(err, VEGA_FATAL, errnum, "cannot open sqlite:%s", path);
	case SQLITE_FULL:
		return vega_fail(err, VEGA_UNAVAILABLE,
		        "no space left for sqlite:%s; nothing was stored; make room and try again",
		        path);
	case SQLITE_IOERR:
		if (sqlite_no_space(errnum)) {
			return vega_fail(err, VEGA_UNAVAILABLE,
			        "no space left for sqlite:%s; nothing was stored; make room and "
			        "try again",
			        path);
		}
		return vega_fail_errno(
		        err, VEGA_UNAVAILABLE, errnum, "cannot read or write sqlite:%s", path);
	case SQLITE_NOMEM:
		return vega_fail_nomem(err);
	case SQLITE_TOOBIG:
		return vega_fail(
		        err, VEGA_FATAL, "a value is too large for sqlite:%s (1 GB)", path);
	default:
		return vega_fail(err, VEGA_FATAL, "sqlite:%s: %s", path, sqlite3_errmsg(store->db));
	}
}

int sqlite_fail(struct sqlite_store *store, struct vega_error *err)
{
	int code = fail_code(store, sqlite3_extended_errcode(store->db), err);
	if (!sqlite3_get_autocommit(store->db)) {
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	}
	return code;
}

int sqlite_run(struct sqlite_store *store, const char *sql, struct vega_error *err)
{
	return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK
	               ? 0
	               : sqlite_fail(store, err);
}

int sqlite_integer(
        struct sqlite_store *store, const char *sql, int64_t *value, struct vega_error *err)
{
	sqlite3_stmt *statement = NULL;
	if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK ||
	        sqlite3_step(statement) != SQLITE_ROW) {
		int code = sqlite_fail(store, err);
		sqlite3_finalize(statement);
		return code;
	}
	*value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return 0;
}

/* Called while a lock is held by others: short, uneven naps until the call's deadline. */
static int busy(void *context, int count)
{
	struct sqlite_store *store = context;
	int left = store_left_ms(store->deadline);
	if (left == 0) {
		return 0;
	}
	unsigned nap = count < 4 ? store_jitter(100, 500) : store_jitter(1000, 8000);
	usleep(nap < (unsigned)left * 1000 ? nap : (unsigned)left * 1000);
	return 1;
}

static int check_file(struct sqlite_store *store, struct vega_error *err)
{
	struct stat st;
	if (stat(store->path, &st) != 0) {
		return vega_fail_errno(
		        err, VEGA_FATAL, errno, "cannot open the job store '%s'", store->path);
	}
	if (!S_ISREG(st.st_mode)) {
		return vega_fail(
		        err, VEGA_FATAL, "'%s' is no regular file; name another one", store->path);
	}
	if (st.st_size < SMALLEST_PAGE) {
		return vega_fail(err, VEGA_FATAL,
		        "sqlite:%s is empty, or nearly so: it was truncated, or never was a job "
		        "store; restore "
		        "it "
		        "from a backup, or remove it to begin a new one",
		        store->path);
	}
	store->data_version = -1;
	store->dev = st.st_dev;
	store->ino = st.st_ino;
	return 0;
}

/* All steps in one transaction; whoever comes second finds it done. */
static int upgrade(struct sqlite_store *store, struct vega_error *err)
{
	char mark[48];
	int64_t version = 0;
	int code = sqlite_run(store, "BEGIN IMMEDIATE", err);
	code = code ? code : sqlite_integer(store, "PRAGMA user_version", &version, err);
	for (; code == 0 && version < SQLITE_SCHEMA_VERSION; version++) {
		code = sqlite_run(store, sqlite_upgrades[version], err);
	}
	snprintf(mark, sizeof mark, "PRAGMA user_version = %d", SQLITE_SCHEMA_VERSION);
	code = code ? code : sqlite_run(store, mark, err);
	return code ? code : sqlite_run(store, "COMMIT", err);
}

static int check_identity(struct sqlite_store *store, struct vega_error *err)
{
	int64_t application, version;
	int code = sqlite_integer(store, "PRAGMA application_id", &application, err);
	if (code == 0) {
		code = sqlite_integer(store, "PRAGMA user_version", &version, err);
	}
	if (code) {
		return code;
	}
	if (application != SQLITE_APPLICATION_ID) {
		return vega_fail(err, VEGA_FATAL,
		        "sqlite:%s is a database of another program; name another file",
		        store->path);
	}
	if (version > SQLITE_SCHEMA_VERSION) {
		return vega_fail(err, VEGA_FATAL,
		        "sqlite:%s was made by a newer VegaFS (schema %lld, this one knows %d); "
		        "install that version",
		        store->path, (long long)version, SQLITE_SCHEMA_VERSION);
	}
	if (version < 1) {
		return vega_fail(err, VEGA_FATAL,
		        "sqlite:%s has the schema version %lld, which never was; it is damaged",
		        store->path, (long long)version);
	}
	return version < SQLITE_SCHEMA_VERSION ? upgrade(store, err) : 0;
}

/* Durable when it returns: FULL also syncs the truncation of the rollback journal. */
static int configure(struct sqlite_store *store, struct vega_error *err)
{
	int code = sqlite_run(store,
	        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
	        "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON",
	        err);
	if (code) {
		return code;
	}
	sqlite3_stmt *statement = NULL;
	const char *sql =
	        wal_is_safe() ? "PRAGMA journal_mode = WAL" : "PRAGMA journal_mode = TRUNCATE";
	if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK ||
	        sqlite3_step(statement) != SQLITE_ROW) {
		code = sqlite_fail(store, err);
	} else if (!wal_is_safe() &&
	           strcmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0) {
		code = vega_fail(err, VEGA_UNAVAILABLE,
		        "sqlite:%s is in use by a newer SQLite in WAL mode, which SQLite %s cannot "
		        "share safely; stop the others, or use one SQLite for all",
		        store->path, sqlite3_libversion());
	}
	sqlite3_finalize(statement);
	return code;
}

static int open_database(struct sqlite_store *store, struct vega_error *err)
{
	int code = check_file(store, err);
	if (code) {
		return code;
	}
	int opened = sqlite3_open_v2(
	        store->path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (!store->db) {
		return vega_fail_nomem(err);
	}
	if (opened != SQLITE_OK) {
		return sqlite_fail(store, err);
	}
	sqlite3_extended_result_codes(store->db, 1);
	sqlite3_busy_handler(store->db, busy, store);
	if (sqlite3_db_readonly(store->db, "main") == 1) {
		return fail_code(store, SQLITE_READONLY, err);
	}
	code = check_identity(store, err);
	return code ? code : configure(store, err);
}

int sqlite_file_open(struct sqlite_store *store, const char *path, struct vega_error *err)
{
	int code = sqlite_place(path, &store->path, err);
	return code ? code : open_database(store, err);
}

void sqlite_file_close(struct sqlite_store *store)
{
	sqlite3_stmt *statement;
	while (store->db && (statement = sqlite3_next_stmt(store->db, NULL))) {
		sqlite3_finalize(statement);
	}
	sqlite3_close(store->db);
	store->db = NULL;
	if (store->inotify >= 0) {
		close(store->inotify);
		store->inotify = -1;
	}
}

int sqlite_begin_call(struct sqlite_store *store, struct vega_error *err)
{
	struct stat st;
	store->deadline = monotonic_ms() + store->timeout_ms;
	if (store->db && stat(store->path, &st) == 0 && st.st_dev == store->dev &&
	        st.st_ino == store->ino) {
		return 0;
	}
	sqlite_file_close(store);
	int code = open_database(store, err);
	if (code) {
		sqlite_file_close(
		        store); /* or the next call would take it for one that was checked */
	}
	return code;
}
