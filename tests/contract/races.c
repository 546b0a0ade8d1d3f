/* Many processes at one store: what must happen once happens once. */
#include <sys/mman.h>

#include "contract.h"

static struct vega_error err;

/* A place that all processes write to. */
static struct board {
	unsigned taken[400]; /* by the number of the job */
	unsigned wins;
	char ids[64][UUID_TEXT];
} * board;

static void clear_board(void)
{
	memset(board, 0, sizeof *board);
}

struct jobs {
	unsigned count;
	struct store_request requests[400];
};

/* Every other process claims the next ones as it ends those it has. */
static bool claim_until_empty(unsigned number, void *context)
{
	enum { MAX = 3 };
	static const struct store_result result = {.outcome = STORE_COMPLETED};
	struct jobs *jobs = context;
	struct store *store = open_with(60000);
	struct store_lease leases[MAX];
	struct store_ending endings[MAX];
	struct job claimed[MAX];
	struct strlist queues = {0};
	char worker[16];
	struct store_claim wanted = {
	        .worker = worker, .queues = &queues, .max = 1 + number % MAX, .lease_ms = 60000};
	int count = 0, code = 0;
	snprintf(worker, sizeof worker, "w%u", number);
	strlist_add(&queues, "race");
	while (code == 0 &&
	        (count > 0 || (count = store->driver->claim(store, &wanted, claimed, &err)) > 0)) {
		for (int i = 0; i < count; i++) {
			leases[i] = (struct store_lease){.lease_seq = claimed[i].lease_seq};
			endings[i] = (struct store_ending){.lease = &leases[i], .result = &result};
			memcpy(leases[i].id, claimed[i].id, UUID_TEXT);
			for (unsigned j = 0; j < jobs->count; j++) {
				if (strcmp(jobs->requests[j].id, leases[i].id) == 0) {
					__atomic_fetch_add(&board->taken[j], 1, __ATOMIC_SEQ_CST);
				}
			}
			job_release(&claimed[i]);
		}
		int ended = count;
		count = store->driver->finish(
		        store, endings, (size_t)count, number % 2 ? &wanted : NULL, claimed, &err);
		for (int i = 0; i < ended; i++) {
			code = code ? code : endings[i].code;
		}
	}
	strlist_release(&queues);
	close_store(store);
	return count == 0 && code == 0;
}

static void each_job_is_claimed_once(struct store *store)
{
	static struct jobs jobs = {.count = 200};
	unsigned once = 0, completed = 0;
	clear_board();
	for (unsigned i = 0; i < jobs.count; i++) {
		jobs.requests[i] = request("race");
	}
	if (store->driver->submit(store, jobs.requests, jobs.count, &err)) {
		give_up("submit", &err);
	}
	equal(together(8, claim_until_empty, &jobs), 8, "8 processes claim until nothing is left");
	for (unsigned i = 0; i < jobs.count; i++) {
		once += board->taken[i] == 1;
		completed += state_of(store, jobs.requests[i].id) == JOB_COMPLETED;
	}
	equal(once, jobs.count, "each job was claimed once");
	equal(completed, jobs.count, "each claimed job was completed");
}

static bool submit_one_key(unsigned number, void *context)
{
	struct store *store = open_with(60000);
	struct store_request r = request("key");
	(void)context;
	r.idempotency_key = "nightly";
	submit(store, &r);
	memcpy(board->ids[number], r.stored_id, UUID_TEXT);
	if (!r.existed) {
		__atomic_fetch_add(&board->wins, 1, __ATOMIC_SEQ_CST);
	}
	close_store(store);
	return true;
}

static int count_job(const struct job *job, void *context)
{
	(void)job;
	++*(unsigned *)context;
	return 0;
}

static void one_key_is_one_job(struct store *store)
{
	enum { PROCESSES = 50 };
	unsigned jobs = 0, same_id = 0;
	struct store_filter filter = {.queue = "key"};
	clear_board();
	equal(together(PROCESSES, submit_one_key, NULL), PROCESSES, "50 processes submit one key");
	store->driver->list(store, &filter, count_job, &jobs, &err);
	for (int i = 0; i < PROCESSES; i++) {
		same_id += strcmp(board->ids[i], board->ids[0]) == 0;
	}
	equal(jobs, 1, "50 submissions of one key make one job");
	equal(board->wins, 1, "one of 50 submissions made the job");
	equal(same_id, PROCESSES, "all of 50 submissions got the same id");
}

#define REPEATED 200

/* The same requests by everybody: of the ids given, or of keys, which half have in the other order.
 */
static bool submit_the_same(unsigned number, void *context)
{
	const struct store_request *ids = context;
	struct store *store = open_with(60000);
	struct store_request mine[REPEATED];
	char keys[REPEATED][16];
	bool right = true;
	for (unsigned i = 0; i < REPEATED; i++) {
		unsigned which = !ids && number % 2 ? REPEATED - 1 - i : i;
		mine[i] = ids ? ids[i] : request("same keys");
		snprintf(keys[i], sizeof keys[i], "same %u", which);
		mine[i].idempotency_key = ids ? NULL : keys[i];
	}
	int rc = store->driver->submit(store, mine, REPEATED, &err);
	for (unsigned i = 0; i < REPEATED && ids; i++) {
		right = right && !mine[i].existed && strcmp(mine[i].stored_id, mine[i].id) == 0;
	}
	close_store(store);
	return rc == 0 && right;
}

/* Who waits for another's rows gets them, and nobody waits in a circle. */
static void batches_meet(struct store *store)
{
	enum { PROCESSES = 8 };
	unsigned by_id = 0, by_key = 0;
	struct store_request requests[REPEATED];
	struct store_filter ids = {.queue = "same ids"}, keys = {.queue = "same keys"};
	for (int i = 0; i < REPEATED; i++) {
		requests[i] = request("same ids");
	}
	equal(together(PROCESSES, submit_the_same, requests), PROCESSES,
	        "8 processes submit the same ids");
	store->driver->list(store, &ids, count_job, &by_id, &err);
	equal(by_id, REPEATED, "8 submissions of the same ids make one job per id");
	equal(together(PROCESSES, submit_the_same, NULL), PROCESSES,
	        "8 processes submit the same keys");
	store->driver->list(store, &keys, count_job, &by_key, &err);
	equal(by_key, REPEATED, "8 submissions of the same keys make one job per key");
}

static bool cancel_or_finish(unsigned number, void *context)
{
	const struct store_lease *lease = context;
	struct store *store = open_with(60000);
	enum job_state state = JOB_STATES;
	int rc = number % 2 ? store->driver->cancel(store, lease->id, &state, &err)
	                    : finish_as(store, lease, number % 4 ? STORE_RETRY : STORE_COMPLETED,
	                              &state);
	close_store(store);
	return rc == 0 && state != JOB_STATES;
}

static void one_end_wins(struct store *store)
{
	unsigned well = 0, terminal = 0, stable = 0;
	for (int round = 0; round < 10; round++) {
		struct store_request r = submit_to(store, "ends");
		struct store_lease lease = take(store, "ends");
		well += together(8, cancel_or_finish, &lease);
		struct job job = get(store, r.id);
		terminal += job_state_terminal(job.state);
		usleep(1000);
		stable += state_of(store, r.id) == job.state && job.lease_seq == 1;
		job_release(&job);
	}
	equal(well, 80, "cancel and finish at once each get an answer");
	equal(terminal, 10, "a job of cancel and finish at once ends");
	equal(stable, 10, "a job of cancel and finish at once ends in one way");
}

static bool take_over(unsigned number, void *context)
{
	struct store *store = open_with(60000);
	struct job job;
	char worker[16];
	(void)context;
	snprintf(worker, sizeof worker, "heir%u", number);
	int count = claim(store, worker, "heirs", 1, 60000, &job);
	if (count == 1) {
		__atomic_fetch_add(&board->wins, 1, __ATOMIC_SEQ_CST);
		job_release(&job);
	}
	close_store(store);
	return count >= 0;
}

static void one_takes_over(struct store *store)
{
	struct store_request r = submit_to(store, "heirs");
	clear_board();
	take_for(store, "heirs", 1);
	check(becomes_due(store, "heirs"), "a lease expires");
	equal(together(8, take_over, NULL), 8, "8 workers claim one job");
	equal(board->wins, 1, "one of 8 workers gets the job");
	struct job job = get(store, r.id);
	check(job.attempt == 2 && job.lease_seq == 2,
	        "the taken-over job is in its second attempt");
	job_release(&job);
}

/* Works until it is killed; what it was told is on the board before it goes on. */
static _Noreturn void work_for_ever(void)
{
	struct store *store = open_with(60000);
	for (;;) {
		struct job job;
		if (claim(store, "mortal", "mortal", 1, 200, &job) == 1) {
			struct store_lease lease = {.lease_seq = job.lease_seq};
			memcpy(lease.id, job.id, UUID_TEXT);
			finish_as(store, &lease, STORE_COMPLETED, NULL);
			job_release(&job);
		}
	}
}

static void killed_workers_lose_nothing(struct store *store)
{
	enum { COUNT = 100 };
	static struct store_request requests[COUNT];
	unsigned completed = 0;
	for (int i = 0; i < COUNT; i++) {
		requests[i] = request("mortal");
		requests[i].max_attempts = 1000;
	}
	if (store->driver->submit(store, requests, COUNT, &err)) {
		give_up("submit", &err);
	}
	fflush(stdout);
	for (int i = 0; i < 12; i++) {
		pid_t child = fork();
		if (child == 0) {
			work_for_ever();
		}
		usleep(30000 + (useconds_t)(i % 4) * 3000);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	time_t deadline = time(NULL) + WAIT_S;
	while (completed < COUNT && time(NULL) < deadline) {
		struct job job;
		if (claim(store, "w", "mortal", 1, 60000, &job) == 1) {
			struct store_lease lease = {.lease_seq = job.lease_seq};
			memcpy(lease.id, job.id, UUID_TEXT);
			finish_as(store, &lease, STORE_COMPLETED, NULL);
			job_release(&job);
			continue;
		}
		completed = 0;
		for (int i = 0; i < COUNT; i++) {
			completed += state_of(store, requests[i].id) == JOB_COMPLETED;
		}
	}
	equal(completed, COUNT, "every job is completed though workers are killed at any moment");
}

static void checks(void)
{
	struct store *store = open_store();
	each_job_is_claimed_once(store);
	one_key_is_one_job(store);
	batches_meet(store);
	one_end_wins(store);
	one_takes_over(store);
	killed_workers_lose_nothing(store);
	close_store(store);
}

int main(void)
{
	board = mmap(
	        NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return board == MAP_FAILED ? 2 : contract_run(checks);
}
