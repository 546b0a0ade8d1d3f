/* The child of a job: what it is given, and the verdict on what it writes and how it ends. */
#include "fake.h"

TEST(success_is_stored_whole, "a child that succeeds has its whole result stored")
{
	struct row *row = work_on("echo '{\"type\":\"entry\",\"path\":\"/a\"}'\n" SAY_SUMMARY
	                          "echo 'vega-walk: a word' >&2\n");
	is_int(row->state, JOB_COMPLETED, "a job whose child succeeds is completed");
	is_str(row->summary, SUMMARY, "its summary is stored");
	is_str(row->records, "{\"type\":\"entry\",\"path\":\"/a\"}\n", "its records are stored");
	is_int(row->records_size, 29, "their size is stored");
	ok(row->digest && strncmp(row->digest, "xxh128:", 7) == 0, "their digest is stored");
	is_str(row->tail, "vega-walk: a word\n", "its stderr is stored");
	is_int(counts.completed, 1, "the job is counted");
	ok(logged("completed in") && logged("3 entries"), "the job is logged: %s", log_text);
}

TEST(partial_success_is_completed, "a child that could not read everything completes the job")
{
	struct row *row = work_on(SAY_SUMMARY "exit 3\n");
	is_int(row->state, JOB_COMPLETED, "a partial job is completed");
	is_int(row->exit_code, 3, "its exit code is stored");
	is_str(row->records, NULL, "a job without records has none stored");
}

TEST(child_gets_nothing_of_the_worker, "a child inherits no secret, descriptor or signal mask")
{
	setenv("PGPASSWORD", "secret", 1);
	setenv("VEGA_STORE", "secret", 1);
	setenv("VEGA_CACHE", "secret", 1);
	int leak = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ok(dup2(leak, 77) == 77, "the worker has a descriptor without CLOEXEC");
	struct row *row = work_on(
	        "{ tr '\\0' '\\n' < /proc/$$/environ | grep -E 'secret|^VEGA|^PG'\n"
	        "echo args: \"$@\"; readlink /proc/$$/fd/0\n"
	        "ls /proc/$$/fd | tr '\\n' ' '; ps -o pgid= -p $$ | grep -q \"$$\" && echo leads\n"
	        "grep SigBlk /proc/self/status; } >&2\n" SAY_SUMMARY);
	ok(strstr(row->tail, "secret") == NULL, "a child learns no secret");
	ok(strstr(row->tail, "VEGA_CACHE=none\n") != NULL,
	        "a child is told that there is no cache");
	ok(strstr(row->tail, "args: --spec-fd=3 --format=ndjson --progress-every=100\n") != NULL,
	        "a child gets its arguments");
	ok(strstr(row->tail, "/dev/null\n") != NULL, "its stdin is empty");
	ok(strstr(row->tail, " 77 ") == NULL, "no descriptor is inherited");
	ok(strstr(row->tail, "leads\n") != NULL, "a child leads its process group");
	ok(strstr(row->tail, "SigBlk:\t0000000000000000\n") != NULL, "no signal is blocked");
	close(leak);
	close(77);
	unsetenv("PGPASSWORD");
	unsetenv("VEGA_STORE");
	unsetenv("VEGA_CACHE");
}

TEST(child_gets_roots_and_cache, "a child is told its roots, and the cache in its environment")
{
	reset();
	struct row *row = submit("echo args: \"$@\" >&2; echo $VEGA_CACHE >&2\n" SAY_SUMMARY);
	strlist_add(&config.roots, "/data");
	strlist_add(&config.roots, "/x y");
	config.cache_url = "unix:/nowhere/redis";
	is_int(work(), 0, "a worker with roots and a cache ends well");
	ok(strstr(row->tail, "--allow-root=/data --allow-root=/x y\n") != NULL,
	        "each root is an argument: %s", row->tail);
	ok(strstr(row->tail, "unix:/nowhere/redis\n") != NULL, "the cache is in the environment");
	strlist_release(&config.roots);
}

TEST(failing_child_is_judged, "a child that fails costs the job an attempt, or all of them")
{
	static const struct {
		const char *spec, *error;
		enum job_state state;
		int exit_code;
	} cases[] = {
	        {"echo 'vega-walk: /x: no such root' >&2; echo \"Try 'vega-walk --help'\" >&2; "
	         "exit 2\n",
	                "vega-walk: /x: no such root", JOB_FAILED, 2},
	        {"exit 2\n", "vega-walk rejected the job without a reason", JOB_FAILED, 2},
	        {"kill -SEGV $$\n", "vega-walk was killed by SIGSEGV", JOB_PENDING, 139},
	        {SAY_SUMMARY "kill -KILL $$\n", "vega-walk was killed by SIGKILL", JOB_PENDING,
	                137},
	        {"exit 0\n", "vega-walk ended without a summary", JOB_PENDING, 0},
	        {"echo oh >&2; exit 7\n", "vega-walk exited with status 7: oh", JOB_PENDING, 7},
	        {SAY_SUMMARY "exit 1\n", "vega-walk exited with status 1", JOB_PENDING, 1},
	        {"echo '{\"type\":\"summary\",\"complete\":false}'; exit 3\n",
	                "vega-walk says that its summary is incomplete", JOB_PENDING, 3},
	        {"echo rubbish\n" SAY_SUMMARY, "a line that is not a record: rubbish", JOB_PENDING,
	                -1},
	        {"echo rubbish; exec sleep 100\n", "a line that is not a record: rubbish",
	                JOB_PENDING, -1},
	        {SAY_SUMMARY SAY_SUMMARY, "more after its summary", JOB_PENDING, -1},
	        {"printf '{\"type\":\"entry\"'; kill -ABRT $$\n", "killed by SIGABRT", JOB_PENDING,
	                134},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		reset();
		struct row *row = submit(cases[i].spec);
		row->max_attempts = 2;
		config.mode = WORKER_ONCE;
		is_int(work(), 0, "case %zu: a child that fails does not end the worker", i);
		is_int(row->state, cases[i].state, "case %zu: the job's state follows", i);
		ok(row->error && strstr(row->error, cases[i].error),
		        "case %zu: the job says why: %s", i, row->error ? row->error : "(null)");
		ok(cases[i].exit_code < 0 || row->exit_code == cases[i].exit_code,
		        "case %zu: the exit code is stored: %d", i, row->exit_code);
		ok(!row->summary && !row->records, "case %zu: no result is left", i);
	}
}

TEST(many_records_are_spooled, "records of more than 64 KiB go into a file")
{
	struct row *row = work_on("yes '{\"type\":\"entry\",\"path\":\"/some/file\"}' | head -n "
	                          "200000\n" SAY_SUMMARY);
	is_int(row->state, JOB_COMPLETED, "a job with many records is completed");
	is_int(row->records_size, 200000u * 37, "the size is that of all of them");
	ok(!row->records && row->uri && strncmp(row->uri, "file://", 7) == 0,
	        "many records are spooled: %s", row->uri ? row->uri : "(null)");
	snprintf(file, sizeof file, "%s/%s.1.ndjson", spool_dir, row->id);
	ok(access(file, R_OK) == 0, "the file has the name of the job and its lease");
	unlink(file);
}

TEST(records_of_a_failure_are_dropped, "records of a child that fails are not kept")
{
	struct row *row = work_on("yes '{\"type\":\"entry\"}' | head -n 100000; exit 9\n");
	is_int(row->state, JOB_FAILED, "a job with many records fails");
	ok(!row->uri, "its records are not stored");
	ok(rmdir(spool_dir) == 0, "no file is left in the spool");
}

TEST(long_lines_pass, "a record of 1 MB is stored like any other")
{
	struct row *row = work_on(
	        "head -c 1000000 /dev/zero | tr '\\0' 'e' > \"$TMPDIR/e\"\n"
	        "for i in 1 2 3; do printf '{\"type\":\"entry\",\"p\":\"'; cat \"$TMPDIR/e\"; "
	        "echo '\"}'; done\n" SAY_SUMMARY "rm \"$TMPDIR/e\"\n");
	is_int(row->state, JOB_COMPLETED, "a job with lines of 1 MB is completed");
	is_int(row->records_size, 3 * (1000000 + 24), "every byte of the lines is stored");
	snprintf(file, sizeof file, "%s/%s.1.ndjson", spool_dir, row->id);
	unlink(file);
}

TEST(stderr_keeps_its_end, "a flood of stderr is kept by its end, as text")
{
	struct row *row = work_on("yes 'a flood of words' | head -c 5000000 >&2\n"
	                          "printf 'caf\\xe9 \\0 last words' >&2\n" SAY_SUMMARY);
	is_int(row->state, JOB_COMPLETED, "a job with a flood of stderr is completed");
	ok(strlen(row->tail) <= CHILD_TAIL_MAX + 16, "no more than the end is kept");
	ok(strlen(row->tail) > CHILD_TAIL_MAX / 2, "enough of the end is kept");
	ok(strstr(row->tail, "caf\xEF\xBF\xBD \xEF\xBF\xBD last words") != NULL,
	        "the end is text that a store takes");
}

TEST(leftover_process_is_not_waited_for, "a process that a child leaves behind delays nothing")
{
	uint64_t began = now_ms();
	struct row *row = work_on("sleep 50 & echo '{\"type\":\"entry\"}'\n" SAY_SUMMARY);
	is_int(row->state, JOB_COMPLETED, "a child that leaves a process behind completes");
	ok(now_ms() - began < 5000, "the process that keeps the pipes open is not waited for");
}

TEST(escaped_process_is_not_waited_for, "a process that escapes and floods the pipe delays nothing")
{
	struct row *row = work_on(
	        "(trap '' TERM; setsid yes '{\"type\":\"entry\"}' & echo $! > \"$TMPDIR/pid\")\n"
	        "while [ ! -s \"$TMPDIR/pid\" ]; do :; done\n" SAY_SUMMARY);
	ok(row->state != JOB_PROCESSING, "a job with a process that escaped and floods it ends");
	snprintf(file, sizeof file, "%s/pid", directory);
	struct buf text = BUF_INIT;
	if (file_read_all(file, &text, NULL) == 0) {
		kill(atoi(buf_cstr(&text)), SIGKILL);
	}
	buf_release(&text);
	unlink(file);
}

TEST(silent_child_is_killed, "a child that closed its stdout and goes on is killed after 10 s")
{
	uint64_t began = now_ms();
	struct row *row = work_on(SAY_SUMMARY "exec >&-; exec sleep 100\n");
	uint64_t took = now_ms() - began;
	is_int(row->state, JOB_FAILED, "a job whose child closed stdout and still runs fails");
	ok(strstr(row->error, "closed its output but did not exit") != NULL, "the job says why: %s",
	        row->error);
	ok(took >= 9000 && took < 13000, "the child is killed after 10 s (%llu ms)",
	        (unsigned long long)took);
	ok(beats >= 20, "its lease is renewed meanwhile (%u times)", beats);
}

TEST(missing_program_ends_the_worker, "a worker without vega-walk does not begin")
{
	reset();
	config.walk_path = "/nonexistent/vega-walk";
	is_int(work(), VEGA_FATAL, "a worker without vega-walk fails");
	ok(strstr(failure.text, "/nonexistent/vega-walk") != NULL, "the message names it: %s",
	        failure.text);
}

TEST(broken_program_costs_no_attempt, "a vega-walk that cannot be executed costs no attempt")
{
	reset();
	ok(write_walk("#!/nonexistent/interpreter\n"), "a stand-in has no interpreter");
	struct row *row = submit(SAY_SUMMARY);
	is_int(work(), VEGA_FATAL, "a worker whose vega-walk cannot be executed fails");
	is_int(row->state, JOB_PENDING, "the job is released");
	is_int(row->attempt, 0, "the job loses no attempt");
	write_walk(SOURCE_SPEC);
}

TEST(unusable_spool_ends_the_worker, "a worker without a place for records does not begin")
{
	reset();
	config.spool_dir = "/dev/null/results";
	is_int(work(), VEGA_FATAL, "a worker without a place for records fails");
}

WORKER_TESTS(SOURCE_SPEC)
