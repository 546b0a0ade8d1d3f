/* The promises of commit(): from then on the job can only become COMPLETED, by whoever holds it. */
#include "contract.h"

#define D(store) (store)->driver

static struct vega_error err;

static const struct store_result result = {.outcome = STORE_COMPLETED,
        .summary = "{\"written\":7}",
        .records = "{\"a\":1}\n",
        .records_size = 8,
        .records_digest = "xxh128:00",
        .stderr_tail = "of the walk"};

static int commit(struct store *store, const struct store_lease *lease)
{
	return D(store)->commit(store, lease, &result, &err);
}

static struct store_request submit_once(struct store *store, const char *queue)
{
	struct store_request r = request(queue);
	r.max_attempts = 1;
	submit(store, &r);
	return r;
}

static void commit_stores_the_result(struct store *store)
{
	struct store_request r = submit_to(store, "commit");
	struct store_lease lease = take(store, "commit");
	for (int i = 0; i < 2; i++) {
		equal(commit(store, &lease), 0, i ? "again, as after a lost reply" : "commit");
		struct job job = get(store, r.id);
		equal(job.state, JOB_PROCESSING, "it goes on");
		equal(job.committed_seq, lease.lease_seq, "committed by this lease");
		check(job.summary && strstr(job.summary, "7"), "with the summary");
		same(job.records, result.records, "the records");
		same(job.stderr_tail, "of the walk", "and the last words");
		job_release(&job);
	}
	equal(D(store)->heartbeat(store, "w", &lease, 1, 60000, &err), 0, "heartbeat");
	check(!lease.lost && !lease.cancel, "the lease is held as before");
	enum job_state state = JOB_PENDING;
	equal(finish_as(store, &lease, STORE_COMPLETED, &state), 0, "finish");
	equal(state, JOB_COMPLETED, "COMPLETED");
	struct job job = get(store, r.id);
	check(job.summary && strstr(job.summary, "7"), "the result is that of the commit");
	same(job.records, result.records, "all of it");
	same(job.stderr_tail, "of the walk", "where finish says nothing else");
	job_release(&job);
	equal(commit(store, &lease), VEGA_LEASE_LOST, "what has ended is not committed");
}

static void commit_is_fenced(struct store *store)
{
	struct store_request r = submit_to(store, "fence");
	struct store_lease lease = take(store, "fence"), wrong = lease;
	wrong.lease_seq++;
	equal(commit(store, &wrong), VEGA_LEASE_LOST, "wrong lease");
	wrong.lease_seq = 0;
	equal(commit(store, &wrong), VEGA_LEASE_LOST, "no lease");
	uuid7(wrong.id);
	wrong.lease_seq = 1;
	equal(commit(store, &wrong), VEGA_LEASE_LOST, "no job");
	struct job job = get(store, r.id);
	check(job.committed_seq == 0 && !job.summary, "nothing was stored");
	job_release(&job);
	finish_as(store, &lease, STORE_RELEASED, NULL);
	equal(commit(store, &lease), VEGA_LEASE_LOST, "nor is one that was given back");
	struct store_lease second = take_for(store, "fence", 1);
	check(becomes_due(store, "fence"), "the next lease expires");
	struct store_lease third = take(store, "fence");
	equal(commit(store, &second), VEGA_LEASE_LOST, "and is taken over before the commit");
	equal(commit(store, &third), 0, "by one that commits");
	equal(commit(store, &second), VEGA_LEASE_LOST, "which changes nothing for the other");
	finish_as(store, &third, STORE_COMPLETED, NULL);
}

static void cancel_or_commit(struct store *store)
{
	enum job_state state = JOB_STATES;
	struct store_request r = submit_to(store, "cancel");
	struct store_lease lease = take(store, "cancel");
	equal(D(store)->cancel(store, r.id, &state, &err), 0, "cancel before the commit");
	equal(commit(store, &lease), VEGA_NO, "which is then refused");
	struct job job = get(store, r.id);
	check(job.committed_seq == 0 && !job.summary, "and stores nothing");
	job_release(&job);
	finish_as(store, &lease, STORE_CANCELLED, &state);
	equal(state, JOB_CANCELLED, "CANCELLED");

	r = submit_to(store, "cancel");
	lease = take(store, "cancel");
	equal(commit(store, &lease), 0, "commit");
	equal(D(store)->cancel(store, r.id, &state, &err), VEGA_NO, "then it is too late");
	check(strstr(err.text, r.id) && strstr(err.text, "too late"), "as cancel says");
	job = get(store, r.id);
	check(!job.cancel_requested && job.state == JOB_PROCESSING, "and nothing was asked");
	job_release(&job);
	finish_as(store, &lease, STORE_RELEASED, &state);
	equal(state, JOB_PENDING, "released");
	equal(D(store)->cancel(store, r.id, &state, &err), VEGA_NO, "it is still too late");
	equal(state_of(store, r.id), JOB_PENDING, "to keep it from being published");
	lease = take(store, "cancel");
	finish_as(store, &lease, STORE_COMPLETED, NULL);
	equal(D(store)->cancel(store, r.id, &state, &err), 0, "when it has ended");
	equal(state, JOB_COMPLETED, "cancel says how");
}

static void only_completion_is_left(struct store *store)
{
	static const enum store_outcome outcomes[] = {
	        STORE_FAILED, STORE_RETRY, STORE_CANCELLED, STORE_RELEASED};
	enum job_state state = JOB_STATES;
	struct store_request r = submit_once(store, "only");
	struct store_lease lease = take(store, "only");
	struct job job;
	equal(commit(store, &lease), 0, "commit, in the only attempt");
	for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
		struct store_result bad = {
		        .outcome = outcomes[i], .error = "full", .summary = "{\"other\":1}"};
		equal(finish_one(store, &lease, &bad, &state), 0, "another end");
		equal(state, JOB_PENDING, "is none");
		uint64_t due = 0;
		equal(D(store)->next_due(store, NULL, 60000, &due, &err), 0, "when it is due");
		check((due > 0) == (outcomes[i] != STORE_RELEASED),
		        "not at once, unless it was released");
		check(becomes_due(store, "only"), "it is due again");
		equal(claim(store, "w", "only", 1, 60000, &job), 1, "and claimed");
		equal(job.committed_seq, 1, "as committed by the first lease");
		lease.lease_seq = job.lease_seq;
		job_release(&job);
	}
	equal(commit(store, &lease), VEGA_LEASE_LOST, "it is committed once");
	struct store_result end = {.outcome = STORE_COMPLETED,
	        .error = "1 file could not be published",
	        .stderr_tail = "of publishing",
	        .exit_code = 3};
	equal(finish_one(store, &lease, &end, &state), 0, "finish");
	equal(state, JOB_COMPLETED, "COMPLETED in the end");
	job = get(store, r.id);
	check(job.summary && strstr(job.summary, "7"), "with the result that was committed");
	same(job.records, result.records, "and its records");
	equal(job.exit_code, 3, "the exit code of publishing");
	same(job.stderr_tail, "of publishing", "its last words");
	same(job.error, end.error, "and what it could not do");
	job_release(&job);
}

static void the_lost_are_taken_over(struct store *store)
{
	struct store_request r = submit_once(store, "lost");
	struct store_lease lease = take_for(store, "lost", 1);
	struct job job;
	equal(commit(store, &lease), 0, "commit");
	for (uint64_t seq = 2; seq < 5; seq++) {
		check(becomes_due(store, "lost"), "its worker is lost");
		equal(claim(store, "w", "lost", 1, seq < 4 ? 1 : 60000, &job), 1,
		        "it is claimed, whatever the number of attempts");
		equal(job.lease_seq, seq, "with a lease of its own");
		equal(job.committed_seq, 1, "and the commit of the first");
		lease.lease_seq = job.lease_seq;
		job_release(&job);
	}
	equal(finish_as(store, &lease, STORE_COMPLETED, NULL), 0, "finish");
	equal(state_of(store, r.id), JOB_COMPLETED, "COMPLETED");
}

static bool compete(unsigned number, void *context)
{
	const struct store_lease *lease = context;
	struct store *store = open_with(60000);
	int rc = number ? D(store)->cancel(store, lease->id, NULL, &err) : commit(store, lease);
	close_store(store);
	return rc == 0;
}

static void one_of_two_wins(struct store *store)
{
	unsigned once = 0, agreed = 0;
	enum { ROUNDS = 10 };
	for (int round = 0; round < ROUNDS; round++) {
		struct store_request r = submit_to(store, "race");
		struct store_lease lease = take(store, "race");
		once += together(2, compete, &lease) == 1;
		struct job job = get(store, r.id);
		agreed += job.cancel_requested == (job.committed_seq == 0);
		job_release(&job);
		finish_as(store, &lease, STORE_COMPLETED, NULL);
	}
	equal(once, ROUNDS, "commit and cancel at once: one is refused");
	equal(agreed, ROUNDS, "and has left nothing");
}

static void checks(void)
{
	struct store *store = open_store();
	commit_stores_the_result(store);
	commit_is_fenced(store);
	cancel_or_commit(store);
	only_completion_is_left(store);
	the_lost_are_taken_over(store);
	one_of_two_wins(store);
	close_store(store);
}

int main(void)
{
	return contract_run(checks);
}
