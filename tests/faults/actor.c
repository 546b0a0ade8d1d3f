/*
 * One that uses a job store while faults befall it, and writes down what it did and what it was
 * told, for tests/faults/verify.
 *
 *	actor submit URL LOG SEED   submit jobs, each until it is acknowledged, until SIGUSR1
 *	actor work URL LOG SEED     claim and end jobs until SIGTERM; from SIGUSR1 on, well behaved
 *	actor cancel URL LOG SEED   cancel jobs until SIGTERM
 *
 * VEGA_ACTOR_TIMEOUT is the store's time-out, VEGA_ACTOR_LEASE the lease, both in milliseconds. A
 * job whose key ends in an even digit is "staged": it is committed, has an effect, and is finished.
 * A worker that does not behave lets leases expire (as one that was killed), or comes back after
 * another has taken its job (as one that was stopped) and goes on as if nothing had happened.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/uuid.h"
#include "store/store.h"

#define SHORT_LEASE_MS 25 /* of one that is meant to be lost */
#define DOZE_US 500000
#define CLAIMS_MAX 3
#define BATCH_MAX 4
#define PACE_MS 120 /* between submissions, at most */
#define BACKLOG_MAX 30

static struct store *store;
static struct vega_error err;
static int log_fd;
static unsigned seed;
static uint64_t lease_ms = 1000;
static char name[64];
static volatile sig_atomic_t stopped, calm;

#define D store->driver

static unsigned below(unsigned limit)
{
	return (unsigned)rand_r(&seed) % limit;
}

static void nap(unsigned ms)
{
	poll(NULL, 0, (int)ms);
}

static uint64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* One line of the log: "TIME WHAT ID SEQ DETAIL", written at once. */
static void note(const char *what, const char *id, uint64_t seq, const char *detail)
{
	char line[512];
	int len = snprintf(line, sizeof line, "%llu\t%s\t%s\t%llu\t%s\n",
	        (unsigned long long)now_us(), what, id, (unsigned long long)seq, detail);
	if (write(log_fd, line, (size_t)len) != len) {
		_exit(2);
	}
}

static _Noreturn void give_up(const char *what)
{
	fprintf(stderr, "actor: %s: %s\n", what, err.text);
	exit(1);
}

/* True when the call is to be made again. */
static bool away(int rc, const char *what)
{
	if (rc == VEGA_UNAVAILABLE || rc == VEGA_LOCKED) {
		nap(5 + below(50));
		return !stopped;
	}
	if (rc < 0 && rc != VEGA_NO && rc != VEGA_LEASE_LOST) {
		give_up(what);
	}
	return false;
}

static void open_store(const char *url)
{
	const char *timeout = getenv("VEGA_ACTOR_TIMEOUT");
	int rc;
	do {
		rc = store_open(
		        url, timeout ? (unsigned)strtoul(timeout, NULL, 10) : 1000, &store, &err);
	} while (away(rc, "open"));
	if (rc) {
		exit(stopped ? 0 : 1);
	}
}

/* --- submit ----------------------------------------------------------------------------------- */

/* The number of the job follows, which ends its key, too. */
#define SPEC_HEAD "{\"v\":1,\"operations\":[\"find\"],\"roots\":[\"/data/"

static void submit_batch(unsigned first, unsigned count, unsigned tag)
{
	struct store_request requests[BATCH_MAX] = {0};
	char keys[BATCH_MAX][32], specs[BATCH_MAX][80];
	for (unsigned i = 0; i < count; i++) {
		snprintf(keys[i], sizeof keys[i], "%u-%u", tag, first + i);
		snprintf(specs[i], sizeof specs[i], SPEC_HEAD "%u\"]}", first + i);
		requests[i] = (struct store_request){.spec = specs[i],
		        .submitter = "tester",
		        .queue = "faults",
		        .max_attempts = 1000,
		        .priority = (int)below(3),
		        .idempotency_key = keys[i]};
		note("submit", keys[i], 0, "");
	}
	int rc;
	do {
		for (unsigned i = 0; i < count; i++) {
			uuid7(requests[i].id); /* as a command that is run again does */
		}
		rc = D->submit(store, requests, count, &err);
	} while (away(rc, "submit"));
	for (unsigned i = 0; rc == 0 && i < count; i++) {
		note("submitted", requests[i].stored_id, 0, keys[i]);
	}
}

static int count_job(const struct job *job, void *context)
{
	(void)job;
	++*(unsigned *)context;
	return 0;
}

/* Do the workers keep up? What waits only for its turn when the faults end says nothing of them. */
static bool enough_to_do(void)
{
	const struct store_filter pending = {.states = 1u << JOB_PENDING, .limit = BACKLOG_MAX};
	unsigned count = 0;
	return D->list(store, &pending, count_job, &count, &err) == 0 && count == BACKLOG_MAX;
}

static void submit_until_calm(void)
{
	unsigned tag = seed;
	for (unsigned first = 0; !calm && !stopped;) {
		unsigned count = 1 + below(BATCH_MAX);
		if (!enough_to_do()) {
			submit_batch(first, count, tag);
			first += count;
		}
		nap(below(PACE_MS));
	}
}

/* --- work ------------------------------------------------------------------------------------- */

static bool staged(const struct job *job)
{
	size_t head = strlen(SPEC_HEAD);
	return strncmp(job->spec, SPEC_HEAD, head) == 0 &&
	       strtoul(job->spec + head, NULL, 10) % 2 == 0;
}

/* The records name the lease, so that what is stored tells whose it is. */
static struct store_result result_of(
        const struct store_lease *lease, enum store_outcome outcome, char records[64])
{
	snprintf(records, 64, "{\"lease\":%llu}\n", (unsigned long long)lease->lease_seq);
	return (struct store_result){.outcome = outcome,
	        .summary = "{}",
	        .records = records,
	        .records_size = strlen(records)};
}

/* End attempts in one call, which perhaps claims. Returns how many were claimed, or a negative
 * code.
 */
static int finish_all(struct store_ending *endings, size_t count, const struct store_claim *claim,
        struct job *jobs)
{
	static const char *const outcomes[] = {
	        "COMPLETED", "FAILED", "RETRY", "CANCELLED", "RELEASED"};
	int rc;
	do {
		rc = D->finish(store, endings, count, claim, jobs, &err);
		for (size_t i = 0; rc == 0 && i < count; i++) {
			rc = endings[i].code == VEGA_LOCKED ? VEGA_LOCKED : 0;
		}
	} while (away(rc, "finish"));
	for (size_t i = 0; rc >= 0 && i < count; i++) {
		char said[64];
		const struct store_lease *lease = endings[i].lease;
		if (endings[i].code == 0) {
			snprintf(said, sizeof said, "%s %s", outcomes[endings[i].result->outcome],
			        job_state_name(endings[i].state));
			note("finished", lease->id, lease->lease_seq, said);
		}
	}
	return rc;
}

static bool finish(const struct store_lease *lease, enum store_outcome outcome)
{
	char records[64];
	struct store_result result = result_of(lease, outcome, records);
	struct store_ending ending = {.lease = lease, .result = &result};
	return finish_all(&ending, 1, NULL, NULL) == 0 && ending.code == 0;
}

static int commit(const struct store_lease *lease)
{
	char records[64];
	struct store_result result = result_of(lease, STORE_COMPLETED, records);
	int rc;
	do {
		rc = D->commit(store, lease, &result, &err);
	} while (away(rc, "commit"));
	if (rc == 0) {
		note("committed", lease->id, lease->lease_seq, "");
	}
	return rc;
}

static int beat(struct store_lease *lease, uint64_t ms)
{
	int rc;
	do {
		rc = D->heartbeat(store, name, lease, 1, ms, &err);
	} while (away(rc, "heartbeat"));
	return rc;
}

/* The lease was lost and another one knows it; whatever is tried now must be refused. */
static void rise_again(struct store_lease *lease)
{
	static const char *const tried[] = {"heartbeat", "commit", "finish"};
	unsigned first = below(3);
	note("zombie", lease->id, lease->lease_seq, "");
	for (unsigned i = 0; i < 3 && !stopped; i++) {
		unsigned what = (first + i) % 3;
		bool accepted = what == 0   ? beat(lease, 60000) == 0 && !lease->lost
		                : what == 1 ? commit(lease) == 0
		                            : finish(lease, STORE_COMPLETED);
		if (accepted && !stopped) {
			note("stale", lease->id, lease->lease_seq, tried[what]);
		}
	}
}

/* Sleep until somebody else has the job, or had it; not for ever, or all may sleep. */
static bool outlived(const struct store_lease *lease)
{
	uint64_t until = now_us() + DOZE_US;
	while (now_us() < until && !calm && !stopped) {
		struct job job;
		int rc = D->get(store, lease->id, 0, &job, &err);
		if (rc == 0) {
			bool taken = job.lease_seq > lease->lease_seq;
			job_release(&job);
			if (taken) {
				return true;
			}
		}
		nap(5);
	}
	return false;
}

/* Up to the end, which is left to the caller: true. */
static bool do_well(struct store_lease *lease, const struct job *job)
{
	uint64_t committed = job->committed_seq;
	if (below(2)) {
		beat(lease, lease_ms);
		if (lease->lost) {
			return false;
		}
		if (lease->cancel && !committed) {
			finish(lease, STORE_CANCELLED);
			return false;
		}
	}
	if (staged(job) && !committed) {
		int rc = commit(lease);
		if (rc == VEGA_NO) {
			finish(lease, STORE_CANCELLED);
		}
		if (rc) {
			return false;
		}
		committed = lease->lease_seq;
		if (!calm && below(8) == 0) {
			return false; /* killed before the effect, or after it: another one has it
			               */
		}
	}
	if (staged(job)) {
		note("effect", lease->id, committed, "");
	}
	return calm || below(8) > 0;
}

static struct store_lease lease_of(const struct job *job)
{
	struct store_lease lease = {.lease_seq = job->lease_seq};
	memcpy(lease.id, job->id, UUID_TEXT);
	return lease;
}

static void do_job(const struct job *job, bool doomed)
{
	struct store_lease lease = lease_of(job);
	if (doomed) {
		if (outlived(&lease)) {
			rise_again(&lease);
		}
		return;
	}
	unsigned dice = calm ? 0 : below(20);
	if (dice == 1) {
		return;
	}
	if (dice == 2 && job->attempt == 1) {
		finish(&lease, STORE_RETRY);
	} else if (dice == 3) {
		finish(&lease, STORE_RELEASED);
	} else if (dice == 4 && !job->committed_seq) { /* as no worker fails what is committed */
		finish(&lease, STORE_FAILED);
	} else if (do_well(&lease, job)) {
		finish(&lease, STORE_COMPLETED);
	}
}

/* All that were claimed at once, and their ends in one call, as finish_all(). */
static int do_together(
        const struct job *jobs, int count, const struct store_claim *claim, struct job *next)
{
	struct store_lease leases[CLAIMS_MAX];
	struct store_result results[CLAIMS_MAX];
	struct store_ending endings[CLAIMS_MAX];
	char records[CLAIMS_MAX][64];
	size_t done = 0;
	for (int i = 0; i < count; i++) {
		leases[done] = lease_of(&jobs[i]);
		if (do_well(&leases[done], &jobs[i])) {
			results[done] = result_of(&leases[done], STORE_COMPLETED, records[done]);
			endings[done] = (struct store_ending){
			        .lease = &leases[done], .result = &results[done]};
			done++;
		}
	}
	return done ? finish_all(endings, done, claim, next) : 0;
}

static void work(void)
{
	struct job jobs[CLAIMS_MAX], next[CLAIMS_MAX];
	int count = 0;
	while (!stopped) {
		bool doomed = count <= 0 && !calm && below(4) == 0;
		struct store_claim claim = {.worker = name,
		        .max = 1 + below(CLAIMS_MAX),
		        .lease_ms = doomed ? SHORT_LEASE_MS : lease_ms};
		count = count > 0 ? count : D->claim(store, &claim, jobs, &err);
		if (count <= 0) {
			away(count, "claim");
			nap(10);
			continue;
		}
		bool together = !doomed && below(2);
		int claimed =
		        together ? do_together(jobs, count, below(2) ? &claim : NULL, next) : 0;
		for (int i = 0; i < count; i++) {
			if (!together) {
				do_job(&jobs[i], doomed);
			}
			job_release(&jobs[i]);
		}
		count = claimed;
		memcpy(jobs, next, (size_t)(count > 0 ? count : 0) * sizeof *jobs);
	}
}

/* --- cancel ----------------------------------------------------------------------------------- */

struct choice {
	unsigned seen;
	char id[UUID_TEXT];
};

static int choose(const struct job *job, void *context)
{
	struct choice *choice = context;
	if (below(++choice->seen) == 0) {
		memcpy(choice->id, job->id, UUID_TEXT);
	}
	return 0;
}

static void cancel_one(void)
{
	const struct store_filter open_jobs = {
	        .states = 1u << JOB_PENDING | 1u << JOB_PROCESSING, .limit = 20};
	struct choice choice = {.seen = 0};
	enum job_state state = JOB_STATES;
	if (D->list(store, &open_jobs, choose, &choice, &err) != 0 || !choice.seen) {
		return;
	}
	int rc;
	do {
		rc = D->cancel(store, choice.id, &state, &err);
	} while (away(rc, "cancel"));
	if (rc == 0 && (state == JOB_PROCESSING || state == JOB_CANCELLED)) {
		note("cancelled", choice.id, 0, job_state_name(state));
	}
}

static void on_signal(int number)
{
	if (number == SIGUSR1) {
		calm = 1;
	} else {
		stopped = 1;
	}
}

int main(int argc, char **argv)
{
	const char *lease = getenv("VEGA_ACTOR_LEASE");
	if (argc < 5) {
		return 2;
	}
	signal(SIGTERM, on_signal);
	signal(SIGUSR1, on_signal);
	signal(SIGPIPE, SIG_IGN);
	log_fd = open(argv[3], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	seed = (unsigned)strtoul(argv[4], NULL, 10);
	lease_ms = lease ? strtoul(lease, NULL, 10) : lease_ms;
	snprintf(name, sizeof name, "actor:%ld:%u", (long)getpid(), seed);
	open_store(argv[2]);
	if (strcmp(argv[1], "submit") == 0) {
		submit_until_calm();
	} else if (strcmp(argv[1], "work") == 0) {
		work();
	} else {
		while (!stopped) {
			cancel_one();
			nap(20 + below(100));
		}
	}
	D->close(store);
	return 0;
}
