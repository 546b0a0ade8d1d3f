/* Claiming: how many jobs at a time, when to ask again, and when there is nothing left to do. */
#include "fake.h"

TEST(drain_waits_for_retries, "--drain waits for retries, and not for jobs of later")
{
	reset();
	retry_delay = 300;
	struct row *row = submit("exit 9\n");
	row->max_attempts = 3;
	struct row *later = submit(SAY_SUMMARY);
	later->due = now_ms() + 3600000;
	is_int(work(), 0, "--drain ends well");
	is_int(row->attempt, 3, "--drain waits for retries");
	is_int(row->state, JOB_FAILED, "--drain goes on until the job has failed");
	is_int(counts.retried, 2, "retries are counted");
	is_int(counts.failed, 1, "failures are counted");
	is_int(later->state, JOB_PENDING, "--drain does not wait for a job that is scheduled");
}

TEST(jobs_run_as_many_at_a_time, "as many jobs as --jobs run at a time, each once")
{
	reset();
	config.jobs = 4;
	for (int i = 0; i < 20; i++) {
		submit("sleep 0.1; echo '{\"type\":\"entry\"}'\n" SAY_SUMMARY);
	}
	is_int(work(), 0, "a worker with 20 jobs, 4 at a time, ends well");
	is_int(counts.completed, 20, "all jobs are completed");
	is_int(most_processing, 4, "no more than 4 jobs run at once");
	ok(claimed_with_finish >= 12, "most jobs are claimed as others end");
	bool once = true;
	for (int i = 0; i < 20; i++) {
		once = once && rows[i].finishes == 1 && rows[i].attempt == 1;
	}
	ok(once, "each job runs once");
}

TEST(once_is_one_job, "--once takes one job, however many may run at a time")
{
	reset();
	config.mode = WORKER_ONCE;
	config.jobs = 4;
	submit(SAY_SUMMARY);
	submit(SAY_SUMMARY);
	is_int(work(), 0, "--once ends well");
	is_int(counts.completed, 1, "--once completes one job");
	is_int(rows[1].state, JOB_PENDING, "--once leaves the second job");
}

TEST(once_ends_without_a_job, "--once ends when there is nothing to do")
{
	reset();
	config.mode = WORKER_ONCE;
	is_int(work(), 0, "--once with nothing to do ends well");
}

TEST(empty_claims_become_rare, "claims of a row that stays locked become rare")
{
	reset();
	config.mode = WORKER_FOREVER;
	vain_until = now_ms() + 2000;
	is_int(work(), 0, "a worker that finds nothing, though something is due, ends well");
	ok(vain_claims >= 4 && vain_claims < 12, "claims become rare (%u in 2 s)", vain_claims);
}

TEST(late_claim_is_released, "a claim that is answered too late is given back, and costs nothing")
{
	reset();
	config.lease_ms = 1000;
	slow_claim = 800;
	struct row *row = submit(SAY_SUMMARY);
	is_int(work(), 0,
	        "a worker whose claim is answered when its lease is nearly over ends well");
	is_int(counts.released, 1, "the job is given back");
	is_int(row->state, JOB_COMPLETED, "the job is done later");
	is_int(row->attempt, 1, "the job loses no attempt");
}

/* A schema that is restored, a role that is granted again. */
TEST(refused_claims_are_repeated, "a worker that has claimed before outlives refused claims")
{
	reset();
	config.mode = WORKER_FOREVER;
	config.lease_ms = 1000;
	config.jobs = 2;
	refused_after_claim = 3;
	submit("sleep 1.5\n" SAY_SUMMARY); /* with heartbeats meanwhile */
	struct row *row = submit("trap '' TERM; kill -TERM $PPID\n" SAY_SUMMARY);
	row->due = now_ms() + 200;
	is_int(work(), 0, "a worker for ever outlives claims that the store refuses");
	is_int(row->state, JOB_COMPLETED, "the worker works again when claims are accepted");
	is_int(counts.completed, 2, "the worker goes on meanwhile with the job that it has");
	is_int(logged("the store rejects claims, retrying: a damaged row"), 1,
	        "one line says that claims are refused");
	is_int(logged("the store accepts claims again"), 1, "one line says that it is over");
	is_int(logged("the store is available again"), 0,
	        "no line says that the store is available again");
}

TEST(first_claim_refused_ends_the_worker, "a worker whose first claim is refused ends")
{
	reset();
	config.mode = WORKER_FOREVER;
	refuse_claims = 1;
	is_int(work(), VEGA_FATAL, "a worker whose first claim is refused fails");
}

/* A result is not to blame when it is the claim that fails. */
TEST(failing_claim_spares_the_result, "a claim that fails does not cost the result sent with it")
{
	reset();
	damaged = true;
	struct row *row = submit("yes '{\"type\":\"entry\"}' | head -n 100000\n" SAY_SUMMARY);
	submit(SAY_SUMMARY);
	is_int(work(), VEGA_FATAL, "a worker whose store can give no job fails");
	is_int(row->state, JOB_COMPLETED, "the result of the last job is kept");
	ok(take_spooled(row), "its records are kept");
}

WORKER_TESTS(SOURCE_SPEC)
