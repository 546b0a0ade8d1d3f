/* Jobs that write files: staged by the walk, published after the commit, then cleaned up. */
#include "fake.h"

#define TRANSFORM \
	"{\"v\":1,\"operations\":[\"transform\"],\"roots\":[\"/in\"]," \
	"\"options\":{\"to\":\"gzip\",\"out\":\"/out\"}}"

/* Notes its step and stage in the file "steps", then does as the file of the step says. */
#define STEP_WALK_SCRIPT \
	"#!/bin/bash\nstep=walk\n" \
	"for option; do case $option in\n" \
	"--publish | --discard) step=${option#--} ;; --stage=*) stage=${option##*.} ;; esac; " \
	"done\n" \
	"echo -n \"$step $stage, \" >> $TMPDIR/steps\nsource $TMPDIR/do.$step\n"

/* What the child of a step does. */
static void script(const char *step, const char *text)
{
	snprintf(file, sizeof file, "%s/do.%s", directory, step);
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ok(fd >= 0 && fd_write_all(fd, text, strlen(text)) == 0, "a script for %s is there", step);
	close(fd);
}

/* What was started, for which stage. */
static const char *steps(void)
{
	static char text[256];
	snprintf(file, sizeof file, "%s/steps", directory);
	int fd = open(file, O_RDONLY);
	ssize_t got = read(fd, text, sizeof text - 1);
	text[got < 0 ? 0 : got] = '\0';
	close(fd);
	unlink(file);
	return text;
}

static struct row *stage_job(const char *walking, const char *publishing)
{
	reset();
	script("walk", walking);
	script("publish", publishing);
	script("discard", "exit 0\n");
	return submit(TRANSFORM);
}

TEST(files_are_published_after_the_commit, "a job that writes files is published once committed")
{
	struct row *row = stage_job("echo '{\"type\":\"entry\"}'\n" SAY_SUMMARY, "exit 0\n");
	is_int(work(), 0, "a worker with a job that writes files ends well");
	is_str(steps(), "walk 1, publish 1, discard 1, ",
	        "it is published, then its stage is removed");
	is_int(row->state, JOB_COMPLETED, "the job is completed");
	is_int(row->committed_seq, 1, "the job is committed before");
	is_str(row->summary, SUMMARY, "the summary is that of the walk");
	is_int(row->finishes, 1, "the job is ended once");
	is_int(counts.completed, 1, "the job is counted once");
}

TEST(unpublished_file_makes_it_partial, "a file that cannot be published makes the job partial")
{
	struct row *row =
	        stage_job(SAY_SUMMARY, "echo 'vega-walk: 1 file is in the way' >&2; exit 3\n");
	work();
	is_int(row->state, JOB_COMPLETED,
	        "a job with a file that cannot be published is completed");
	is_int(row->exit_code, 3, "its exit code says that it is partial");
	is_str(row->error, "vega-walk: 1 file is in the way", "the job says why");
	is_str(steps(), "walk 1, publish 1, discard 1, ", "its stage is removed");
}

TEST(partial_walk_stays_partial, "a walk that was partial stays so when all is published")
{
	struct row *row = stage_job(SAY_SUMMARY "exit 3\n", "exit 0\n");
	work();
	is_int(row->exit_code, 3, "a walk that was partial stays so");
	steps();
}

/* An attempt whose stage is yet to be removed makes no room for another one. */
TEST(stage_keeps_its_place, "a job keeps its place until its stage is removed")
{
	stage_job(SAY_SUMMARY, "exit 0\n");
	config.jobs = 2;
	for (int i = 0; i < 9; i++) {
		submit(i % 3 ? TRANSFORM : SAY_SUMMARY);
	}
	is_int(work(), 0, "a worker with jobs that write files, and others, ends well");
	is_int(counts.completed, 10, "all jobs are done");
	is_int(most_processing, 2, "no more than two run at once");
	steps();
}

TEST(time_limit_publishes_nothing, "a walk that runs too long publishes nothing")
{
	struct row *row = stage_job("exec sleep 100\n", "exit 0\n");
	row->limits.timeout_ms = 200;
	work();
	is_int(row->state, JOB_FAILED, "a job whose walk runs too long has failed");
	is_str(steps(), "walk 1, discard 1, ", "nothing is published");
}

TEST(limits_end_with_the_walk, "limits hold for the walk and not for publishing")
{
	struct row *row = stage_job(SAY_SUMMARY, "echo \"$@\" > $TMPDIR/options; sleep 0.5\n");
	row->limits = (struct job_limits){300, 99999999, 77777777};
	work();
	is_int(row->state, JOB_COMPLETED, "publishing may take longer than the walk");
	is_str(steps(), "walk 1, publish 1, discard 1, ", "each step runs once");
	struct buf text = BUF_INIT;
	snprintf(file, sizeof file, "%s/options", directory);
	file_read_all(file, &text, NULL);
	ok(buf_cstr(&text) && text.len && !strstr(text.data, "--max-"),
	        "publishing is under no limit: %s", buf_cstr(&text));
	buf_release(&text);
	unlink(file);
}

TEST(refused_end_publishes_again, "publishing whose end is refused is repeated")
{
	struct row *row =
	        stage_job("yes '{\"type\":\"entry\"}' | head -n 100000\n" SAY_SUMMARY, "exit 0\n");
	refuse_finish = true;
	work();
	is_int(row->state, JOB_COMPLETED, "a job whose end is refused once is completed");
	is_str(steps(), "walk 1, publish 1, publish 1, discard 2, ", "the job is published again");
	ok(take_spooled(row), "the committed records are there");
}

TEST(failed_walk_publishes_nothing, "a walk that fails publishes nothing")
{
	struct row *row = stage_job("exit 1\n", "exit 0\n");
	work();
	is_int(row->state, JOB_FAILED, "a job whose walk fails has failed");
	is_str(steps(), "walk 1, discard 1, ", "nothing is published");
	is_int(row->committed_seq, 0, "the job is not committed");
}

TEST(killed_walk_publishes_nothing, "a walk that is killed after its summary publishes nothing")
{
	stage_job(SAY_SUMMARY "kill -KILL $$\n", "exit 0\n");
	work();
	is_str(steps(), "walk 1, discard 1, ", "nothing is published");
}

TEST(killed_publishing_is_repeated, "publishing that is killed is repeated until it is done")
{
	struct row *row =
	        stage_job(SAY_SUMMARY, "mkdir $TMPDIR/once 2>&- && kill -KILL $$\nexit 0\n");
	work();
	is_int(row->state, JOB_COMPLETED, "a job whose publishing was killed is completed");
	is_str(steps(), "walk 1, publish 1, publish 1, discard 2, ", "publishing is repeated");
	snprintf(file, sizeof file, "%s/once", directory);
	rmdir(file);
}

TEST(stage_left_behind_is_reported, "a stage that cannot be removed is reported")
{
	struct row *row = stage_job(SAY_SUMMARY, "exit 0\n");
	script("discard", "echo 'vega-walk: no' >&2; exit 2\n");
	work();
	is_int(row->state, JOB_COMPLETED, "a job whose stage cannot be removed is completed");
	ok(logged("could not remove its staging directory: vega-walk: no"), "the log says so: %s",
	        log_text);
	steps();
}

TEST(refused_result_publishes_nothing, "a result that the store refuses publishes nothing")
{
	struct row *row = stage_job(SAY_SUMMARY, "exit 0\n");
	refuse_summary = "summary";
	work();
	is_int(row->state, JOB_FAILED, "a job whose result is refused has failed");
	is_str(steps(), "walk 1, discard 1, ", "nothing is published");
}

TEST(cancelled_before_commit, "a job that is cancelled before its commit publishes nothing")
{
	struct row *row = stage_job(SAY_SUMMARY, "exit 0\n");
	row->cancel = true;
	work();
	is_int(row->state, JOB_CANCELLED, "a job that is cancelled before its commit is cancelled");
	is_str(steps(), "walk 1, discard 1, ", "nothing is published");
}

TEST(commit_waits_for_the_store, "a commit waits for a store that is unreachable")
{
	struct row *row = stage_job(SAY_SUMMARY, "exit 0\n");
	away_after_claim = 400;
	work();
	is_int(row->state, JOB_COMPLETED,
	        "a job whose store is unreachable at the commit is completed");
	is_str(steps(), "walk 1, publish 1, discard 1, ",
	        "the commit is made when the store is available again");
}

TEST(lost_at_commit, "a lease that is lost at the commit publishes nothing")
{
	struct row *row = stage_job(SAY_SUMMARY, "exit 0\n");
	steal_at_commit = true;
	config.mode = WORKER_ONCE;
	work();
	is_int(row->state, JOB_PROCESSING,
	        "a job whose lease is lost at the commit is another worker's");
	is_str(steps(), "walk 1, discard 1, ", "nothing is published");
	is_int(counts.lost, 1, "the loss is counted");
}

TEST(locked_at_commit, "a row that is locked at the commit is given up in time")
{
	struct row *row = stage_job(SAY_SUMMARY, "exit 0\n");
	locked = row;
	config.mode = WORKER_ONCE;
	work();
	is_int(row->state, JOB_PROCESSING, "a job whose row is locked at the commit is not ended");
	ok(locked_calls > 1 && locked_calls < 20, "the commit is repeated (%u times)",
	        locked_calls);
	is_str(steps(), "walk 1, discard 1, ", "nothing is published");
	is_int(counts.lost, 1, "the loss is counted");
}

TEST(refused_repeated_commit_keeps_the_stage,
        "a commit that is refused when repeated may have counted")
{
	struct row *row = stage_job(SAY_SUMMARY, "exit 0\n");
	refuse_repeated = true;
	config.mode = WORKER_ONCE;
	work();
	is_int(row->state, JOB_PENDING, "a job whose repeated commit is refused is released");
	is_str(steps(), "walk 1, ", "its stage is kept");
	config.mode = WORKER_DRAIN;
	work();
	is_int(row->state, JOB_COMPLETED, "the job is completed, for it was committed");
	is_str(steps(), "publish 1, discard 2, ", "the job is published");
}

/* It may have been committed: the stage is the next worker's. */
TEST(lost_commit_is_published_by_the_next,
        "a commit without a reply is published by the next worker")
{
	struct row *row = stage_job(
	        "printf '{\"type\":\"entry\",\"x\":\"%0100000d\"}\\n' 0\n" SAY_SUMMARY, "exit 0\n");
	forget_commit = true;
	config.mode = WORKER_ONCE;
	work();
	is_str(steps(), "walk 1, ",
	        "a lease that is lost after a commit without a reply keeps its stage");
	ok(row->uri != NULL, "its records are in a file");
	ok(row->uri && access(strchr(row->uri + 7, '/'), F_OK) == 0, "the file is kept");
	config.mode = WORKER_DRAIN;
	while (now_ms() < row->lease_end) {
		poll(NULL, 0, 10);
	}
	work();
	is_int(row->state, JOB_COMPLETED, "the next claim ends the job");
	is_str(steps(), "publish 1, discard 3, ", "the committed stage is published");
	ok(logged("published what another worker had committed"), "the log says so: %s", log_text);
	unlink(strchr(row->uri + 7, '/'));
}

TEST(signal_after_the_walk, "a signal at the end of a walk gives the job back, or ends it")
{
	struct row *row = stage_job(SAY_SUMMARY "kill -TERM $PPID; sleep 0.1\n", "exit 0\n");
	work();
	is_int(signal_seen, SIGTERM, "the signal is reported");
	ok(row->state == JOB_PENDING || row->state == JOB_COMPLETED,
	        "the job is given back or ended");
	const char *got = steps();
	ok(strcmp(got, row->state == JOB_PENDING ? "walk 1, discard 1, "
	                                         : "walk 1, publish 1, discard 1, ") == 0,
	        "its stage is removed: %s", got);
}

TEST(signal_while_publishing, "a signal while a job is published leaves that to another worker")
{
	struct row *row = stage_job(SAY_SUMMARY,
	        "trap 'exit 143' TERM; kill -TERM $PPID\nwhile :; do sleep 0.05; done\n");
	work();
	is_int(row->state, JOB_PENDING, "a job that is being published is given back");
	is_str(steps(), "walk 1, publish 1, ", "its stage is kept");
	is_int(row->committed_seq, 1, "the job stays committed");
}

WORKER_TESTS(STEP_WALK_SCRIPT)
