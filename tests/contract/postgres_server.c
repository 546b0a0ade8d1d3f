/* A PostgreSQL server that crashes, refuses, stalls, or has no schema or another one. */
#include <libpq-fe.h>
#include <poll.h>

#include "contract.h"
#include "store/postgres_internal.h"

static struct vega_error err;

/* Runs SQL as a superuser on a connection of its own, which the caller finishes. */
static PGconn *sql(const char *text)
{
	PGconn *conn = PQconnectdb(contract_url);
	PGresult *result = PQexec(conn, text);
	ExecStatusType status = PQresultStatus(result);
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
		printf("Bail out! %s: %s\n", text, PQerrorMessage(conn));
		exit(1);
	}
	PQclear(result);
	return conn;
}

static void run(const char *text)
{
	PQfinish(sql(text));
}

static void refuses(const char *url, int code, const char *word, const char *name)
{
	struct store *store = NULL;
	int rc = store_open(url, 1000, &store, &err);
	if (rc == 0) {
		close_store(store);
		err.text[0] = '\0';
	}
	if (!ok(rc == code && strstr(err.text, word), "%s", name)) {
		printf("# %d %s\n", rc, err.text);
	}
}

static int count_job(const struct job *job, void *context)
{
	(void)job;
	++*(unsigned *)context;
	return 0;
}

static unsigned count_queue(struct store *store, const char *queue)
{
	unsigned count = 0;
	struct store_filter filter = {.queue = queue};
	if (store->driver->list(store, &filter, count_job, &count, &err)) {
		give_up("list", &err);
	}
	return count;
}

/* A pooler that is not known for one gives the connection another session. */
static void goes_on_without_what_it_prepared(void)
{
	struct store *store = open_store();
	struct store_request r[6];
	for (size_t i = 0; i < 6; i++) {
		if (i == 3) {
			postgres_run((struct postgres_store *)store, "DEALLOCATE ALL", &err);
		}
		r[i] = submit_to(store, "unprepared");
	}
	is_int(count_queue(store, "unprepared"), 6, "each submission is stored once");
	PQfinish(((struct postgres_store *)store)->conn);
	((struct postgres_store *)store)->conn = NULL;
	struct store_lease lease = take(store, "unprepared");
	is_str(lease.id, r[0].id, "the first of them is claimed");
	close_store(store);
}

static void crash(void)
{
	free(postgres("kill", ""));
}

static void restart(void)
{
	char *url = postgres("start", "");
	if (!url) {
		give_up("restart", NULL);
	}
	free(url);
}

static void survives_a_crash(void)
{
	struct store *store = open_store();
	struct store_request before = submit_to(store, "crash"), after = request("crash");
	struct store_lease lease = take(store, "crash");
	crash();
	is_int(store->driver->submit(store, &after, 1, &err), VEGA_UNAVAILABLE,
	        "a submission to a dead server fails");
	ok(strstr(err.text, "vega") && strstr(err.text, "cannot reach"),
	        "a dead server is named: %s", err.text);
	is_int(store->driver->wait(store, 10, -1, &err), VEGA_UNAVAILABLE,
	        "a wait on a dead server fails");
	refuses(contract_url, VEGA_UNAVAILABLE, "cannot reach", "or opened");
	restart();
	is_int(store->driver->submit(store, &after, 1, &err), 0,
	        "the handle works after the server's restart");
	is_int(count_queue(store, "crash"), 2, "a crash loses no job and doubles none");
	is_int(store->driver->heartbeat(store, "w", &lease, 1, 60000, &err), 0,
	        "a heartbeat succeeds after a crash");
	ok(!lease.lost, "the lease outlives the crash");
	is_int(finish_as(store, &lease, STORE_COMPLETED, NULL), 0,
	        "a job is finished after a crash");
	is_int(state_of(store, before.id), JOB_COMPLETED,
	        "a job finished after a crash is COMPLETED");
	close_store(store);
}

/* What this one is told is in a file of its own, a line when the call has returned. */
static _Noreturn void work_through(const char *path)
{
	struct store *store = open_with(60000);
	FILE *told = fopen(path, "a");
	for (;;) {
		struct job job;
		struct store_request r = request("crashes");
		r.max_attempts = 100;
		int rc = store->driver->submit(store, &r, 1, &err);
		if (rc != VEGA_UNAVAILABLE) {
			fprintf(told, "%s %s\n", rc ? "refused" : "submitted", r.id);
		}
		if (claim(store, "w", "crashes", 1, 500, &job) == 1) {
			struct store_lease lease = {.lease_seq = job.lease_seq};
			memcpy(lease.id, job.id, UUID_TEXT);
			if (finish_as(store, &lease, STORE_COMPLETED, NULL) == 0) {
				fprintf(told, "completed %s\n", job.id);
			}
			job_release(&job);
		}
		fflush(told);
	}
}

/* Every line of the file is true of the store. Returns how many there are, or -1. */
static int all_true(struct store *store, const char *path)
{
	char word[16], id[UUID_TEXT];
	int count = 0;
	FILE *told = fopen(path, "r");
	/* The last line may be cut off: its writer was killed. */
	while (told && fscanf(told, "%15s %36s", word, id) == 2 && fgetc(told) == '\n') {
		if (strcmp(word, "refused") == 0) {
			printf("# %s was refused\n", id);
			count = -1;
			break;
		}
		struct job job = get(store, id);
		bool completed = strcmp(word, "completed") == 0;
		if (completed && job.state != JOB_COMPLETED) {
			printf("# %s is %s\n", id, job_state_name(job.state));
			count = -1;
		}
		job_release(&job);
		if (count < 0) {
			break;
		}
		count++;
	}
	if (told) {
		fclose(told);
	}
	return count;
}

static void keeps_its_word_over_crashes(void)
{
	char path[400];
	snprintf(path, sizeof path, "%s/told", contract_dir);
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		work_through(path);
	}
	for (int i = 0; i < 5; i++) {
		poll(NULL, 0, 300 + i * 37);
		crash();
		restart();
	}
	poll(NULL, 0, 300);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	struct store *store = open_with(60000);
	int count = all_true(store, path);
	ok(count > 20, "%d acknowledgements over 5 crashes, and all of them hold", count);
	close_store(store);
}

static void reconnects(void)
{
	struct store *store = open_store();
	struct store_request r = request("cut");
	submit_to(store, "cut");
	run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
	    "'vega'");
	is_int(store->driver->submit(store, &r, 1, &err), 0, "a cut connection is made again");
	is_int(count_queue(store, "cut"), 2, "a submission on a cut connection is stored once");
	struct store_lease lease = take(store, "cut");
	take(store, "cut");
	for (int i = 0; i < 3; i++) {
		store->driver->heartbeat(store, "w", &lease, 1, 60000, &err);
	}
	run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
	    "'vega'");
	is_int(store->driver->heartbeat(store, "w", &lease, 1, 60000, &err), 0,
	        "a heartbeat on a cut connection succeeds");
	ok(!lease.lost, "the lease holds after a cut connection");
	close_store(store);
}

static void waits_for_a_lock(void)
{
	struct store *store = open_with(400);
	submit_to(store, "lock");
	PGconn *locker = sql("BEGIN; LOCK TABLE vega.job_state IN ACCESS EXCLUSIVE MODE");
	struct store_request r = request("lock");
	struct timespec begun, ended;
	clock_gettime(CLOCK_MONOTONIC, &begun);
	int rc = store->driver->submit(store, &r, 1, &err);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	ok(rc == VEGA_UNAVAILABLE && strstr(err.text, "in time"),
	        "a stalled server fails a submission: %s", err.text);
	ok(ended.tv_sec - begun.tv_sec < 5, "a stalled server is waited for until the deadline");
	PQfinish(locker);
	is_int(store->driver->submit(store, &r, 1, &err), 0, "the handle works after a stall");
	is_int(count_queue(store, "lock"), 2, "a stall doubles no job");
	close_store(store);
}

/* Whoever may connect can hold the lock of those who wait. */
static void waits_without_its_lock(void)
{
	struct store *store = open_with(1000);
	PGconn *locker = sql("SELECT pg_advisory_lock(1986359137, 1)");
	struct store_request r = submit_to(store, "watched");
	struct job job = get(store, r.id);
	job_release(&job);
	is_int(store->driver->wait(store, 10, -1, &err), 0, "the watchers' lock is not waited for");
	struct store *worker = open_store();
	struct store_lease lease = take(worker, "watched");
	finish_as(worker, &lease, STORE_COMPLETED, NULL);
	is_int(store->driver->wait(store, 60000, -1, &err), 0,
	        "the end of a job wakes a wait without the lock");
	PQfinish(locker);
	close_store(worker);
	close_store(store);
}

static PGconn *lock_job(const char *id)
{
	char text[200];
	snprintf(text, sizeof text,
	        "BEGIN; SELECT FROM vega.job_state s JOIN vega.job j USING (nr)"
	        " WHERE j.id = '%s' FOR UPDATE OF s",
	        id);
	return sql(text);
}

/* What another one is at, claiming it or ending it, is his. */
static void passes_over_what_is_locked(void)
{
	struct job job = {.id = ""};
	struct store *store = open_with(2000);
	struct store_request once = request("theirs");
	once.max_attempts = 1;
	submit(store, &once);
	struct store_request expired = submit_to(store, "theirs");
	take(store, "theirs");
	take(store, "theirs");
	run("UPDATE vega.job_state SET lease_until = now() WHERE queue = 'theirs'");
	struct store_request pending = submit_to(store, "theirs");
	struct store_request ours = submit_to(store, "theirs");
	PGconn *lockers[] = {lock_job(once.id), lock_job(expired.id), lock_job(pending.id)};
	is_int(claim(store, "w", "theirs", 1, 60000, &job), 1,
	        "a claim succeeds beside locked jobs");
	is_str(job.id, ours.id, "a claim skips locked jobs");
	job_release(&job);
	for (size_t i = 0; i < sizeof lockers / sizeof *lockers; i++) {
		PQclear(PQexec(lockers[i], "ROLLBACK"));
		PQfinish(lockers[i]);
	}
	struct job jobs[3];
	is_int(claim(store, "w", "theirs", 3, 60000, jobs), 2,
	        "a claim takes jobs that are no longer locked");
	is_int(state_of(store, once.id), JOB_FAILED,
	        "a locked job without attempts left fails later");
	job_release(&jobs[0]);
	job_release(&jobs[1]);
	close_store(store);
}

static void stands_in_line(void)
{
	PGconn *others[32];
	int count = 0;
	run("ALTER SYSTEM SET max_connections = 12");
	run("ALTER SYSTEM SET superuser_reserved_connections = 0");
	run("CREATE ROLE plain LOGIN; GRANT tester TO plain");
	crash();
	restart();
	do {
		others[count] = PQconnectdb(contract_url);
	} while (PQstatus(others[count]) == CONNECTION_OK && ++count < 32);
	PQfinish(others[count < 32 ? count : 31]);
	ok(count > 5 && count < 32, "%d connections are all that there are", count);
	refuses(contract_url, VEGA_UNAVAILABLE, "too many", "one more is refused in the end");
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		struct store *store = open_with(15000);
		submit_to(store, "line");
		_exit(0);
	}
	poll(NULL, 0, 300);
	while (count > 0) {
		PQfinish(others[--count]);
	}
	int status = 1;
	waitpid(child, &status, 0);
	is_int(status, 0, "a connection is served as soon as others leave");
	run("ALTER SYSTEM RESET ALL");
	crash();
	restart();
}

static void knows_its_schema(void)
{
	run("UPDATE vega.schema_version SET version = 99");
	refuses(contract_url, VEGA_FATAL, "newer VegaFS", "a newer schema");
	run("UPDATE vega.schema_version SET version = 0");
	refuses(contract_url, VEGA_FATAL, "schema.sql", "an older schema");
	run("UPDATE vega.schema_version SET version = 3");
	run("CREATE DATABASE bare");
	char url[400];
	snprintf(url, sizeof url, "%s&dbname=bare", contract_url);
	refuses(url, VEGA_FATAL, "schema.sql", "no schema");
}

/* The first line that psql says of a schema, or its exit status. */
static char *load(const char *database, const char *file)
{
	char command[600];
	snprintf(command, sizeof command, "psql -X -q -d '%s&dbname=%s' -f %s 2>&1; echo $?",
	        contract_url, database, file);
	return line_of(command);
}

static void load_fixture(const char *database, const char *name)
{
	char file[100];
	snprintf(file, sizeof file, "tests/fixtures/%s.sql", name);
	char *said = load(database, file);
	is_str(said, "0", "%s in '%s'", name, database);
	free(said);
}

static char *load_schema(const char *database)
{
	return load(database, "schema.sql");
}

/* A word for the columns of a database's tables. */
static char *columns(const char *database)
{
	char command[700];
	snprintf(command, sizeof command,
	        "psql -X -At -d '%s&dbname=%s' -c \"SELECT table_name, column_name, "
	        "ordinal_position,"
	        " data_type, is_nullable, column_default FROM information_schema.columns"
	        " WHERE table_schema = 'vega' ORDER BY 1, 3\" | cksum",
	        contract_url, database);
	return line_of(command);
}

/* Those of the fixture. */
static void keeps_jobs(struct store *store)
{
	static const char ended[] = "01980000-0000-7000-8000-000000000001";
	static const char waiting[] = "01980000-0000-7000-8000-000000000002";
	struct job job;
	is_int(store->driver->get(store, ended, STORE_PART_RESULT | STORE_PART_RECORDS, &job, &err),
	        0, "an old job exists after the upgrade");
	is_str(job.summary, "{\"type\": \"summary\"}", "an old job keeps its summary");
	is_str(job.records, "{\"type\":\"entry\",\"path\":\"/d\u00e4ta\"}\n",
	        "an old job keeps its records");
	is_str(job.records_uri, "file://host/file", "an old job keeps the place of its records");
	is_int((int)job.records_size, 35, "an old job keeps the size of its records");
	is_str(job.records_digest, "xxh128:12", "an old job keeps the digest of its records");
	is_str(job.stderr_tail, "tail", "an old job keeps the end of its stderr");
	is_int(job.exit_code, 1, "an old job keeps its exit code");
	job_release(&job);
	is_int(store->driver->get(store, waiting, STORE_PART_RESULT, &job, &err), 0,
	        "an old PENDING job exists after the upgrade");
	ok(!job.summary, "an old PENDING job has no result");
	job_release(&job);
}

static void schema_is_upgraded(void)
{
	run("CREATE DATABASE older");
	load_fixture("older", "postgres-1");
	load_fixture("older", "postgres-jobs");
	char *said = load_schema("older");
	is_str(said, "0", "a schema of version 1 becomes one of today");
	free(said);
	char *got = columns("older"), *wanted = columns("vega");
	is_str(got, wanted, "an upgraded schema has the columns of a new one");
	free(got);
	free(wanted);
	char url[400];
	snprintf(url, sizeof url, "%s&dbname=older", contract_url);
	struct store *store = NULL;
	struct store_request r = request("upgraded");
	is_int(store_open(url, 0, &store, &err), 0, "an upgraded store can be opened");
	is_int(store->driver->submit(store, &r, 1, &err), 0, "an upgraded store takes a job");
	keeps_jobs(store);
	close_store(store);
}

/* By an owner who is no superuser, and has no policy yet. A worker of before would go on claiming
 * jobs whose results it cannot store. */
static void second_schema_is_upgraded(void)
{
	run("CREATE ROLE keeper LOGIN");
	run("CREATE DATABASE second OWNER keeper");
	free(load_schema("second"));
	load_fixture("second", "postgres-2");
	load_fixture("second", "postgres-jobs");
	char *said = load_schema("second&user=keeper");
	ok(strstr(said, "stop the workers"), "schema.sql waits for the workers to stop: %s", said);
	free(said);
	char url[400];
	snprintf(url, sizeof url, "%s&dbname=second", contract_url);
	PGconn *conn = PQconnectdb(url);
	PQclear(PQexec(conn, "UPDATE vega.worker SET seen = now() - interval '1 minute'"));
	PQfinish(conn);
	said = load_schema("second&user=keeper");
	is_str(said, "0", "a schema of version 2 becomes one of today");
	free(said);
	struct store *store = NULL;
	if (ok(store_open(url, 0, &store, &err) == 0,
	            "a store upgraded from version 2 can be opened")) {
		keeps_jobs(store);
		close_store(store);
	}
	conn = PQconnectdb(url);
	PQclear(PQexec(conn, "SET ROLE keeper"));
	PQclear(PQexec(conn, "DELETE FROM vega.job WHERE nr = 1"));
	PGresult *left = PQexec(conn, "SELECT count(*), min(nr) FROM vega.job_state");
	is_str(PQgetvalue(left, 0, 0), "1", "the state of a removed job is removed");
	is_str(PQgetvalue(left, 0, 1), "2", "the states of other jobs stay");
	PQclear(left);
	PQclear(PQexec(conn, "TRUNCATE vega.job, vega.job_state"));
	PQclear(PQexec(conn, "INSERT INTO vega.job (id, spec) VALUES (gen_random_uuid(), '{}');"
	                     "INSERT INTO vega.job_state (nr, queue, priority, due)"
	                     " SELECT nr, queue, 0, now() FROM vega.job"));
	left = PQexec(conn, "SELECT FROM vega.job_state");
	is_int(PQntuples(left), 1, "the owner may remove all jobs");
	PQclear(left);
	PQclear(PQexec(conn, "TRUNCATE vega.job"));
	left = PQexec(conn, "SELECT FROM vega.job_state");
	is_int(PQntuples(left), 0, "the states of all removed jobs are removed");
	PQclear(left);
	PQfinish(conn);
}

static void schema_is_idempotent(void)
{
	char *said = load_schema("vega");
	is_str(said, "0", "schema.sql again says nothing");
	free(said);
	run("UPDATE vega.schema_version SET version = 99");
	said = load_schema("vega");
	ok(strstr(said, "newer VegaFS"), "schema.sql rejects a newer schema: %s", said);
	free(said);
	run("UPDATE vega.schema_version SET version = 3");
	run("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0");
	said = load_schema("ascii");
	ok(strstr(said, "UTF8"), "schema.sql rejects another encoding: %s", said);
	free(said);
}

static PGconn *session(const char *database, const char *sql)
{
	char url[400];
	snprintf(url, sizeof url, "%s&dbname=%s&application_name=somebody", contract_url, database);
	PGconn *conn = PQconnectdb(url);
	PGresult *result = PQexec(conn, sql);
	ExecStatusType status = PQresultStatus(result);
	ok(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK, "%.60s %s", sql,
	        PQerrorMessage(conn));
	PQclear(result);
	return conn;
}

/* Whoever makes the schema first would otherwise own what a superuser fills, or run as them. */
static void schema_of_others_is_refused(void)
{
	static const char *const made[] = {
	        /* The whole schema, with a trigger that schema.sql would fire. */
	        "SET ROLE stranger; CREATE SCHEMA vega;"
	        " CREATE TABLE vega.schema_version (version integer, installed timestamptz)",
	        /* One table of it. */
	        "CREATE SCHEMA vega; GRANT CREATE, USAGE ON SCHEMA vega TO stranger; SET ROLE "
	        "stranger;"
	        " CREATE TABLE vega.worker (name text); RESET ROLE;"
	        " REVOKE ALL ON SCHEMA vega FROM stranger",
	        /* A function that a trigger on the owner's own table runs. */
	        "CREATE SCHEMA vega;"
	        " CREATE FUNCTION public.theirs() RETURNS trigger LANGUAGE plpgsql"
	        "  AS 'BEGIN RETURN NEW; END';"
	        " ALTER FUNCTION public.theirs() OWNER TO stranger;"
	        " CREATE TABLE vega.schema_version (version integer, installed timestamptz);"
	        " CREATE TRIGGER theirs BEFORE INSERT ON vega.schema_version"
	        "  FOR EACH ROW EXECUTE FUNCTION public.theirs()",
	        /* Nothing yet, but the right to make something in time. */
	        "CREATE SCHEMA vega; GRANT CREATE ON SCHEMA vega TO stranger",
	};
	run("CREATE ROLE stranger LOGIN");
	for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
		run("CREATE DATABASE theirs");
		PQfinish(session("theirs", "GRANT CREATE ON DATABASE theirs TO stranger"));
		PQfinish(session("theirs", made[i]));
		char *said = load_schema("theirs");
		ok(said && strstr(said, "others have"),
		        "schema.sql rejects tables that others made: %s", said);
		free(said);
		run("DROP DATABASE theirs");
	}
}

static void schema_waits_for_nobody(void)
{
	PGconn *reader = session("vega", "BEGIN; SELECT FROM vega.job");
	char *said = load_schema("vega");
	is_str(said, "0", "schema.sql again does not wait for a reader");
	free(said);
	PQfinish(session("vega", "COMMENT ON SCHEMA vega IS NULL"));
	said = load("vega", "schema.sql -v lock_timeout=200ms");
	ok(said && strstr(said, "nothing was changed: process") && strstr(said, "somebody"),
	        "schema.sql names who keeps it from an upgrade: %s", said);
	free(said);
	PQfinish(reader);
	said = load_schema("vega");
	is_str(said, "0", "schema.sql makes everything again when it can");
	free(said);
	PGconn *holder = session("vega", "SELECT pg_advisory_lock(hashtext('vega.schema'))");
	said = load("vega", "schema.sql -v lock_timeout=200ms");
	ok(said && strstr(said, "holds the lock of schema.sql: process"),
	        "schema.sql names who holds its own lock: %s", said);
	free(said);
	PQfinish(holder);
}

/* One result that the store refuses: nothing of the batch is stored. */
static void finish_is_all_or_none(void)
{
	struct store *store = open_store();
	struct store_lease leases[2];
	struct store_result results[2] = {
	        {.outcome = STORE_COMPLETED}, {.outcome = STORE_COMPLETED, .summary = "{"}};
	struct store_ending endings[2];
	for (int i = 0; i < 2; i++) {
		submit_to(store, "none");
		leases[i] = take(store, "none");
		endings[i] = (struct store_ending){.lease = &leases[i], .result = &results[i]};
	}
	struct store_request next = submit_to(store, "none");
	const struct store_claim claim = {.worker = "w", .max = 1, .lease_ms = 60000};
	struct job job;
	is_int(store->driver->finish(store, endings, 2, &claim, &job, &err), VEGA_FATAL,
	        "finish rejects a summary that is no JSON");
	is_int(state_of(store, leases[0].id), JOB_PROCESSING,
	        "a rejected summary keeps the batch from being stored");
	is_int(state_of(store, next.id), JOB_PENDING,
	        "a rejected summary keeps finish from claiming");
	results[1].summary = "{}";
	is_int(store->driver->finish(store, endings, 2, NULL, NULL, &err), 0,
	        "finish accepts a summary that is JSON");
	is_int(state_of(store, leases[0].id), JOB_COMPLETED,
	        "a batch with good summaries is stored");
	close_store(store);
}

static long long read_of_jobs(void)
{
	PGconn *conn = PQconnectdb(contract_url);
	PGresult *result =
	        PQexec(conn, "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables"
	                     " WHERE relid = 'vega.job'::regclass");
	long long rows = PQntuples(result) == 1 ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : -1;
	PQclear(result);
	PQfinish(conn);
	return rows;
}

static bool look_at(const struct store_pruned *job, void *context)
{
	(void)job;
	++*(unsigned *)context;
	return true;
}

static unsigned look_at_queue(struct store *store, const char *queue)
{
	unsigned count = 0;
	struct store_prune prune = {.queue = queue,
	        .batch = 500,
	        .dry_run = true,
	        .remove = look_at,
	        .context = &count};
	while (store->driver->prune(store, &prune, &err) > 0) {
	}
	return count;
}

/* Each page of a long list is found without reading those before it. */
static void pages_cost_what_they_hold(void)
{
	enum { JOBS = 20000 };
	static const struct {
		unsigned (*read)(struct store *store, const char *queue);
		const char *name;
	} readers[] = {{count_queue, "list"}, {look_at_queue, "prune"}};
	run("INSERT INTO vega.job (id, spec, queue)"
	    " SELECT gen_random_uuid(), '{}', 'pages' FROM generate_series(1, 20000);"
	    "INSERT INTO vega.job_state (nr, queue, priority, due, state, finished)"
	    " SELECT nr, queue, 0, now(), 'COMPLETED', now() FROM vega.job WHERE queue = 'pages';"
	    "ANALYZE vega.job, vega.job_state");
	for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
		struct store *store = open_store();
		long long before = read_of_jobs(), rows = 0;
		is_int(readers[i].read(store, "pages"), JOBS, "%s reads many jobs",
		        readers[i].name);
		close_store(store);
		time_t deadline = time(NULL) + WAIT_S;
		while (rows < JOBS && time(NULL) < deadline) {
			rows = read_of_jobs() - before; /* told when the session has ended */
		}
		ok(rows >= JOBS && rows < 2 * JOBS, "each job is read once (%lld rows)", rows);
	}
	run("DELETE FROM vega.job WHERE queue = 'pages'");
}

static void hides_passwords(void)
{
	static const char *const urls[] = {
	        "postgresql://u:s3cret%zz@h/d",
	        "postgresql://u:s3cret@localhost:1/d",
	        "host=/nowhere password=s3cret dbname=d",
	        "host=/nowhere password='s3cret dbname=d",
	        "host=/nowhere 's3cret' password=",
	        "mysql://u:s3cret@h/d",
	        "postgresql://u:s3cret@h:port/d",
	        "postgresql://h/d?password=s3cret&nonsense=1",
	};
	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
		struct store *store = NULL;
		int rc = store_open(urls[i], 1000, &store, &err);
		ok(rc != 0 && !strstr(err.text, "s3cret"), "an error shows no password: %s",
		        err.text);
	}
}

/* The connection goes while a result is stored, and the next one is refused. */
static void knows_what_is_in_doubt(void)
{
	struct store *store = open_store();
	submit_to(store, "doubt");
	struct store_lease lease = take(store, "doubt");
	run("CREATE FUNCTION hang_up() RETURNS trigger LANGUAGE plpgsql AS"
	    " 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN new; END'");
	run("CREATE TRIGGER hang_up BEFORE UPDATE ON vega.job_state FOR EACH ROW"
	    " EXECUTE FUNCTION hang_up()");
	run("UPDATE vega.schema_version SET version = 99");
	is_int(finish_as(store, &lease, STORE_COMPLETED, NULL), VEGA_UNAVAILABLE,
	        "a request of unknown outcome is not reported as rejected");
	is_int(finish_as(store, &lease, STORE_COMPLETED, NULL), VEGA_FATAL,
	        "the next request is reported as rejected");
	run("DROP FUNCTION hang_up CASCADE");
	run("UPDATE vega.schema_version SET version = 3");
	is_int(finish_as(store, &lease, STORE_COMPLETED, NULL), 0,
	        "the handle works after a rejected request");
	close_store(store);
}

/* Grants come last in a dump that is restored. */
static void sees_what_is_granted(void)
{
	char url[400];
	run("CREATE ROLE late LOGIN");
	snprintf(url, sizeof url, "%s&user=late", contract_url);
	struct store *store = NULL;
	struct store_request r = request("granted");
	ok(store_open(url, 0, &store, &err) == 0, "a user without any right opens the store");
	is_int(store->driver->submit(store, &r, 1, &err), VEGA_FATAL,
	        "a user without any right cannot submit");
	run("GRANT vega_submitter TO late");
	is_int(store->driver->submit(store, &r, 1, &err), 0, "a user submits when it is granted");
	close_store(store);
}

static void knows_mistakes(void)
{
	char url[400];
	snprintf(url, sizeof url, "%s&dbname=none", contract_url);
	refuses(url, VEGA_FATAL, "\"none\" does not exist", "a database that is none");
	snprintf(url, sizeof url, "%s&user=none", contract_url);
	refuses(url, VEGA_FATAL, "none", "a user that is none");

	char passwords[300];
	snprintf(passwords, sizeof passwords, "%s/passwords", contract_dir);
	FILE *file = fopen(passwords, "w");
	ok(file && fchmod(fileno(file), 0600) == 0 && fputs("*:*:*:*:guess\n", file) >= 0 &&
	                fclose(file) == 0,
	        "a file of passwords is written");
	run("CREATE ROLE secret LOGIN PASSWORD 'word'");
	run("DO $$ BEGIN EXECUTE format('COPY (VALUES (''local all secret scram-sha-256''),"
	    " (''local all all trust'')) TO %L', current_setting('hba_file'));"
	    " PERFORM pg_reload_conf(); END $$");
	snprintf(url, sizeof url, "%s&user=secret&passfile=%s", contract_url, passwords);
	time_t deadline = time(NULL) + WAIT_S;
	struct store *store;
	while (store_open(url, 1000, &store, &err) == 0 && time(NULL) < deadline) {
		close_store(store); /* it has not read that yet */
		usleep(20000);
	}
	refuses(url, VEGA_FATAL, "password authentication failed", "a password that is wrong");
	snprintf(url, sizeof url, "%s&dbname=none&host=/nowhere,%s", contract_url,
	        strstr(contract_url, "host=") + strlen("host="));
	refuses(url, VEGA_UNAVAILABLE, "/nowhere",
	        "a server that is unreachable beside one that is wrong");
	refuses("host=/nowhere port=none", VEGA_FATAL, "none", "a port that is none");
	refuses("host=/nowhere sslmode=none", VEGA_FATAL, "none", "an sslmode that is none");
	refuses("host=/nowhere nonsense=1", VEGA_USAGE, "libpq", "a setting that is none");
}

/* What rule_delay_ms() says, in SQL. */
static void commits_do_not_wait_long(void)
{
	const struct store_result result = {.outcome = STORE_COMPLETED};
	struct store *store = open_store();
	struct strlist queues = {0};
	uint64_t due[2] = {0};
	strlist_add(&queues, "often");
	for (int i = 0; i < 2; i++) {
		submit_to(store, "often");
		struct store_lease lease = take(store, "often");
		if (i == 1) {
			is_int(store->driver->commit(store, &lease, &result, &err), 0,
			        "a job is committed before its attempts fail");
		}
		run("UPDATE vega.job_state SET attempt = 9 WHERE queue = 'often'");
		run("UPDATE vega.job SET max_attempts = 20 WHERE queue = 'often'");
		is_int(finish_as(store, &lease, STORE_RETRY, NULL), 0, "the ninth attempt fails");
		store->driver->next_due(store, &queues, 1000000, &due[i], &err);
		run("UPDATE vega.job_state SET due = 'infinity' WHERE queue = 'often'");
	}
	ok(due[0] > 200000 && due[0] <= 256000, "a job of many attempts waits %llu ms",
	        (unsigned long long)due[0]);
	ok(due[1] > 8000 && due[1] <= 16000, "a committed job of many attempts waits %llu ms",
	        (unsigned long long)due[1]);
	strlist_release(&queues);
	close_store(store);
}

static void checks(void)
{
	static void (*const all[])(void) = {goes_on_without_what_it_prepared, survives_a_crash,
	        keeps_its_word_over_crashes, reconnects, waits_for_a_lock, waits_without_its_lock,
	        passes_over_what_is_locked, stands_in_line, knows_its_schema,
	        pages_cost_what_they_hold, schema_is_idempotent, schema_of_others_is_refused,
	        schema_waits_for_nobody, schema_is_upgraded, second_schema_is_upgraded,
	        finish_is_all_or_none, commits_do_not_wait_long, hides_passwords, knows_mistakes,
	        sees_what_is_granted, knows_what_is_in_doubt};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		all[i]();
	}
}

int main(void)
{
	return contract_run_on(CONTRACT_POSTGRES, checks);
}
