/* What each role may not do in PostgreSQL is refused, however it is tried; and what it may, is not.
 */
#include <libpq-fe.h>

#include "contract.h"

#define LOGINS \
	PAIR_ROLES \
	"; CREATE ROLE bob LOGIN IN ROLE vega_submitter;" \
	" CREATE ROLE carl LOGIN IN ROLE vega_submitter, vega_reader;" \
	" CREATE ROLE nobody LOGIN"

static struct vega_error err;

static PGconn *connect_as(const char *role)
{
	char url[512];
	url_as(contract_url, role, url, sizeof url);
	PGconn *conn = PQconnectdb(url);
	if (PQstatus(conn) != CONNECTION_OK) {
		printf("Bail out! %s: %s\n", role, PQerrorMessage(conn));
		exit(1);
	}
	return conn;
}

static struct store *open_as(const char *role)
{
	char url[512];
	struct store *store = NULL;
	url_as(contract_url, role, url, sizeof url);
	if (store_open(url, 0, &store, &err)) {
		give_up(role, &err);
	}
	return store;
}

#define DONE (-4)

/*
 * Rows that a statement returned or changed; -1: 42501; -2: another failure; -3: 23503; DONE: it is
 * one that has no rows, and was carried out.
 */
static int try_on(PGconn *conn, const char *sql)
{
	PGresult *result = PQexec(conn, sql);
	ExecStatusType status = PQresultStatus(result);
	const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *changed = PQcmdTuples(result);
	int rows = status == PGRES_TUPLES_OK ? PQntuples(result) : *changed ? atoi(changed) : DONE;
	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
		rows = !code                        ? -2
		       : strcmp(code, "42501") == 0 ? -1
		       : strcmp(code, "23503") == 0 ? -3
		                                    : -2;
	}
	if (rows == -2) {
		printf("# %s: %s", sql, PQerrorMessage(conn));
	}
	PQclear(result);
	return rows;
}

static int try_as(const char *role, const char *sql)
{
	PGconn *conn = connect_as(role);
	int rows = try_on(conn, sql);
	PQfinish(conn);
	return rows;
}

/* Everything that is in the store, as one number. */
static char *contents(void)
{
	static const char sql[] =
	        "SELECT md5((SELECT string_agg(j::text, '|' ORDER BY nr) FROM vega.job j)"
	        " || (SELECT string_agg(s::text, '|' ORDER BY nr) FROM vega.job_state s)"
	        " || (SELECT string_agg(w::text, '|') FROM vega.worker w)"
	        " || (SELECT version FROM vega.schema_version))";
	PGconn *conn = connect_as("tester");
	PGresult *result = PQexec(conn, sql);
	char *text = PQntuples(result) == 1 ? strdup(PQgetvalue(result, 0, 0)) : NULL;
	PQclear(result);
	PQfinish(conn);
	return text;
}

/* Each submitter has a job in each of four states, in a queue of its name and the state's. */
static void fill(void)
{
	static const char *const submitters[] = {PAIR_SUBMITTER, "bob"};
	struct store *worker = open_as(PAIR_WORKER);
	for (size_t i = 0; i < 2; i++) {
		char queue[64];
		struct store *store = open_as(submitters[i]);
		snprintf(queue, sizeof queue, "%s-pending", submitters[i]);
		submit_to(store, queue);
		snprintf(queue, sizeof queue, "%s-processing", submitters[i]);
		submit_to(store, queue);
		take(worker, queue);
		snprintf(queue, sizeof queue, "%s-committed", submitters[i]);
		submit_to(store, queue);
		struct store_lease lease = take(worker, queue);
		struct store_result result = {.outcome = STORE_COMPLETED, .summary = "{}"};
		if (worker->driver->commit(worker, &lease, &result, &err)) {
			give_up("commit", &err);
		}
		snprintf(queue, sizeof queue, "%s-completed", submitters[i]);
		submit_to(store, queue);
		lease = take(worker, queue);
		finish_as(worker, &lease, STORE_COMPLETED, NULL);
		close_store(store);
	}
	close_store(worker);
	is_int(try_as(PAIR_WORKER,
	               "INSERT INTO vega.worker (name, host, pid, version, lease_ms, jobs, running)"
	               " VALUES ('w', 'h', 1, '0', 1, 1, 1)"),
	        1, "a worker announces itself");
}

#define NEW_JOB(columns, values) \
	"INSERT INTO vega.job (id, spec" columns ") VALUES (gen_random_uuid(), '{}'" values ")"
#define STATE(of) " WHERE queue = '" of "'"
#define CANCELLED "state = 'CANCELLED', cancel_requested = true, finished = now()"

struct attempt {
	const char *role, *sql;
};

/* For everybody but the owner. */
static const char *const for_nobody[] = {
        "UPDATE vega.job SET spec = '{}'",
        "UPDATE vega.job SET submitter = session_user",
        "UPDATE vega.job SET priority = 1000",
        "UPDATE vega.job SET queue = 'mine'",
        "UPDATE vega.job_state SET priority = 1000",
        "UPDATE vega.job_state SET queue = 'mine'",
        "UPDATE vega.job_state SET nr = nr + 1000",
        "INSERT INTO vega.job_state (nr, queue, priority, due, lease_seq)"
        " SELECT nr + 1000, 'q', 0, now(), 7 FROM vega.job",
        "INSERT INTO vega.job_state (nr, queue, priority, due, state)"
        " SELECT nr + 1000, 'q', 0, now(), 'COMPLETED' FROM vega.job",
        "INSERT INTO vega.job_state (nr, queue, priority, due, summary)"
        " SELECT nr + 1000, 'q', 0, now(), '{}' FROM vega.job",
        "DELETE FROM vega.job_state",
        "UPDATE vega.schema_version SET version = 99",
        "DELETE FROM vega.schema_version",
        "TRUNCATE vega.job CASCADE",
        "BEGIN; LOCK TABLE vega.schema_version IN ROW SHARE MODE",
        "BEGIN; LOCK TABLE vega.jobs IN ROW EXCLUSIVE MODE",
        "SELECT nextval('vega.job_nr_seq')",
        "SELECT setval('vega.job_nr_seq', 1)",
        "CREATE TABLE vega.mine ()",
        "CREATE FUNCTION vega.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE TRIGGER mine BEFORE UPDATE ON vega.job FOR EACH ROW"
        " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE POLICY mine ON vega.job USING (true)",
        "DROP POLICY vega_own ON vega.job",
        "ALTER TABLE vega.job DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE vega.job ALTER submitter SET DEFAULT 'bob'",
        "DROP TABLE vega.job_state",
        "SET SESSION AUTHORIZATION tester",
        "SET ROLE tester",
};

static const struct attempt forbidden[] = {
        /* In another's name, or at another time. */
        {"alice", NEW_JOB(", submitter", ", 'bob'")},
        {"alice", NEW_JOB(", submitter", ", 'alice'")},
        {"alice", NEW_JOB(", created", ", now()")},
        {"alice", "INSERT INTO vega.job (nr, id, spec) OVERRIDING SYSTEM VALUE"
                  " VALUES (1, gen_random_uuid(), '{}')"},
        {"alice", "SET ROLE bob"},
        {"alice", "SET ROLE vega_worker"},
        {"alice", "SET SESSION AUTHORIZATION bob"},
        /* What would stop everybody who reads it. */
        {"alice", NEW_JOB(", not_before", ", 'infinity'")},
        {"alice", NEW_JOB(", not_before", ", '294276-01-01'")},
        {"alice", NEW_JOB(", not_before", ", '0001-01-01 BC'")},
        {"alice", NEW_JOB(", queue", ", repeat('q', 256)")},
        {"alice", NEW_JOB(", idempotency_key", ", repeat('k', 256)")},
        {"alice", NEW_JOB(", labels", ", jsonb_build_object('l', repeat('l', 70000))")},
        {"alice", "INSERT INTO vega.job (id, spec) VALUES (gen_random_uuid(),"
                  " ('\"' || repeat('x', 17000000) || '\"')::json)"},
        {"alice", "INSERT INTO vega.job_state (nr, queue, priority, due)"
                  " SELECT nr, 'q', 0, 'infinity' FROM vega.job"},
        {"alice", NEW_JOB("", "") "; INSERT INTO vega.job_state (nr, queue, priority, due)"
                                  " SELECT max(nr), 'default', 0, '4713-01-01 BC' FROM vega.job"},
        /* What would stop those whose jobs get these numbers, for as long as it runs. */
        {"alice", NEW_JOB("", "") "; INSERT INTO vega.job_state (nr, queue, priority, due)"
                                  " SELECT max(nr) + 1, 'q', 0, now() FROM vega.job"},
        /* Its own jobs, otherwise than by cancelling. */
        {"alice", "UPDATE vega.job_state SET state = 'COMPLETED'" STATE("alice-pending")},
        {"alice", "UPDATE vega.job_state SET state = 'FAILED', finished = now(),"
                  " cancel_requested = true" STATE("alice-pending")},
        {"alice", "UPDATE vega.job_state SET state = 'PROCESSING', cancel_requested = true" STATE(
                          "alice-pending")},
        {"alice", "UPDATE vega.job_state SET cancel_requested = true" STATE("alice-pending")},
        {"alice", "UPDATE vega.job_state SET " CANCELLED STATE("alice-processing")},
        {"alice", "UPDATE vega.job_state SET state = 'PENDING', cancel_requested = true" STATE(
                          "alice-processing")},
        {"alice", "UPDATE vega.job_state SET cancel_requested = true, finished = 'infinity'" STATE(
                          "alice-processing")},
        {"alice", "UPDATE vega.job_state SET state = 'CANCELLED', cancel_requested = true,"
                  " finished = 'infinity'" STATE("alice-pending")},
        {"alice", "UPDATE vega.job_state SET cancel_requested = false" STATE("alice-processing")},
        {"alice", "UPDATE vega.job_state SET cancel_requested = true" STATE("alice-committed")},
        {"alice", "UPDATE vega.job_state SET " CANCELLED STATE("alice-completed")},
        {"alice", "UPDATE vega.job_state SET lease_seq = 9" STATE("alice-processing")},
        {"alice", "UPDATE vega.job_state SET attempt = 0" STATE("alice-processing")},
        {"alice", "UPDATE vega.job_state SET committed_seq = lease_seq" STATE("alice-processing")},
        {"alice", "UPDATE vega.job_state SET worker = 'me'" STATE("alice-processing")},
        {"alice", "UPDATE vega.job_state SET lease_until = 'infinity'" STATE("alice-processing")},
        {"alice", "UPDATE vega.job_state SET error = ''" STATE("alice-pending")},
        {"alice", "UPDATE vega.job_state SET due = now()" STATE("alice-pending")},
        {"alice", "UPDATE vega.job_state SET result_seq = 1"},
        {"alice", "UPDATE vega.job_state SET summary = '{}'"},
        {"alice", "DELETE FROM vega.job"},
        {"alice", "SELECT FROM vega.job FOR UPDATE"},
        /* Those of another. */
        {"alice", "SELECT FROM vega.job WHERE submitter <> 'alice'"},
        {"alice", "SELECT FROM vega.jobs WHERE submitter <> 'alice'"},
        {"alice", "SELECT FROM vega.job_state WHERE queue LIKE 'bob%'"},
        {"alice", "SET row_security = off; SELECT FROM vega.job"},
        {"alice", "UPDATE vega.job_state SET " CANCELLED STATE("bob-pending")},
        {"alice", "UPDATE vega.job_state SET cancel_requested = true" STATE("bob-processing")},
        {"alice", "SELECT FROM vega.job_state" STATE("bob-processing") " FOR UPDATE"},
        {"alice", "SELECT FROM vega.worker"},
        {"alice", "DELETE FROM vega.worker"},
        /* Seeing them is not cancelling them. */
        {"carl", "UPDATE vega.job_state SET " CANCELLED STATE("bob-pending")},
        {"carl", "UPDATE vega.job_state SET cancel_requested = true" STATE("bob-processing")},
        /* A worker neither submits nor removes, and does not cancel. */
        {"wally", NEW_JOB("", "")},
        {"wally", "INSERT INTO vega.job_state (nr, queue, priority, due)"
                  " SELECT nr, 'q', 0, now() FROM vega.job"},
        {"wally", "DELETE FROM vega.job"},
        {"wally", "SELECT FROM vega.job FOR UPDATE"},
        {"wally", "UPDATE vega.job_state SET cancel_requested = true"},
        {"wally", "UPDATE vega.job_state SET cancel_requested = false"},
        /* A reader changes nothing, and keeps nobody from it. */
        {"rita", NEW_JOB("", "")},
        {"rita", "INSERT INTO vega.job_state (nr, queue, priority, due)"
                 " SELECT nr, 'q', 0, now() FROM vega.job"},
        {"rita", "UPDATE vega.job_state SET " CANCELLED},
        {"rita", "UPDATE vega.job_state SET cancel_requested = true"},
        {"rita", "UPDATE vega.job_state SET lease_until = now()"},
        {"rita", "UPDATE vega.job_state SET summary = '{}'"},
        {"rita", "DELETE FROM vega.job"},
        {"rita", "DELETE FROM vega.worker"},
        {"rita", "SELECT FROM vega.job_state FOR SHARE"},
        /* An administrator cancels and removes. */
        {"adam", NEW_JOB("", "")},
        {"adam", "UPDATE vega.job_state SET state = 'COMPLETED'" STATE("bob-pending")},
        {"adam", "UPDATE vega.job_state SET cancel_requested = true" STATE("bob-committed")},
        {"adam", "UPDATE vega.job_state SET " CANCELLED STATE("bob-completed")},
        {"adam", "UPDATE vega.job_state SET " CANCELLED STATE("bob-processing")},
        {"adam", "UPDATE vega.job_state SET lease_seq = 9"},
        {"adam", "UPDATE vega.job_state SET summary = '{}'"},
        {"adam", "UPDATE vega.job SET labels = '{}'"},
        {"adam", "DELETE FROM vega.job_state"},
        {"adam", "DELETE FROM vega.job_state" STATE("bob-completed")},
        /* Who has no role has nothing. */
        {"nobody", "SELECT FROM vega.job"},
        {"nobody", "SELECT FROM vega.job_state"},
        {"nobody", "SELECT FROM vega.jobs"},
        {"nobody", "SELECT FROM vega.worker"},
        {"nobody", "SELECT FROM vega.schema_version"},
        {"nobody", NEW_JOB("", "")},
};

/* By alice: states that vega.keep_together() is to refuse. */
static const char *const without_job[] = {
        /* A state of no job, also when "=" is made to say that there is one. */
        NEW_JOB("", "") "; INSERT INTO vega.job_state (nr, queue, priority, due)"
                        " VALUES (-5, 'q', 0, now())",
        "SET search_path = alice, pg_catalog;"
        " CREATE FUNCTION alice.yes(bigint, bigint) RETURNS boolean LANGUAGE sql"
        "  AS 'SELECT true';"
        " CREATE OPERATOR alice.= (FUNCTION = alice.yes, LEFTARG = bigint,"
        "  RIGHTARG = bigint);" NEW_JOB(
                "", "") ";"
                        " INSERT INTO vega.job_state (nr, queue, priority, due)"
                        " VALUES (-5, 'q', 0, now())",
        /* Of a job that is in another queue, or has another priority. */
        NEW_JOB("", "") "; INSERT INTO vega.job_state (nr, queue, priority, due)"
                        " VALUES (currval('vega.job_nr_seq'), 'trusted', 0, now())",
        NEW_JOB("", "") "; INSERT INTO vega.job_state (nr, queue, priority, due)"
                        " VALUES (currval('vega.job_nr_seq'), 'default', 2147483647, now())",
        NEW_JOB("", "") "; INSERT INTO vega.job_state (nr, queue, priority, due)"
                        " VALUES (currval('vega.job_nr_seq'), repeat('q', 100000), 0, now())",
        /* Of a job that may be gone since the transaction began. */
        "BEGIN ISOLATION LEVEL REPEATABLE READ;" NEW_JOB(
                "", "") "; INSERT INTO vega.job_state (nr, queue, priority, due)"
                        " VALUES (currval('vega.job_nr_seq'), 'q', 0, now()); COMMIT",
};

/* Not allowed, or without a row that the role could see or change: DONE is neither. */
static void refuse(const char *role, const char *sql)
{
	int rows = try_as(role, sql);
	ok(rows == -1 || rows == 0, "%s: %.90s", role, sql);
}

/* Who may delete from a table may lock it: man 7 vega names those. */
static void locks(void)
{
	static const struct {
		const char *role, *table;
		int wanted;
	} tries[] = {
	        {"alice", "job", -1},
	        {"alice", "job_state", -1},
	        {"alice", "worker", -1},
	        {"carl", "job", -1},
	        {"carl", "job_state", -1},
	        {"carl", "worker", -1},
	        {"rita", "job", -1},
	        {"rita", "job_state", -1},
	        {"rita", "worker", -1},
	        {"nobody", "job", -1},
	        {"nobody", "job_state", -1},
	        {"nobody", "worker", -1},
	        {"wally", "job", -1},
	        {"wally", "job_state", -1},
	        {"wally", "worker", DONE},
	        {"adam", "job", DONE},
	        {"adam", "job_state", DONE},
	        {"adam", "worker", DONE},
	};
	/* SHARE keeps everybody from writing, ACCESS EXCLUSIVE from reading, too. */
	static const char *const modes[] = {"SHARE", "ACCESS EXCLUSIVE"};
	for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
		for (size_t j = 0; j < 2; j++) {
			char sql[96];
			snprintf(sql, sizeof sql, "BEGIN; LOCK TABLE vega.%s IN %s MODE",
			        tries[i].table, modes[j]);
			is_int(try_as(tries[i].role, sql), tries[i].wanted, "%s: %s", tries[i].role,
			        sql);
		}
	}
}

static void forbids(void)
{
	static const char *const roles[] = {"alice", "carl", "wally", "rita", "adam", "nobody"};
	char *before = contents();
	is_int(try_as("tester", "CREATE SCHEMA alice AUTHORIZATION alice"), DONE,
	        "a schema is made for alice");
	for (size_t i = 0; i < sizeof without_job / sizeof *without_job; i++) {
		is_int(try_as("alice", without_job[i]), -3, "alice: %.90s", without_job[i]);
	}
	for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
		refuse(forbidden[i].role, forbidden[i].sql);
	}
	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
		for (size_t j = 0; j < sizeof for_nobody / sizeof *for_nobody; j++) {
			refuse(roles[i], for_nobody[j]);
		}
	}
	locks();
	char *after = contents();
	ok(before && after && strcmp(before, after) == 0, "the store is as it was after all tries");
	free(before);
	free(after);
	is_int(try_as("tester", "SELECT FROM pg_class c, aclexplode(relacl) a WHERE a.grantee = 0"
	                        " AND relnamespace = 'vega'::regnamespace"),
	        0, "nothing is granted to PUBLIC");
	is_int(try_as("tester", "SELECT FROM pg_proc WHERE pronamespace = 'vega'::regnamespace"
	                        " AND (prosecdef OR prorettype <> 'trigger'::regtype)"),
	        0, "no function of the store can be called, or has the owner's rights");
}

static void allows(void)
{
	is_int(try_as("alice", "SELECT FROM vega.jobs"), 4, "a submitter sees its own jobs");
	is_int(try_as("alice", "SELECT FROM vega.job_state WHERE result_seq > 0"), 2,
	        "a submitter sees the results of its own jobs");
	is_int(try_as("carl", "SELECT FROM vega.jobs"), 8,
	        "a submitter who is also a reader sees all jobs");
	is_int(try_as("wally", "SELECT FROM vega.jobs"), 8, "a worker sees all jobs");
	is_int(try_as("rita", "SELECT FROM vega.jobs"), 8, "a reader sees all jobs");
	is_int(try_as("rita", "SELECT FROM vega.worker"), 1, "a reader sees the workers");
	is_int(try_as("adam", "SELECT FROM vega.jobs"), 8, "an administrator sees all jobs");
	is_int(try_as("alice", "UPDATE vega.job_state SET " CANCELLED STATE("alice-pending")), 1,
	        "a submitter cancels its PENDING job");
	is_int(try_as("alice", "UPDATE vega.job_state SET cancel_requested = true" STATE(
	                               "alice-processing")),
	        1, "a submitter asks its PROCESSING job to end");
	is_int(try_as("adam", "UPDATE vega.job_state SET " CANCELLED STATE("bob-pending")), 1,
	        "an administrator cancels a PENDING job");
	is_int(try_as("adam",
	               "UPDATE vega.job_state SET cancel_requested = true" STATE("bob-processing")),
	        1, "an administrator asks any PROCESSING job to end");
	is_int(try_as("adam", "DELETE FROM vega.job" STATE("bob-completed")), 1,
	        "an administrator removes a job");
	is_int(try_as("tester", "SELECT FROM vega.job_state WHERE result_seq > 0"), 3,
	        "an administrator removes the result of a job");
	is_int(try_as("adam", "DELETE FROM vega.worker"), 1,
	        "an administrator removes a lost worker");
}

/* --- by the library --------------------------------------------------------------------------- */

static void says(int rc, int wanted, const char *text, const char *name)
{
	if (!ok(rc == wanted && (rc == 0 || strstr(err.text, text)), "%s", name)) {
		printf("# %d %s\n", rc, rc ? err.text : "");
	}
}

static void submitters_are_strangers(void)
{
	struct store *alice = open_as("alice"), *bob = open_as("bob"), *carl = open_as("carl");
	struct job job;
	struct store_request mine = request("strangers"), theirs = request("strangers");
	mine.idempotency_key = theirs.idempotency_key = "key";
	submit(alice, &mine);
	submit(bob, &theirs);
	ok(!theirs.existed, "the key of another submitter is free");
	says(bob->driver->get(bob, mine.id, 0, &job, &err), VEGA_NO, "no job",
	        "the job of another is none");
	says(bob->driver->cancel(bob, mine.id, NULL, &err), VEGA_NO, "no job",
	        "nor to be cancelled");
	says(carl->driver->cancel(carl, mine.id, NULL, &err), VEGA_FATAL, "vega_admin",
	        "who can see it is told what is missing");
	struct store_request same = request("strangers");
	memcpy(same.id, mine.id, UUID_TEXT);
	says(bob->driver->submit(bob, &same, 1, &err), VEGA_FATAL, "of another submitter",
	        "an id that another has used");
	job = get(alice, mine.id);
	is_str(job.submitter, "alice", "a key of another submitter stays with its submitter");
	job_release(&job);
	close_store(alice);
	close_store(bob);
	close_store(carl);
}

static void denials_name_the_role(void)
{
	static const char *const roles[] = {"rita", "nobody"};
	struct store_request r = request("denied");
	struct job job;
	char id[UUID_TEXT];
	uuid7(id);
	for (size_t i = 0; i < 2; i++) {
		char name[96];
		struct store *store = open_as(roles[i]);
		snprintf(name, sizeof name, "GRANT vega_submitter TO \"%s\"", roles[i]);
		says(store->driver->submit(store, &r, 1, &err), VEGA_FATAL, name, "submit");
		says(store->driver->cancel(store, id, NULL, &err), VEGA_FATAL, name, "cancel");
		snprintf(name, sizeof name, "GRANT vega_worker TO \"%s\"", roles[i]);
		says(claim(store, "w", "denied", 1, 1000, &job), VEGA_FATAL, "", "claim");
		struct store_lease lease = {.lease_seq = 1};
		memcpy(lease.id, id, UUID_TEXT);
		says(finish_as(store, &lease, STORE_COMPLETED, NULL), VEGA_FATAL, "", "finish");
		says(store->driver->heartbeat(store, "w", &lease, 1, 1000, &err), VEGA_FATAL, name,
		        "heartbeat");
		close_store(store);
	}
	struct store *nobody = open_as("nobody");
	says(nobody->driver->get(nobody, id, 0, &job, &err), VEGA_FATAL,
	        "(for all jobs: vega_reader)", "get");
	close_store(nobody);
}

/* Who may change a row may keep it locked. */
static void a_lock_harms_its_job_only(void)
{
	struct store *alice = open_as("alice"), *bob = open_as("bob");
	struct store *worker = open_as(PAIR_WORKER);
	struct store_request theirs = submit_to(alice, "locked"), mine = submit_to(bob, "locked");
	struct store_lease leases[2] = {take(worker, "locked"), take(worker, "locked")};
	PGconn *locker = connect_as("alice");
	is_int(try_on(locker, "BEGIN; SELECT FROM vega.job_state" STATE("locked") " FOR UPDATE"), 1,
	        "a submitter locks its job");
	is_int(worker->driver->heartbeat(worker, "w", leases, 2, 300000, &err), 0,
	        "a heartbeat does not wait for a locked row");
	ok(leases[0].kept && !leases[0].lost,
	        "the lease of a locked row is neither renewed nor lost");
	ok(!leases[1].kept && !leases[1].lost, "the lease beside a locked row is renewed");
	struct job job = get(alice, theirs.id), other = get(bob, mine.id);
	ok(other.lease_until.sec - job.lease_until.sec > 200,
	        "the lease beside a locked row ends later");
	job_release(&job);
	job_release(&other);
	struct store_result result = {.outcome = STORE_COMPLETED, .summary = "{}"};
	is_int(worker->driver->commit(worker, &leases[0], &result, &err), VEGA_LOCKED,
	        "a commit does not wait for a locked row, and says why");
	struct store_ending endings[2] = {
	        {.lease = &leases[0], .result = &result}, {.lease = &leases[1], .result = &result}};
	struct store_request next = submit_to(bob, "locked");
	const struct store_claim claim = {.worker = "w", .max = 1, .lease_ms = 60000};
	is_int(worker->driver->finish(worker, endings, 2, &claim, &job, &err), 0,
	        "finish does not wait for a locked row");
	is_int(state_of(bob, next.id), JOB_PENDING, "finish claims nothing beside a locked row");
	is_int(endings[0].code, VEGA_LOCKED, "finish says which job is locked");
	is_int(endings[1].code, 0, "finish ends the job beside a locked row");
	is_int(endings[1].state, JOB_COMPLETED, "finish completes the job beside a locked row");
	try_on(locker, "ROLLBACK");
	PQfinish(locker);
	leases[1].lease_seq++;
	is_int(worker->driver->heartbeat(worker, "w", leases, 2, 300000, &err), 0,
	        "a heartbeat succeeds without the lock");
	ok(!leases[0].kept && !leases[0].lost, "the lease is renewed without the lock");
	ok(!leases[1].kept && leases[1].lost, "the lease of another worker is lost");
	is_int(worker->driver->finish(worker, endings, 1, NULL, NULL, &err), 0,
	        "finish succeeds without the lock");
	is_int(endings[0].code, 0, "finish ends the job without the lock");
	close_store(alice);
	close_store(bob);
	close_store(worker);
}

/* A function of somebody else's that fits better than PostgreSQL's own. */
static void trusts_no_schema(void)
{
	struct store *alice = open_as("alice"), *worker = open_as(PAIR_WORKER);
	struct job job;
	struct store_request r = request("path");
	try_as("tester", "CREATE FUNCTION public.format(text, text, integer, integer) RETURNS text"
	                 " LANGUAGE sql AS $$SELECT 'hijacked'$$");
	r.max_attempts = 1;
	submit(alice, &r);
	take_for(worker, "path", 1);
	ok(becomes_due(worker, "path"), "a lease expires");
	is_int(claim(worker, "w", "path", 1, 1000, &job), 0,
	        "a job without attempts left is not claimed");
	job = get(alice, r.id);
	is_str(job.error, "worker w was lost in attempt 1 of 1",
	        "a job without attempts left has its reason");
	job_release(&job);
	close_store(alice);
	close_store(worker);
}

/* --- the roles themselves --------------------------------------------------------------------- */

/* What psql says of schema.sql in the database "other", as its owner. */
static char *install(void)
{
	char command[700], url[512];
	url_as(contract_url, "owner", url, sizeof url);
	snprintf(command, sizeof command,
	        "psql -X -q -d '%s&dbname=other' -f schema.sql 2>&1; echo $?", url);
	return line_of(command);
}

static void needs_the_roles(void)
{
	char url[512];
	struct store *store = NULL;
	try_as("tester", "CREATE ROLE owner LOGIN");
	try_as("tester", "CREATE DATABASE other OWNER owner");
	try_as("tester", "ALTER ROLE vega_reader RENAME TO reader_of_before");
	char *said = install();
	ok(said && strstr(said,
	                   "only the owner can use this store: its roles are missing, and owner"),
	        "an owner who may not make roles gets a message: %s", said);
	free(said);
	url_as(contract_url, "owner", url, sizeof url);
	strcat(url, "&dbname=other");
	if (store_open(url, 0, &store, &err) == 0) {
		struct store_request r = submit_to(store, "owner");
		struct store_lease lease = take(store, "owner");
		is_int(finish_as(store, &lease, STORE_COMPLETED, NULL), 0,
		        "an owner without roles can finish a job");
		is_int(state_of(store, r.id), JOB_COMPLETED,
		        "an owner without roles completes a job");
		close_store(store);
	} else {
		ok(false, "the store of an owner who may not make roles opens: %s", err.text);
	}
	try_as("tester", "ALTER ROLE reader_of_before RENAME TO vega_reader");
	said = install();
	is_str(said, "0", "schema.sql is silent when the roles exist");
	free(said);
	url_as(contract_url, "alice", url, sizeof url);
	strcat(url, "&dbname=other");
	if (store_open(url, 0, &store, &err)) {
		give_up("the other database", &err);
	}
	submit_to(store, "owner");
	close_store(store);
}

static void checks(void)
{
	PGconn *tester = connect_as("tester");
	is_int(try_on(tester, LOGINS), DONE, "the logins are made");
	PQfinish(tester);
	fill();
	forbids();
	allows();
	submitters_are_strangers();
	denials_name_the_role();
	a_lock_harms_its_job_only();
	trusts_no_schema();
	needs_the_roles();
}

int main(void)
{
	return contract_run_on(CONTRACT_POSTGRES, checks);
}
