/* Ending early: signals to the worker, limits of a job, a worker that is stopped or killed. */
#include "fake.h"

#define DEAF_AND_ENDING \
	"trap '' TERM; kill -INT $PPID; kill -TERM $PPID; while :; do sleep 1; done\n"

TEST(signal_releases_the_job, "SIGTERM releases the running job and claims no other")
{
	reset();
	config.mode = WORKER_FOREVER;
	struct row *row = submit("kill -TERM $PPID; exec sleep 100\n");
	struct row *waiting = submit(SAY_SUMMARY);
	is_int(work(), 0, "a worker that gets SIGTERM ends well");
	is_int(signal_seen, SIGTERM, "the signal is reported");
	is_int(row->state, JOB_PENDING, "a running job is released");
	is_int(row->attempt, 0, "its attempt is not counted");
	is_int(waiting->lease_seq, 0, "no further job is claimed");
	is_int(counts.released, 1, "one job is counted as released");
}

TEST(second_signal_waits_for_nobody,
        "a second signal ends the worker at once, and releases the job")
{
	reset();
	config.mode = WORKER_FOREVER;
	struct row *row = submit(DEAF_AND_ENDING);
	uint64_t began = now_ms();
	is_int(work(), 0, "a worker that gets a second signal ends well");
	ok(now_ms() - began < 4000, "the child is not waited for");
	is_int(row->state, JOB_PENDING, "the job is still released");
}

TEST(second_signal_does_not_wait_for_the_store, "a second signal does not wait for a store away")
{
	reset();
	config.mode = WORKER_FOREVER;
	config.lease_ms = 20000;
	away_at_finish = 3600000;
	struct row *row = submit(DEAF_AND_ENDING);
	uint64_t began = now_ms();
	is_int(work(), 0, "a second signal while the store is unreachable ends the worker");
	ok(now_ms() - began < 4000, "the store is not waited for");
	is_int(row->finishes, 0, "the lease is left to end by itself");
}

TEST(ignored_signal_stays_ignored, "SIGHUP changes nothing under nohup")
{
	reset();
	signal(SIGHUP, SIG_IGN);
	struct row *row = submit("kill -HUP $PPID\n" SAY_SUMMARY);
	is_int(work(), 0, "a worker under nohup ends well");
	is_int(row->state, JOB_COMPLETED, "SIGHUP does not end the job");
	is_int(signal_seen, 0, "SIGHUP is not reported");
	signal(SIGHUP, SIG_DFL);
}

TEST(time_limit_fails_the_job, "a job that runs longer than it may fails in its first attempt")
{
	reset();
	struct row *row = submit("exec sleep 100\n");
	row->max_attempts = 3;
	row->limits.timeout_ms = 300;
	uint64_t began = now_ms();
	is_int(work(), 0, "a worker with a job that runs too long ends well");
	ok(now_ms() - began < 5000, "the job is ended");
	is_int(row->state, JOB_FAILED, "the job has failed for good");
	is_int(row->attempt, 1, "the job has failed in its first attempt");
	is_str(row->error, "it ran longer than --max-time 300ms", "the job says why");
	is_int(row->exit_code, 143, "its child is ended by SIGTERM");
}

TEST(time_limit_beats_a_late_summary, "a job that is done after its time has failed")
{
	reset();
	struct row *row = submit("trap 'sleep 0.1; echo \"$end\"; exit 0' TERM; end='" SUMMARY
	                         "'; while :; do sleep 0.05; done\n");
	row->limits.timeout_ms = 100;
	work();
	is_int(row->state, JOB_FAILED, "a job that is done after its time has failed");
}

TEST(lower_limit_reaches_the_child, "a child is told the lower limit of its job and its worker")
{
	reset();
	struct row *row = submit("echo args: \"$@\" >&2\n" SAY_SUMMARY);
	row->limits = (struct job_limits){.timeout_ms = 3600000, .memory_bytes = 99999999};
	config.limits = (struct job_limits){.memory_bytes = 88888888, .output_bytes = 77777777};
	is_int(work(), 0, "a worker with limits ends well");
	is_int(row->state, JOB_COMPLETED, "a job that keeps its limits is completed");
	ok(strstr(row->tail, " --max-memory=88888888 --max-output=77777777\n") != NULL,
	        "a child is told the lower of both limits: %s", row->tail);
}

/* A worker in a process of its own; its output is not ours. */
static pid_t fork_worker(int (*then)(void))
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		int code = work();
		_exit(code ? 99 : then());
	}
	return pid;
}

static int lost_once(void)
{
	return rows[0].finishes == 0 && counts.lost == 1 ? 0 : 1;
}

TEST(stopped_worker_stores_nothing, "a worker that was stopped past its lease stores nothing")
{
	int status;
	reset();
	config.mode = WORKER_ONCE;
	submit("kill -STOP $PPID\n" SAY_SUMMARY);
	pid_t pid = fork_worker(lost_once);
	ok(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status), "a worker is stopped");
	usleep(1100 * 1000); /* its lease */
	kill(pid, SIGCONT);
	ok(waitpid(pid, &status, 0) == pid && WIFEXITED(status),
	        "a worker that goes on after its lease ends");
	is_int(WEXITSTATUS(status), 0, "a worker that goes on after its lease stores nothing");
}

static int nothing(void)
{
	return 0;
}

TEST(killed_worker_takes_its_child_along, "a child dies with its worker")
{
	int status;
	struct buf text = BUF_INIT;
	reset();
	config.mode = WORKER_ONCE;
	submit("echo $$ > \"$TMPDIR/new\"; mv \"$TMPDIR/new\" \"$TMPDIR/pid\"; exec sleep 100\n");
	pid_t pid = fork_worker(nothing);
	snprintf(file, sizeof file, "%s/pid", directory);
	uint64_t deadline = now_ms() + 20000;
	while (access(file, R_OK) != 0 && now_ms() < deadline) {
		usleep(5000);
	}
	ok(file_read_all(file, &text, NULL) == 0, "a child has begun");
	pid_t child = atoi(buf_cstr(&text));
	ok(child > 0 && kill(child, 0) == 0, "the child lives");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	while (kill(child, 0) == 0 && now_ms() < deadline) {
		usleep(5000);
	}
	ok(kill(child, 0) != 0 && errno == ESRCH, "the child dies with its worker");
	unlink(file);
	buf_release(&text);
}

WORKER_TESTS(SOURCE_SPEC)
