/* Leases: renewed while a child runs; a child ends before its lease does, whatever the store does.
 */
#include "fake.h"

TEST(progress_reaches_the_store, "a heartbeat carries progress, and brings back a cancellation")
{
	reset();
	struct row *row =
	        submit("i=0; while :; do i=$((i+1))\n"
	               "echo '{\"type\":\"progress\",\"entries\":'$i'}'; sleep 0.05; done\n");
	row->cancel = true;
	is_int(work(), 0, "a worker with a cancelled job ends well");
	is_int(row->state, JOB_CANCELLED, "the job is cancelled");
	is_int(row->exit_code, 143, "its child is ended by SIGTERM");
	ok(row->progress && strstr(row->progress, "\"entries\":"), "its progress is stored: %s",
	        row->progress);
	is_int(counts.cancelled, 1, "the job is counted");
}

TEST(cancelled_child_is_killed, "a cancelled child that ignores SIGTERM is killed after 5 s")
{
	reset();
	struct row *row = submit("trap '' TERM; while :; do sleep 0.1; done\n");
	row->cancel = true;
	uint64_t began = now_ms();
	is_int(work(), 0, "a worker with a child that ignores SIGTERM ends well");
	uint64_t took = now_ms() - began;
	is_int(row->state, JOB_CANCELLED, "the job is cancelled");
	is_int(row->exit_code, 137, "its child is ended by SIGKILL");
	ok(took >= 5000 && took < 7500, "its child is killed after 5 s (%llu ms)",
	        (unsigned long long)took);
}

TEST(refused_progress_costs_no_lease, "progress that the store refuses does not cost the lease")
{
	reset();
	refuse_progress = true;
	struct row *row =
	        submit("echo '{\"type\":\"progress\",\"odd\":1}'; sleep 0.8\n" SAY_SUMMARY);
	is_int(work(), 0, "a worker whose progress is refused ends well");
	is_int(row->state, JOB_COMPLETED, "progress that is refused does not cost the lease");
	ok(logged("rejected a heartbeat") > 0, "the refusal is logged");
}

TEST(lost_lease_stops_the_child, "a lease that another worker took over stops the child")
{
	reset();
	config.mode = WORKER_ONCE;
	steal_at_beat = true;
	struct row *row = submit("exec sleep 100\n");
	is_int(work(), 0, "a worker whose lease was taken over ends well");
	is_int(row->finishes, 0, "nothing of a lost attempt is stored");
	is_int(beats, 1, "the child ends at the first heartbeat that says so");
	is_int(counts.lost, 1, "the loss is counted");
	ok(logged("lost: its lease was taken over") == 1, "the loss is logged: %s", log_text);
}

TEST(locked_lease_ends_the_child, "a lease that cannot be renewed ends its child before it ends")
{
	reset();
	config.mode = WORKER_ONCE;
	locked_at_beat = true;
	struct row *row = submit("exec sleep 100\n");
	uint64_t began = now_ms();
	is_int(work(), 0, "a worker whose job's row is locked ends well");
	is_int(row->finishes, 0, "nothing of it is stored");
	ok(beats > 1, "the heartbeat is repeated");
	ok(logged("lost: its lease could not be renewed in time") == 1, "the job is given up: %s",
	        log_text);
	ok(lost_at < row->lease_end && lost_at - began < 1000,
	        "it is given up before its lease ends");
}

TEST(unreachable_store_ends_the_child,
        "a store away for longer than a lease ends the child in time")
{
	reset();
	config.mode = WORKER_ONCE;
	config.lease_ms = 2000;
	away_after_claim = 10000;
	struct row *row = submit("exec sleep 100\n");
	uint64_t began = now_ms();
	is_int(work(), 0,
	        "a worker whose store is unreachable for longer than the lease ends well");
	is_int(row->finishes, 0, "the store gets no result");
	ok(lost_at >= began + 1400 && lost_at < row->lease_end,
	        "the child ends before its lease does (%lld ms)", (long long)(lost_at - began));
	is_int(logged("the store is unreachable"), 1,
	        "one line says that the store is unreachable");
}

TEST(late_heartbeat_releases_the_job, "a heartbeat answered after the deadline costs no attempt")
{
	char script[256];
	reset();
	config.lease_ms = 2000;
	late_beat = true;
	snprintf(script, sizeof script, "[ -e %s ] || { echo >%s; exec sleep 100; }\n" SAY_SUMMARY,
	        traces, traces);
	struct row *row = submit(script);
	is_int(work(), 0, "a worker whose heartbeat is answered too late for its child ends well");
	ok(unlink(traces) == 0, "the child had begun");
	is_int(counts.released, 1, "the job is given back");
	is_int(row->state, JOB_COMPLETED, "the job is done later");
	is_int(row->attempt, 1, "the job loses no attempt");
}

static void test_stuck_at(uint64_t *where)
{
	char script[512];
	reset();
	config.lease_ms = 1200;
	*where = 400;
	snprintf(script, sizeof script,
	        "[ -e %s ] || while echo >>%s; do sleep 0.02; done\n" SAY_SUMMARY, traces, traces);
	struct row *row = submit(script);
	is_int(work(), 0, "a worker whose store call outlasts a lease ends well");
	ok(!works_on && unlink(traces) == 0, "the child does not work on after its lease");
	is_int(counts.lost, 1, "the attempt is lost");
	is_int(row->finishes, 1, "nothing of the lost attempt is stored");
	is_int(row->attempt, 2, "the next attempt has the result");
}

TEST(stuck_heartbeat_ends_the_child, "a heartbeat that outlasts the lease does not keep the child")
{
	test_stuck_at(&stuck_at_beat);
}

TEST(stuck_wait_ends_the_child, "a wait on the store that outlasts the lease does not keep it")
{
	test_stuck_at(&stuck_at_wait); /* the first after its start */
}

WORKER_TESTS(SOURCE_SPEC)
