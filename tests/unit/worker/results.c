/* Results: stored once, or not at all, when the store is away, refuses, locks or does not answer.
 */
#include "fake.h"

#define MANY_RECORDS "yes '{\"type\":\"entry\"}' | head -n 100000\n"

TEST(locked_row_is_given_up, "a result whose row stays locked is given up before its lease ends")
{
	reset();
	config.jobs = 2;
	struct row *row = submit(SAY_SUMMARY);
	struct row *others[] = {submit(SAY_SUMMARY), submit(SAY_SUMMARY)};
	locked = row;
	is_int(work(), 0, "a worker that meets a locked row ends well");
	ok(locked_calls > 1 && locked_calls < 20, "storing is repeated (%u times)", locked_calls);
	ok(logged("lost: its row is locked"), "the result is given up: %s", log_text);
	ok(lost_at < row->lease_end, "the result is given up before its lease ends");
	is_int(row->finishes, 0, "nothing of it is stored");
	is_int(others[0]->state, JOB_COMPLETED, "another result is stored meanwhile");
	is_int(others[1]->state, JOB_COMPLETED, "a job that was claimed after it is stored");
}

TEST(locked_row_does_not_hide_the_store, "a loss is put down to the store when that goes away")
{
	reset();
	config.mode = WORKER_ONCE;
	locked = submit(SAY_SUMMARY);
	away_at_locked = true;
	is_int(work(), 0, "a worker whose store goes away at a locked row ends well");
	is_int(logged("lost: its row is locked"), 0, "the loss is not put down to the row");
	is_int(logged("lost: the store is unreachable"), 1, "the loss is put down to the store: %s",
	        log_text);
}

TEST(lost_lease_stores_nothing, "a lease that was lost before the end stores nothing")
{
	reset();
	config.mode = WORKER_ONCE;
	steal_at_finish = true;
	struct row *row = submit(MANY_RECORDS SAY_SUMMARY);
	is_int(work(), 0, "a worker whose lease was lost before the end ends well");
	is_int(row->finishes, 0, "nothing of it is stored");
	is_int(counts.lost, 1, "the loss is counted");
	ok(rmdir(spool_dir) == 0, "no file is left in the spool");
}

TEST(short_outage_stops_no_child, "a store that is unreachable for a moment does not stop a child")
{
	reset();
	away_after_claim = 400;
	struct row *row = submit("sleep 0.7\n" SAY_SUMMARY);
	is_int(work(), 0, "a worker whose store is unreachable for a moment ends well");
	is_int(row->state, JOB_COMPLETED, "the child goes on");
	is_int(logged("the store is unreachable"), 1,
	        "one line says that the store is unreachable");
	is_int(logged("the store is available again"), 1, "one line says that it is back");
}

TEST(result_waits_for_the_store, "a result waits for a store that is unreachable")
{
	reset();
	config.lease_ms = 4000;
	away_at_finish = 1500;
	struct row *row = submit(SAY_SUMMARY);
	is_int(work(), 0, "a worker whose store is unreachable at the end of a job ends well");
	is_int(row->state, JOB_COMPLETED, "the store gets the result later");
}

TEST(drain_waits_for_a_lease, "--drain with a result waits for the store as long as a lease")
{
	reset();
	config.lease_ms = 2000;
	away_at_finish = 3600000;
	struct row *row = submit(SAY_SUMMARY);
	uint64_t began = now_ms();
	is_int(work(), VEGA_UNAVAILABLE, "--drain ends as the store cannot be reached");
	ok(now_ms() - began < 2 * 2000, "--drain waits for a lease (%lld ms)",
	        (long long)(now_ms() - began));
	is_int(row->finishes, 0, "the result is not stored");
	is_int(counts.lost, 1, "the result is counted as lost");
}

TEST(drain_needs_the_store_first, "--drain does not wait for a store that it never reached")
{
	reset();
	unavailable = 1;
	is_int(work(), VEGA_UNAVAILABLE, "--drain ends as the store was never reached");
}

TEST(worker_for_ever_waits, "a worker for ever waits for a store that it never reached")
{
	reset();
	config.mode = WORKER_FOREVER;
	unavailable = 4;
	struct row *row = submit("trap '' TERM; kill -TERM $PPID\n" SAY_SUMMARY);
	is_int(work(), 0, "a worker for ever waits");
	is_int(row->state, JOB_COMPLETED, "the worker works when the store is there");
	is_int(opens, 5, "the store is opened until it is there");
}

/* While it ends a job. */
TEST(refusing_store_gets_results_later, "a store that refuses everything gets results later")
{
	reset();
	config.mode = WORKER_FOREVER;
	config.lease_ms = 4000;
	refuse_until = now_ms() + 1000;
	struct row *row = submit("trap '' TERM; kill -TERM $PPID\n" SAY_SUMMARY);
	is_int(work(), 0, "a worker whose store refuses everything for a while ends well");
	is_int(row->state, JOB_COMPLETED, "the store gets the result later");
	is_int(row->finishes, 1, "the result is stored once");
	is_int(counts.lost + counts.retried, 0, "the result is not thrown away");
	is_int(logged("the store rejects requests, retrying: there is no schema"), 1,
	        "one line says that the store refuses");
}

TEST(refusing_store_does_not_keep_a_worker, "a second signal ends a worker while the store refuses")
{
	reset();
	config.mode = WORKER_FOREVER;
	config.lease_ms = 4000;
	refuse_until = now_ms() + 3600000;
	submit("trap '' TERM; kill -INT $PPID; kill -TERM $PPID\n" SAY_SUMMARY);
	uint64_t began = now_ms();
	is_int(work(), 0, "a second signal while the store refuses ends the worker");
	ok(now_ms() - began < 3000, "the worker waits for nobody");
	is_int(counts.lost, 1, "the worker lets go of the job");
}

/* The job has ended, so that a heartbeat finds no lease; only finish() can tell why. */
TEST(unanswered_result_is_asked_for, "a result whose storing is not answered is stored once")
{
	reset();
	forget_finish = 600;
	struct row *row = submit(MANY_RECORDS SAY_SUMMARY);
	is_int(work(), 0, "a worker whose result is stored without an answer ends well");
	is_int(row->state, JOB_COMPLETED, "the result is stored");
	is_int(row->finishes, 1, "the result is stored once");
	is_int(counts.completed, 1, "the worker learns that it is stored");
	is_int(counts.lost, 0, "the worker does not take its lease for lost");
	ok(take_spooled(row), "the records are there");
}

TEST(unanswered_result_keeps_its_records, "records stay when their result may be stored")
{
	reset();
	forget_finish = 3600000;
	struct row *row = submit(MANY_RECORDS SAY_SUMMARY);
	is_int(work(), VEGA_UNAVAILABLE, "a worker that never learns of its result ends");
	is_int(row->state, JOB_COMPLETED, "the result is stored");
	ok(take_spooled(row), "the records are there");
}

TEST(unanswered_result_may_be_refused, "a result that is refused when repeated keeps its records")
{
	reset();
	forget_finish = 300;
	refuse_finish = true;
	struct row *row = submit(MANY_RECORDS SAY_SUMMARY);
	is_int(work(), 0, "a worker that is refused when it asks again ends well");
	is_int(row->state, JOB_COMPLETED, "the result is stored");
	ok(take_spooled(row), "the records are there");
}

TEST(refused_result_fails_the_attempt, "a result that the store refuses is a failed attempt")
{
	reset();
	refuse_summary = "summary";
	struct row *row = submit(MANY_RECORDS SAY_SUMMARY);
	is_int(work(), 0, "a worker whose result is refused ends well");
	is_int(row->state, JOB_FAILED, "the attempt has failed");
	is_str(row->error, "what summary is this", "the job says why");
	ok(rmdir(spool_dir) == 0, "no file is left in the spool");
}

TEST(results_are_stored_together, "results that wait are stored in one call, and judged one by one")
{
	for (int odd = 0; odd < 2; odd++) {
		reset();
		config.jobs = 3;
		finish_least = 3;
		refuse_summary = odd ? "odd" : NULL;
		struct row *good = submit(SAY_SUMMARY), *bad = submit("exit 7\n");
		struct row *other =
		        submit("echo '{\"type\":\"summary\",\"complete\":true,\"odd\":1}'\n");
		is_int(work(), 0, "a worker with three results for one call ends well");
		is_int(good->state, JOB_COMPLETED, "the good one is completed");
		is_int(bad->state, JOB_FAILED, "the one whose child failed has failed");
		is_int(other->state, odd ? JOB_FAILED : JOB_COMPLETED,
		        "the third one is as the store says");
		is_int(good->finishes + bad->finishes + other->finishes, 3, "each is stored once");
		is_int(finish_calls, odd ? 5 : 1,
		        odd ? "each is asked about by itself" : "one call stores all");
	}
}

/* A result that is refused does not have the others wait for it. */
TEST(refused_result_delays_no_other, "a refused result among many is found before others begin")
{
	reset();
	config.jobs = 3;
	finish_least = 3;
	refuse_summary = "odd";
	submit(SAY_SUMMARY);
	submit(SAY_SUMMARY);
	struct row *bad = submit("echo '{\"type\":\"summary\",\"complete\":true,\"odd\":1}'\n");
	for (int i = 0; i < 20; i++) {
		submit(SAY_SUMMARY);
	}
	is_int(work(), 0, "a worker with one refused result among many ends well");
	is_int(bad->state, JOB_FAILED, "the refused one is found");
	is_int(claimed_before_failure, 0, "the refused one is found before others are begun");
	is_int(counts.completed, 22, "all others are done");
}

WORKER_TESTS(SOURCE_SPEC)
