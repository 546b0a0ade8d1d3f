/*
 * The connection of a PostgreSQL store: connecting, running a statement until its deadline, and
 * telling what a failure means.
 *
 * A verdict is drawn from each failure, and the verdict alone decides what happens next: run the
 * statement again at once (AGAIN), connect again first (RECONNECT), wait for a server that is
 * starting (PATIENCE), or give up with the reason.
 *
 * Doubt. A statement is its own transaction, so its COMMIT is part of it. When the connection
 * breaks after it was sent, it may have been committed or not, and the answer is lost either way:
 *
 *      this process                        server
 *      send UPDATE … RETURNING  ────────►  UPDATE, COMMIT
 *      connection reset         ◄───╳────  one row
 *      connect, send it again   ────────►  the fence matches no row any more
 *      nothing changed          ◄────────  no rows
 *
 * So every statement must be one that may be repeated, and a call whose repetition changed nothing
 * asks by a second statement whether the first one did (settle() in postgres_finish.c, find_first()
 * in postgres_submit.c). In a transaction that postgres_run("BEGIN") has opened nothing is
 * repeated: it ended with the connection.
 *
 * `in_doubt` is set from the first loss on. A refusal that comes after it ("permission denied",
 * "locked") is true of the repetition only: the caller must not learn that nothing was stored. It
 * gets VEGA_UNAVAILABLE and asks again later. For the same reason `locked` is not set then.
 *
 * A pooler (PgBouncer in transaction mode) gives each transaction any session that is free. Then
 * nothing may rest on the session: no statement is prepared, no setting outlives its transaction
 * (set_up()), nobody listens or holds a lock between statements (postgres_wait.c). It is known by
 * set_up(), or else by a prepared statement that is not there.
 *
 * A denied session. A user who may not even read the schema's version keeps the connection
 * (`denied`): the first statement then says which role it needs, which is more than the server
 * says.
 */
#include "store/postgres_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/killpoint.h"

/* What a failed statement or connection means for the one who tries. */
enum verdict {
	DONE,
	AGAIN,       /* a deadlock: at once */
	RECONNECT,   /* the connection is of no use any more; what was sent may have happened */
	PATIENCE,    /* the server says that it is starting, or full */
	UNAVAILABLE, /* not now */
	FATAL,
	DENIED,     /* a privilege is missing */
	UNPREPARED, /* the server has not what was prepared: sessions are shared */
	NO_SCHEMA,
	TIMEOUT,
	NO_MEMORY,
};

void postgres_disconnect(struct postgres_store *store)
{
	PQfinish(store->conn);
	store->conn = NULL;
	store->used_count = 0;
	store->listening = store->searches = store->hurries = store->pooled = false;
	free(store->denied);
	store->denied = NULL;
}

/* The first line of libpq's message. */
static void reason(const PGconn *conn, char *out, size_t size)
{
	const char *text = conn ? PQerrorMessage(conn) : "";
	snprintf(out, size, "%.*s", (int)strcspn(text, "\n"), text);
	if (!*out) {
		snprintf(out, size, "the connection was closed");
	}
}

int postgres_lost(struct postgres_store *store, struct vega_error *err)
{
	char why[512];
	reason(store->conn, why, sizeof why);
	return vega_fail(err, VEGA_UNAVAILABLE,
	        "cannot reach %s: %s; nothing was lost, try again when it is up", store->label,
	        why);
}

static int timed_out(const struct postgres_store *store, struct vega_error *err)
{
	return vega_fail(err, VEGA_UNAVAILABLE,
	        "%s did not answer in time; nothing was lost, try again", store->label);
}

/* Waits for the connection's socket; false at the deadline. */
static bool ready(const struct postgres_store *store, short events, uint64_t deadline)
{
	for (;;) {
		struct pollfd fd = {.fd = PQsocket(store->conn), .events = events};
		int code = poll(&fd, 1, store_left_ms(deadline));
		if (code > 0) {
			return true;
		}
		if (code == 0 || errno != EINTR) {
			return false;
		}
	}
}

/* Sleeps a little, longer each time; false at the deadline. */
static bool back_off(const struct postgres_store *store, unsigned *nap_ms)
{
	int left = store_left_ms(store->deadline);
	if (left == 0) {
		return false;
	}
	int nap = (int)store_jitter(*nap_ms / 2, *nap_ms);
	poll(NULL, 0, nap < left ? nap : left);
	*nap_ms = *nap_ms < 500 ? *nap_ms * 2 : 1000;
	return true;
}

static void remember_label(struct postgres_store *store)
{
	const char *host = PQhost(store->conn), *port = PQport(store->conn);
	const char *database = PQdb(store->conn);
	char *label = NULL;
	bool local = !host || !*host || host[0] == '/' || host[0] == '@';
	if (asprintf(&label, "the PostgreSQL database '%s' on %s%s%s", database ? database : "",
	            host && *host ? host : "localhost", local ? "" : ":", local ? "" : port) >= 0) {
		free(store->label);
		store->label = label;
	}
}

/* Settings for a store that nobody watches over: what the user, the environment or a service file
 * says goes first. */
static PGconn *start_connecting(const char *url)
{
	const char *keywords[16], *values[16];
	int n = 0;
	bool service = getenv("PGSERVICE") || strstr(url, "service=");
#define SET(keyword, value) (keywords[n] = (keyword), values[n++] = (value))
	if (!service) {
		SET("keepalives_idle", "10");
		SET("keepalives_interval", "5");
		SET("keepalives_count", "3");
		SET("tcp_user_timeout", "15000");
		if (!getenv("PGCONNECT_TIMEOUT")) {
			SET("connect_timeout", "5");
		}
		if (!getenv("PGTARGETSESSIONATTRS")) {
			SET("target_session_attrs", "read-write");
		}
	}
	SET("fallback_application_name", "vega");
	SET("dbname", url);
	SET("client_encoding", "UTF8");
#undef SET
	keywords[n] = values[n] = NULL;
	return PQconnectStartParams(keywords, values, 1);
}

/* libpq leaves connect_timeout to those who wait; each host of a list gets it. */
static uint64_t connect_deadline(const struct postgres_store *store)
{
	uint64_t seconds = 0, hosts = 1;
	PQconninfoOption *options = PQconninfo(store->conn);
	for (PQconninfoOption *o = options; o && o->keyword; o++) {
		if (strcmp(o->keyword, "connect_timeout") == 0 && o->val) {
			seconds = strtoul(o->val, NULL, 10);
		} else if (strcmp(o->keyword, "host") == 0) {
			for (const char *c = o->val; c && (c = strchr(c, ',')); c++) {
				hosts++;
			}
		}
	}
	PQconninfoFree(options);
	uint64_t limit = monotonic_ms() + seconds * 1000 * hosts;
	return seconds && limit < store->deadline ? limit : store->deadline;
}

static bool line_has(const char *line, size_t len, const char *words)
{
	return memmem(line, len, words, strlen(words)) != NULL;
}

/* Does each server that was tried say so, with encryption and without? There is a line of each, and
 * lines that explain. */
static bool is_mistake(const char *text)
{
	static const char *const signs[] = {"\" does not exist", "password authentication failed",
	        "Peer authentication failed", "Ident authentication failed",
	        "no pg_hba.conf entry"};
	size_t tried = 0, mistakes = 0;
	for (size_t len; *text; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		bool told = line_has(text, len, " failed: ");
		tried += told;
		for (size_t i = 0; told && i < sizeof signs / sizeof *signs; i++) {
			mistakes += line_has(text, len, signs[i]);
		}
	}
	return tried > 0 && mistakes == tried;
}

/* Why there is no connection. libpq has no SQLSTATE for that; a message in another language only
 * means that a server which starts, or is full, is not waited for, and that one which will never
 * let us in may be tried again. */
static enum verdict judge_refusal(const char *text)
{
	static const char *const signs[] = {"starting up", "shutting down", "recovery",
	        "too many clients", "too many connections", "connection slots",
	        "no more connections allowed"};
	for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
		if (strstr(text, signs[i])) {
			return PATIENCE;
		}
	}
	/* A port or an sslmode that is none. */
	bool invalid = strncmp(text, "invalid ", strlen("invalid ")) == 0;
	return invalid || is_mistake(text) ? FATAL : UNAVAILABLE;
}

/* What the server adds without being asked would go to stderr. */
static void ignore_notice(void *context, const PGresult *notice)
{
	(void)context;
	(void)notice;
}

static enum verdict handshake(struct postgres_store *store)
{
	store->conn = start_connecting(store->url);
	if (!store->conn) {
		return NO_MEMORY;
	}
	PQsetNoticeReceiver(store->conn, ignore_notice, NULL);
	remember_label(store);
	uint64_t deadline = connect_deadline(store);
	PostgresPollingStatusType status = PQstatus(store->conn) == CONNECTION_BAD
	                                           ? PGRES_POLLING_FAILED
	                                           : PGRES_POLLING_WRITING;
	while (status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED) {
		if (!ready(store, status == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline)) {
			return TIMEOUT;
		}
		status = PQconnectPoll(store->conn);
	}
	if (status == PGRES_POLLING_FAILED) {
		return judge_refusal(PQerrorMessage(store->conn));
	}
	remember_label(store);
	return PQsetnonblocking(store->conn, 1) == 0 ? DONE : RECONNECT;
}

/* The next result of what was sent; *result is NULL at the end. */
static enum verdict next_result(struct postgres_store *store, PGresult **result)
{
	for (;;) {
		int unsent = PQflush(store->conn);
		if (unsent < 0) {
			return RECONNECT;
		}
		if (unsent == 0 && !PQisBusy(store->conn)) {
			*result = PQgetResult(store->conn);
			return DONE;
		}
		if (!ready(store, (short)(unsent ? POLLIN | POLLOUT : POLLIN), store->deadline)) {
			return TIMEOUT;
		}
		if (!PQconsumeInput(store->conn)) {
			return RECONNECT;
		}
	}
}

static enum verdict judge(const struct postgres_store *store, const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);
	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
		return DONE;
	}
	const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	if (!code || PQstatus(store->conn) == CONNECTION_BAD) {
		return RECONNECT;
	}
	static const struct {
		const char *code; /* an SQLSTATE, or a class of them */
		enum verdict verdict;
	} verdicts[] = {
	        {"40001", AGAIN},      /* serialization failure */
	        {"40P01", AGAIN},      /* deadlock */
	        {"57014", TIMEOUT},    /* statement_timeout */
	        {"57", RECONNECT},     /* shut down, crashed, starting */
	        {"08", RECONNECT},     /* connection exception */
	        {"25006", RECONNECT},  /* read-only: the primary has moved */
	        {"53", UNAVAILABLE},   /* out of disk, memory, connections */
	        {"55", UNAVAILABLE},   /* lock not available */
	        {"58", UNAVAILABLE},   /* I/O error */
	        {"42501", DENIED},     /* insufficient privilege */
	        {"42P05", UNPREPARED}, /* another one prepared this name there */
	        {"26000", UNPREPARED}, /* or nobody did */
	        {"42P01", NO_SCHEMA},  /* no such table */
	        {"3F000", NO_SCHEMA},  /* no such schema */
	};
	for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++) {
		if (strncmp(code, verdicts[i].code, strlen(verdicts[i].code)) == 0) {
			return verdicts[i].verdict;
		}
	}
	return FATAL;
}

/* All results of what was sent: the last one in *result, or the first that is an error. */
static enum verdict collect(struct postgres_store *store, PGresult **result)
{
	*result = NULL;
	for (;;) {
		PGresult *next = NULL;
		enum verdict verdict = next_result(store, &next);
		if (verdict != DONE) {
			return verdict;
		}
		if (!next) {
			return *result ? judge(store, *result) : RECONNECT;
		}
		if (*result && PQresultStatus(*result) == PGRES_FATAL_ERROR) {
			PQclear(next);
			continue;
		}
		PQclear(*result);
		*result = next;
	}
}

static int explain(struct postgres_store *store, enum verdict verdict, const PGresult *result,
        struct vega_error *err)
{
	char why[512];
	const char *primary = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	switch (verdict) {
	case DONE:
		return 0;
	case TIMEOUT:
		return timed_out(store, err);
	case NO_SCHEMA:
		return vega_fail(err, VEGA_FATAL,
		        "%s has no VegaFS schema; run: psql -d '%s' -f schema.sql", store->label,
		        PQdb(store->conn));
	case NO_MEMORY:
		return vega_fail_nomem(err);
	case FATAL:
		reason(store->conn, why, sizeof why);
		return vega_fail(err, VEGA_FATAL, "%s: %s", store->label, primary ? primary : why);
	case DENIED:
		return vega_fail(err, VEGA_FATAL, "%s: %s", store->label, primary ? primary : "");
	case UNAVAILABLE:
		if (primary) {
			return vega_fail(err, VEGA_UNAVAILABLE, "%s: %s; nothing was stored",
			        store->label, primary);
		}
		break;
	case AGAIN:
	case UNPREPARED:
	case RECONNECT:
	case PATIENCE:
		break;
	}
	return postgres_lost(store, err);
}

/* Several statements in one transaction and one round trip; the last one's result. Tried once. */
static enum verdict run_script(struct postgres_store *store, const char *sql, PGresult **result)
{
	*result = NULL;
	return PQsendQuery(store->conn, sql) ? collect(store, result) : RECONNECT;
}

int postgres_run(struct postgres_store *store, const char *sql, struct vega_error *err)
{
	PGresult *result;
	enum verdict verdict = run_script(store, sql, &result);
	int code = explain(store, verdict, result, err);
	PQclear(result);
	if (verdict == RECONNECT || verdict == TIMEOUT) {
		postgres_disconnect(store);
	}
	return code;
}

/* Says which role has the privilege. */
static int explain_denied(struct postgres_store *store, const struct postgres_statement *statement,
        const char *why, struct vega_error *err)
{
	const char *for_all = statement->role_for_all;
	char *user =
	        PQescapeIdentifier(store->conn, PQuser(store->conn), strlen(PQuser(store->conn)));
	int code = user ? vega_fail(err, VEGA_FATAL,
	                          "%s: %s; have it granted: GRANT %s TO %s%s%s%s", store->label,
	                          why, statement->role, user, for_all ? " (for all jobs: " : "",
	                          for_all ? for_all : "", for_all ? ")" : "")
	                : vega_fail_nomem(err);
	PQfreemem(user);
	return code;
}

/* What set_up() finds. */
struct session {
	int version;     /* of the schema */
	char before[96]; /* isolation and synchronous_commit, as the session had them */
};

/*
 * What every session needs, and the version of the schema. A pooler answers with a process number
 * that is not the server's. What is set then holds for this transaction alone, or it would reach
 * whoever is given the session next.
 *
 * The server, too, is to notice that we are gone: what a half-arrived request has locked stays
 * locked until then.
 */
static enum verdict set_up(struct postgres_store *store, struct session *session)
{
	char sql[1536];
	PGresult *result;
	const int pid = PQbackendPID(store->conn);
	snprintf(sql, sizeof sql,
	        "SELECT set_config('vega.before', current_setting('default_transaction_isolation')"
	        "  || ', ' || current_setting('synchronous_commit'), true);"
	        " SELECT set_config(name, value, pg_backend_pid() <> %d) FROM (VALUES"
	        "  ('search_path', 'pg_catalog'), ('statement_timeout', '%u'), ('jit', 'off'),"
	        "  ('plan_cache_mode', 'force_generic_plan'), ('enable_seqscan', 'off'),"
	        "  ('enable_bitmapscan', 'off'), ('enable_sort', 'off'),"
	        "  ('default_transaction_isolation', 'read committed'),"
	        "  ('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'),"
	        "  ('tcp_keepalives_count', '3'), ('tcp_user_timeout', '15000'),"
	        "  ('synchronous_commit', CASE current_setting('synchronous_commit')"
	        "    WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END)"
	        " ) setting (name, value);"
	        " SELECT version, (pg_backend_pid() <> %d)::integer, current_setting('vega.before')"
	        "  FROM vega.schema_version",
	        pid, store->timeout_ms, pid);
	enum verdict verdict = run_script(store, sql, &result);
	if (verdict == DONE && PQntuples(result) == 1) {
		session->version = (int)postgres_integer(result, 0, 0);
		store->pooled = postgres_integer(result, 0, 1);
		snprintf(session->before, sizeof session->before, "%s", PQgetvalue(result, 0, 2));
	} else if (verdict == DENIED) {
		store->denied = strdup(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
		verdict = store->denied ? DENIED : NO_MEMORY;
	}
	PQclear(result);
	return verdict;
}

/* What a session of our own is set to must hold in those of a pooler by itself. */
static int check_pooled(
        struct postgres_store *store, const struct session *session, struct vega_error *err)
{
	const char *user = PQuser(store->conn);
	bool committed = strncmp(session->before, "read committed,", 15) == 0;
	if (!store->pooled || (committed && !strstr(session->before, ", off"))) {
		return 0;
	}
	return vega_fail(err, VEGA_FATAL,
	        "%s is behind a pooler, whose sessions have another %s than jobs need; run: ALTER "
	        "ROLE \"%s\" SET %s",
	        store->label, committed ? "synchronous_commit" : "isolation", user,
	        committed ? "synchronous_commit = on"
	                  : "default_transaction_isolation = 'read committed'");
}

int postgres_search(struct postgres_store *store, struct vega_error *err)
{
	int code = store->searches || store->pooled
	                   ? 0
	                   : postgres_run(store,
	                             "RESET plan_cache_mode; RESET enable_seqscan;"
	                             " RESET enable_bitmapscan; RESET enable_sort",
	                             err);
	store->searches = code == 0;
	return code;
}

void postgres_hurry(struct postgres_store *store)
{
	char sql[64];
	struct vega_error ignored;
	if (store->pooled) {
		store->deadline = monotonic_ms() + store->timeout_ms / 4 + 1;
		return;
	}
	snprintf(sql, sizeof sql, "SET lock_timeout = %u", store->timeout_ms / 4 + 1);
	store->hurries = store->hurries || postgres_run(store, sql, &ignored) == 0;
}

static int check_version(struct postgres_store *store, int version, struct vega_error *err)
{
	if (version > POSTGRES_SCHEMA_VERSION) {
		return vega_fail(err, VEGA_FATAL,
		        "%s was made by a newer VegaFS (schema %d, this one knows %d); install "
		        "that "
		        "version",
		        store->label, version, POSTGRES_SCHEMA_VERSION);
	}
	if (version < POSTGRES_SCHEMA_VERSION) {
		return vega_fail(err, VEGA_FATAL,
		        "%s has an older VegaFS schema; run: psql -d '%s' -f schema.sql",
		        store->label, PQdb(store->conn));
	}
	return 0;
}

/* Connects; with `patient`, goes on trying until the deadline. */
static int connect_now(struct postgres_store *store, bool patient, struct vega_error *err)
{
	unsigned nap_ms = 40;
	int code = 0;
	for (;;) {
		struct session session = {.version = 0};
		enum verdict verdict = handshake(store);
		if (verdict == DONE) {
			verdict = set_up(store, &session);
		}
		if (verdict == DONE) {
			code = check_version(store, session.version, err);
			code = code ? code : check_pooled(store, &session, err);
		} else if (verdict == DENIED) {
			return 0; /* the first statement says for what */
		} else if (verdict != TIMEOUT || code == 0) { /* an earlier reason says more */
			code = explain(store, verdict, NULL, err);
		}
		if (code == 0) {
			return 0;
		}
		postgres_disconnect(store);
		bool again = verdict == PATIENCE || verdict == RECONNECT ||
		             (patient && verdict == UNAVAILABLE);
		if (!again || !back_off(store, &nap_ms)) {
			return code;
		}
	}
}

int postgres_begin_call(struct postgres_store *store, struct vega_error *err)
{
	store->deadline = monotonic_ms() + store->timeout_ms;
	store->locked = store->known = false;
	if (store->denied) {
		postgres_disconnect(store); /* it may have been granted since */
	}
	return store->conn ? 0 : connect_now(store, false, err);
}

/* How this connection knows the statement, or NULL: it was not run on it yet. */
static struct postgres_used *find_used(
        struct postgres_store *store, const struct postgres_statement *statement)
{
	for (unsigned i = 0; i < store->used_count; i++) {
		if (store->used[i].statement == statement) {
			return &store->used[i];
		}
	}
	return NULL;
}

static void note_use(struct postgres_store *store, const struct postgres_statement *statement)
{
	CHECK(store->used_count < POSTGRES_STATEMENTS);
	if (store->used_count < POSTGRES_STATEMENTS) {
		struct postgres_used *used = &store->used[store->used_count];
		*used = (struct postgres_used){.statement = statement};
		snprintf(used->name, sizeof used->name, "vega_%u", store->used_count++);
	}
}

static enum verdict prepare(
        struct postgres_store *store, struct postgres_used *used, PGresult **result)
{
	if (!PQsendPrepare(store->conn, used->name, used->statement->sql, 0, NULL)) {
		return RECONNECT;
	}
	enum verdict verdict = collect(store, result);
	if (verdict == DONE) {
		PQclear(*result);
		*result = NULL;
		used->prepared = true;
	}
	CHECK((verdict == DONE) == used->prepared);
	return verdict;
}

/* From its second use on, a statement is prepared; but not in a session that may be another one the
 * next time. */
static enum verdict exchange(struct postgres_store *store,
        const struct postgres_statement *statement, const struct postgres_parameters *p,
        PGresult **result)
{
	struct postgres_used *used = find_used(store, statement);
	int sent;
	*result = NULL;
	if (used && !used->prepared) {
		enum verdict verdict = prepare(store, used, result);
		if (verdict != DONE) {
			return verdict;
		}
	}
	KILL_POINT(postgres_send);
	if (used) {
		sent = PQsendQueryPrepared(
		        store->conn, used->name, p->count, p->values, p->lengths, p->formats, 0);
	} else {
		sent = PQsendQueryParams(store->conn, statement->sql, p->count, NULL, p->values,
		        p->lengths, p->formats, 0);
		if (!store->pooled) {
			note_use(store, statement);
		}
	}
	KILL_POINT(postgres_sent);
	enum verdict verdict = sent ? collect(store, result) : RECONNECT;
	KILL_POINT(postgres_answered);
	return verdict;
}

/* What was sent on an earlier connection may have happened, whatever is refused now. */
static int doubtful(const struct postgres_store *store, struct vega_error *err)
{
	return vega_fail(err, VEGA_UNAVAILABLE,
	        "the connection to %s was lost, and what became of the request is not known; try "
	        "again",
	        store->label);
}

int postgres_query(struct postgres_store *store, const struct postgres_statement *statement,
        const struct postgres_parameters *parameters, PGresult **result, struct vega_error *err)
{
	unsigned nap_ms = 10;
	bool once = store->conn && PQtransactionStatus(store->conn) == PQTRANS_INTRANS;
	bool in_doubt = false;
	*result = NULL;
	for (;;) {
		int code = store->conn ? 0 : connect_now(store, true, err);
		if (code == 0 && store->denied) {
			code = explain_denied(store, statement, store->denied, err);
		}
		if (code) {
			return in_doubt && code == VEGA_FATAL ? doubtful(store, err) : code;
		}
		enum verdict verdict = exchange(store, statement, parameters, result);
		const char *state = PQresultErrorField(*result, PG_DIAG_SQLSTATE);
		bool locked = state && strcmp(state, "55P03") == 0;
		store->locked = locked && !in_doubt; /* by the earlier connection, perhaps */
		const char *constraint = PQresultErrorField(*result, PG_DIAG_CONSTRAINT_NAME);
		store->known = constraint && strcmp(constraint, "job_id_key") == 0;
		if (verdict == DONE) {
			return 0;
		}
		code = verdict == DENIED
		               ? explain_denied(store, statement,
		                         PQresultErrorField(*result, PG_DIAG_MESSAGE_PRIMARY), err)
		               : explain(store, verdict, *result, err);
		PQclear(*result);
		*result = NULL;
		if (verdict == RECONNECT || verdict == TIMEOUT) {
			postgres_disconnect(store);
		}
		if (verdict == UNPREPARED) {
			store->pooled = true;
			store->used_count = 0;
		}
		bool again = !once &&
		             (verdict == AGAIN || verdict == UNPREPARED || verdict == RECONNECT);
		if (!again || !back_off(store, &nap_ms)) {
			return in_doubt && (locked || code == VEGA_FATAL) ? doubtful(store, err)
			                                                  : code;
		}
		in_doubt = in_doubt || verdict == RECONNECT;
	}
}
