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
		equal(job.state, JOB_PROCESSING, "a committed job stays PROCESSING");
		equal(job.committed_seq, lease.lease_seq,
		        "a committed job has the lease of its commit");
		check(job.summary && strstr(job.summary, "7"), "a committed job has its summary");
		same(job.records, result.records, "a committed job has its records");
		same(job.stderr_tail, "of the walk", "a committed job has the end of its stderr");
		job_release(&job);
	}
	equal(D(store)->heartbeat(store, "w", &lease, 1, 60000, &err), 0,
	        "a heartbeat succeeds after a commit");
	check(!lease.lost && !lease.cancel, "the lease is held after a commit");
	enum job_state state = JOB_PENDING;
	equal(finish_as(store, &lease, STORE_COMPLETED, &state), 0,
	        "finish succeeds after a commit");
	equal(state, JOB_COMPLETED, "finish completes a committed job");
	struct job job = get(store, r.id);
	check(job.summary && strstr(job.summary, "7"), "the result is that of the commit");
	same(job.records, result.records, "the records are those of the commit");
	same(job.stderr_tail, "of the walk",
	        "the stderr is that of the commit, unless finish has another");
	job_release(&job);
	equal(commit(store, &lease), VEGA_LEASE_LOST, "an ended job cannot be committed");
}

static void commit_is_fenced(struct store *store)
{
	struct store_request r = submit_to(store, "fence");
	struct store_lease lease = take(store, "fence"), wrong = lease;
	wrong.lease_seq++;
	equal(commit(store, &wrong), VEGA_LEASE_LOST, "a commit with a wrong lease is rejected");
	wrong.lease_seq = 0;
	equal(commit(store, &wrong), VEGA_LEASE_LOST, "a commit without a lease is rejected");
	uuid7(wrong.id);
	wrong.lease_seq = 1;
	equal(commit(store, &wrong), VEGA_LEASE_LOST, "a commit of a missing job is rejected");
	struct job job = get(store, r.id);
	check(job.committed_seq == 0 && !job.summary, "a rejected commit stores nothing");
	job_release(&job);
	finish_as(store, &lease, STORE_RELEASED, NULL);
	equal(commit(store, &lease), VEGA_LEASE_LOST, "a commit of a released job is rejected");
	struct store_lease second = take_for(store, "fence", 1);
	check(becomes_due(store, "fence"), "the next lease expires");
	struct store_lease third = take(store, "fence");
	equal(commit(store, &second), VEGA_LEASE_LOST,
	        "a commit after another worker took over is rejected");
	equal(commit(store, &third), 0, "the new worker's commit succeeds");
	equal(commit(store, &second), VEGA_LEASE_LOST, "the old worker's commit stays rejected");
	finish_as(store, &third, STORE_COMPLETED, NULL);
}

static void cancel_or_commit(struct store *store)
{
	enum job_state state = JOB_STATES;
	struct store_request r = submit_to(store, "cancel");
	struct store_lease lease = take(store, "cancel");
	equal(D(store)->cancel(store, r.id, &state, &err), 0,
	        "a job is cancelled before its commit");
	equal(commit(store, &lease), VEGA_NO, "a commit after a cancellation is rejected");
	struct job job = get(store, r.id);
	check(job.committed_seq == 0 && !job.summary,
	        "a commit after a cancellation stores nothing");
	job_release(&job);
	finish_as(store, &lease, STORE_CANCELLED, &state);
	equal(state, JOB_CANCELLED, "a job cancelled before its commit is CANCELLED");

	r = submit_to(store, "cancel");
	lease = take(store, "cancel");
	equal(commit(store, &lease), 0, "a job is committed before a cancellation");
	equal(D(store)->cancel(store, r.id, &state, &err), VEGA_NO,
	        "a cancellation after the commit is rejected");
	check(strstr(err.text, r.id) && strstr(err.text, "too late"),
	        "a rejected cancellation says that it is too late");
	job = get(store, r.id);
	check(!job.cancel_requested && job.state == JOB_PROCESSING,
	        "a rejected cancellation changes nothing");
	job_release(&job);
	finish_as(store, &lease, STORE_RELEASED, &state);
	equal(state, JOB_PENDING, "a committed job is released");
	equal(D(store)->cancel(store, r.id, &state, &err), VEGA_NO,
	        "a cancellation of a released, committed job is rejected");
	equal(state_of(store, r.id), JOB_PENDING, "a released, committed job stays PENDING");
	lease = take(store, "cancel");
	finish_as(store, &lease, STORE_COMPLETED, NULL);
	equal(D(store)->cancel(store, r.id, &state, &err), 0,
	        "a cancellation of an ended job succeeds");
	equal(state, JOB_COMPLETED, "a cancellation of an ended job says how it ended");
}

static void only_completion_is_left(struct store *store)
{
	static const enum store_outcome outcomes[] = {
	        STORE_FAILED, STORE_RETRY, STORE_CANCELLED, STORE_RELEASED};
	enum job_state state = JOB_STATES;
	struct store_request r = submit_once(store, "only");
	struct store_lease lease = take(store, "only");
	struct job job;
	equal(commit(store, &lease), 0, "a job is committed in its only attempt");
	for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
		struct store_result bad = {
		        .outcome = outcomes[i], .error = "full", .summary = "{\"other\":1}"};
		equal(finish_one(store, &lease, &bad, &state), 0,
		        "a committed job gets another ending");
		equal(state, JOB_PENDING, "a committed job stays PENDING after another ending");
		uint64_t due = 0;
		equal(D(store)->next_due(store, NULL, 60000, &due, &err), 0,
		        "next_due knows a committed job");
		check((due > 0) == (outcomes[i] != STORE_RELEASED),
		        "a committed job is due later, unless it was released");
		check(becomes_due(store, "only"), "a committed job becomes due again");
		equal(claim(store, "w", "only", 1, 60000, &job), 1,
		        "a committed job is claimed again");
		equal(job.committed_seq, 1, "a committed job keeps the lease of its commit");
		lease.lease_seq = job.lease_seq;
		job_release(&job);
	}
	equal(commit(store, &lease), VEGA_LEASE_LOST, "a second commit is rejected");
	struct store_result end = {.outcome = STORE_COMPLETED,
	        .error = "1 file could not be published",
	        .stderr_tail = "of publishing",
	        .exit_code = 3};
	equal(finish_one(store, &lease, &end, &state), 0,
	        "finish completes a job that was claimed again");
	equal(state, JOB_COMPLETED, "a committed job is COMPLETED in the end");
	job = get(store, r.id);
	check(job.summary && strstr(job.summary, "7"), "a committed job keeps its summary");
	same(job.records, result.records, "a committed job keeps its records");
	equal(job.exit_code, 3, "a committed job gets the exit code of publishing");
	same(job.stderr_tail, "of publishing", "a committed job gets the stderr of publishing");
	same(job.error, end.error, "a committed job gets the error of publishing");
	job_release(&job);
}

static void the_lost_are_taken_over(struct store *store)
{
	struct store_request r = submit_once(store, "lost");
	struct store_lease lease = take_for(store, "lost", 1);
	struct job job;
	equal(commit(store, &lease), 0, "a job is committed before its worker is lost");
	for (uint64_t seq = 2; seq < 5; seq++) {
		check(becomes_due(store, "lost"), "the lease of a committed job expires");
		equal(claim(store, "w", "lost", 1, seq < 4 ? 1 : 60000, &job), 1,
		        "a committed job is claimed beyond its attempts");
		equal(job.lease_seq, seq, "a committed job is claimed with a new lease");
		equal(job.committed_seq, 1, "a committed job that is claimed has its commit");
		lease.lease_seq = job.lease_seq;
		job_release(&job);
	}
	equal(finish_as(store, &lease, STORE_COMPLETED, NULL), 0,
	        "finish completes a job of a lost worker");
	equal(state_of(store, r.id), JOB_COMPLETED,
	        "a committed job of a lost worker is COMPLETED");
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
	equal(once, ROUNDS, "one of a commit and a cancellation at once is rejected");
	equal(agreed, ROUNDS, "the rejected one of a commit and a cancellation leaves nothing");
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
