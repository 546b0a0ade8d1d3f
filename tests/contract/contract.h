/*
 * What the contract suites share. Each is one program that runs its checks against every store:
 * a fresh SQLite file, and a PostgreSQL of its own, first as its owner and then as several roles,
 * each of which may do its own (pair.h).
 *
 *	static void checks(void) { … }
 *	int main(void) { return contract_run(checks); }
 */
#ifndef TESTS_CONTRACT_H
#define TESTS_CONTRACT_H

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../unit/tap.h"
#include "base/uuid.h"
#include "pair.h"
#include "store/store.h"

static const char *contract_store; /* "sqlite", "postgres", "roles" */
static const char *contract_submitter = "tester";
static char *contract_url;
static char contract_dir[256];

#define WAIT_S 20 /* how long a condition may take to become true on a busy machine */

/* The checks of tap.h, with the store's name in front. */
#define check(condition, name) ok((condition), "%s: %s", contract_store, (name))
#define equal(got, wanted, name) is_int((got), (wanted), "%s: %s", contract_store, (name))
#define same(got, wanted, name) is_str((got), (wanted), "%s: %s", contract_store, (name))

static inline _Noreturn void give_up(const char *what, const struct vega_error *err)
{
	printf("Bail out! %s: %s: %s\n", contract_store, what, err ? err->text : "");
	exit(1);
}

static inline struct store *open_with(unsigned timeout_ms)
{
	struct vega_error err;
	struct store *store = NULL;
	if (strcmp(contract_store, "roles") == 0) {
		return pair_open(contract_url, timeout_ms);
	}
	if (store_open(contract_url, timeout_ms, &store, &err)) {
		give_up("open", &err);
	}
	return store;
}

static inline struct store *open_store(void)
{
	return open_with(0);
}

static inline void close_store(struct store *store)
{
	store->driver->close(store);
}

/* A request with the few things that every job needs. */
static inline struct store_request request(const char *queue)
{
	struct store_request r = {
	        .spec = "{\"v\":1,\"operations\":[\"find\"],\"roots\":[\"/data\"]}",
	        .submitter = "tester",
	        .queue = queue,
	};
	uuid7(r.id);
	return r;
}

static inline void submit(struct store *store, struct store_request *r)
{
	struct vega_error err;
	if (store->driver->submit(store, r, 1, &err)) {
		give_up("submit", &err);
	}
}

static inline struct store_request submit_to(struct store *store, const char *queue)
{
	struct store_request r = request(queue);
	submit(store, &r);
	return r;
}

static inline struct job get(struct store *store, const char *id)
{
	struct vega_error err;
	struct job job;
	if (store->driver->get(store, id, STORE_PART_RESULT | STORE_PART_RECORDS, &job, &err)) {
		give_up("get", &err);
	}
	return job;
}

static inline enum job_state state_of(struct store *store, const char *id)
{
	struct job job = get(store, id);
	enum job_state state = job.state;
	job_release(&job);
	return state;
}

/* Claims up to max jobs of one queue (NULL: any). Negative: vega_code. */
static inline int claim(struct store *store, const char *worker, const char *queue, unsigned max,
        uint64_t lease_ms, struct job *jobs)
{
	struct vega_error err;
	struct strlist queues = {0};
	if (queue) {
		strlist_add(&queues, queue);
	}
	struct store_claim c = {
	        .worker = worker, .queues = &queues, .max = max, .lease_ms = lease_ms};
	int count = store->driver->claim(store, &c, jobs, &err);
	if (count < 0) {
		printf("# claim: %s\n", err.text);
	}
	strlist_release(&queues);
	return count;
}

/* Claims the one job that is there, as worker "w", for a minute. */
static inline struct store_lease take_for(struct store *store, const char *queue, uint64_t lease_ms)
{
	struct job job;
	struct store_lease lease = {0};
	if (claim(store, "w", queue, 1, lease_ms, &job) != 1) {
		give_up("claim", NULL);
	}
	memcpy(lease.id, job.id, UUID_TEXT);
	lease.lease_seq = job.lease_seq;
	job_release(&job);
	return lease;
}

static inline struct store_lease take(struct store *store, const char *queue)
{
	return take_for(store, queue, 60000);
}

/* Ends one attempt. *state may be NULL. VEGA_LEASE_LOST, or how the call ended. */
static inline int finish_one(struct store *store, const struct store_lease *lease,
        const struct store_result *result, enum job_state *state)
{
	struct vega_error err;
	struct store_ending ending = {.lease = lease, .result = result};
	int rc = store->driver->finish(store, &ending, 1, NULL, NULL, &err);
	if (rc) {
		printf("# finish: %s\n", err.text);
	} else if (ending.code == 0 && state) {
		*state = ending.state;
	}
	return rc ? rc : ending.code;
}

static inline int finish_as(struct store *store, const struct store_lease *lease,
        enum store_outcome outcome, enum job_state *state)
{
	struct store_result result = {.outcome = outcome};
	return finish_one(store, lease, &result, state);
}

/* True after the lease of a job of the queue has expired, or a job has become due. */
static inline bool becomes_due(struct store *store, const char *queue)
{
	struct vega_error err;
	struct strlist queues = {0};
	uint64_t left = 1;
	time_t deadline = time(NULL) + WAIT_S;
	strlist_add(&queues, queue);
	while (left > 0 && time(NULL) < deadline &&
	        store->driver->next_due(store, &queues, 1000, &left, &err) == 0) {
		usleep((useconds_t)(left < 50 ? left * 1000 : 50000));
	}
	strlist_release(&queues);
	return left == 0;
}

/* The first line that a command prints, owned; NULL when it fails. */
static inline char *line_of(const char *command)
{
	char *line = NULL;
	size_t size = 0;
	FILE *pipe = popen(command, "r");
	bool good = pipe && getline(&line, &size, pipe) >= 0;
	while (pipe && fgetc(pipe) != EOF) {
	}
	good = pipe && pclose(pipe) == 0 && good;
	if (!good) {
		free(line);
		return NULL;
	}
	line[strcspn(line, "\n")] = '\0';
	return line;
}

/* tests/lib/postgres: "start", "kill", "stop". */
static inline char *postgres(const char *command, const char *options)
{
	char text[512];
	snprintf(text, sizeof text, "tests/lib/postgres %s %s/postgres %s", command, contract_dir,
	        options);
	return line_of(text);
}

/* Runs the body in `count` processes at once, from the moment when all are there. Returns how many
 * ended well. */
static inline unsigned together(
        unsigned count, bool (*body)(unsigned number, void *), void *context)
{
	int gate[2];
	unsigned well = 0;
	if (pipe(gate)) {
		give_up("pipe", NULL);
	}
	fflush(stdout);
	for (unsigned i = 0; i < count; i++) {
		if (fork() == 0) {
			char none;
			close(gate[1]);
			_exit(read(gate[0], &none, 1) == 0 && body(i, context) ? 0 : 1);
		}
	}
	close(gate[0]);
	close(gate[1]);
	for (unsigned i = 0; i < count; i++) {
		int status;
		wait(&status);
		well += WIFEXITED(status) && WEXITSTATUS(status) == 0;
	}
	return well;
}

static pid_t contract_owner; /* children leave without cleaning up */

static inline void clean_up(void)
{
	char command[300];
	if (getpid() != contract_owner) {
		return;
	}
	free(postgres("stop", ""));
	snprintf(command, sizeof command, "rm -rf '%s'", contract_dir);
	free(line_of(command));
}

enum contract_stores {
	CONTRACT_SQLITE = 1,
	CONTRACT_POSTGRES = 2,
	CONTRACT_ROLES = 4,
	CONTRACT_ALL = 7,
};

static inline void run_on_sqlite(void (*checks)(void))
{
	char url[300];
	contract_store = "sqlite";
	snprintf(url, sizeof url, "sqlite:%s/state/jobs.db", contract_dir);
	contract_url = url;
	checks();
}

/* The jobs of before go: the roles would see none or claim them. */
static inline void make_roles(void)
{
	char command[1024];
	snprintf(command, sizeof command,
	        "psql -X -q -d '%s' -c '" PAIR_ROLES "' -c '%s' && echo made", contract_url,
	        "DELETE FROM vega.job; DELETE FROM vega.worker");
	char *made = line_of(command);
	if (!made) {
		give_up("the roles cannot be made", NULL);
	}
	free(made);
}

static inline void run_on_postgres(enum contract_stores stores_wanted, void (*checks)(void))
{
	contract_store = "postgres";
	contract_url = postgres("start", "");
	if (contract_url && (stores_wanted & CONTRACT_POSTGRES)) {
		checks();
	}
	if (contract_url && (stores_wanted & CONTRACT_ROLES)) {
		make_roles();
		contract_store = "roles";
		contract_submitter = PAIR_SUBMITTER;
		checks();
	}
	if (!contract_url) {
		ok(false, "postgres: the server starts");
	}
	free(contract_url);
}

static inline int contract_run_on(enum contract_stores stores_wanted, void (*checks)(void))
{
	const char *tmp = getenv("TMPDIR");
	snprintf(contract_dir, sizeof contract_dir, "%s/contract.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(contract_dir)) {
		return 2;
	}
	contract_owner = getpid();
	atexit(clean_up);
	if (stores_wanted & CONTRACT_SQLITE) {
		run_on_sqlite(checks);
	}
	if (stores_wanted & (CONTRACT_POSTGRES | CONTRACT_ROLES)) {
		run_on_postgres(stores_wanted, checks);
	}
	return done();
}

static inline int contract_run(void (*checks)(void))
{
	return contract_run_on(CONTRACT_ALL, checks);
}

#endif
