/* vega-run: the worker. Claim PENDING jobs, run each in a vega-walk child, store its result. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/notify.h"
#include "base/signal.h"
#include "cmd.h"
#include "child/identity.h"
#include "spec/spec.h"
#include "store/request.h"
#include "worker/worker.h"

#define MILLISECOND UINT64_C(1000000)
#define JOBS_MAX 1000
#define LEASE_MIN_MS 1000
#define LEASE_MAX_MS (24 * 3600 * 1000)

struct run {
	struct option_common common;
	bool once, drain, commands, allow_root_jobs, allow_worker_jobs, quiet, verbose;
	struct option_number jobs, lease, max_time, max_memory, max_output;
	struct strlist queue, root;
	char *store, *cache, *spool, *run_as_submitter;
};

#define FIELD(member) .offset = offsetof(struct run, member)
#define WORK "What to work on"
#define HOW "How to work"

static const struct option_row rows[] = {
        {"once", 0, OPT_FLAG, FIELD(once), 0, NULL, NULL, WORK,
                "claim at most one job, run one attempt of it, and exit"},
        {"drain", 0, OPT_FLAG, FIELD(drain), 0, NULL, NULL, WORK,
                "exit when no job is due, none waits for a retry, and those that others run are "
                "in live hands (default: run for ever)"},
        {"queue", 0, OPT_LIST, FIELD(queue), 0, "NAME", NULL, WORK,
                "take jobs of the queue NAME only; repeat for more (default: any queue)"},
        {CMD_ROOT(struct run), .heading = WORK,
                .help = "let jobs touch nothing outside DIR; repeat for more; required when the "
                        "store is PostgreSQL or a file that others may change (default: "
                        "$VEGA_ROOTS, separated by colons, else anything)"},
        {"commands", 0, OPT_FLAG, FIELD(commands), 0, NULL, NULL, WORK,
                "allow commands supplied by transform jobs; --root does not restrict them "
                "(default: only when the store is a SQLite file that is yours alone)"},
        {"run-as-submitter", 0, OPT_TEXT, FIELD(run_as_submitter), 0, "[=MAP]", NULL, WORK,
                "run each job as the system user of its submitter: the user of the same name, or "
                "the one in the file MAP, whose lines are DATABASE-ROLE SYSTEM-USER; needs "
                "PostgreSQL and root"},
        {"allow-root-jobs", 0, OPT_FLAG, FIELD(allow_root_jobs), 0, NULL, NULL, WORK,
                "with --run-as-submitter, also run jobs as root, with all its rights; with "
                "--commands, let a worker that is root run commands for all who submit"},
        {"allow-worker-jobs", 0, OPT_FLAG, FIELD(allow_worker_jobs), 0, NULL, NULL, WORK,
                "with --run-as-submitter, also run jobs as the worker's own user, who can read the "
                "worker's credentials for the store"},
        {CMD_STORE(struct run), .heading = WORK},
        {"max-time", 0, OPT_DURATION, FIELD(max_time), 0, "DURATION", NULL, WORK,
                "fail a job that runs longer, whatever its own limit (default: no limit)"},
        {"max-memory", 0, OPT_SIZE, FIELD(max_memory), 0, "SIZE", NULL, WORK,
                "limit the memory of each process of a job (default: no limit)"},
        {"max-output", 0, OPT_SIZE, FIELD(max_output), 0, "SIZE", NULL, WORK,
                "fail a job that writes more, records and files together (default: no limit)"},
        {"jobs", 'j', OPT_NUMBER, FIELD(jobs), 0, "N", NULL, HOW,
                "run up to N jobs at a time (default: 1)"},
        {"lease", 0, OPT_DURATION, FIELD(lease), 0, "DURATION", NULL, HOW,
                "how long a job stays leased without a heartbeat (default: 20s)"},
        {CMD_CACHE(struct run), .heading = HOW,
                .help = "redis://HOST or unix:PATH, for digests and finished results; none "
                        "(default: $VEGA_CACHE)"},
        {"spool", 0, OPT_TEXT, FIELD(spool), 0, "DIR", NULL, HOW,
                "keep record streams of more than 64 KiB in DIR (default: "
                "$XDG_STATE_HOME/vega/results)"},
        {"quiet", 'q', OPT_FLAG, FIELD(quiet), 0, NULL, NULL, HOW,
                "report only problems (default: also one line per job)"},
        {"verbose", 'v', OPT_FLAG, FIELD(verbose), 0, NULL, NULL, HOW,
                "also report when a job starts"},
};

static const struct cmd_help help = {
        .usage = "vega-run [--once | --drain] [OPTION]...",
        .intro = "Run the jobs that vega-submit stored: claim each, run it in a vega-walk process, "
                 "and store its result. Any number of workers may share one store; a job whose "
                 "worker dies is taken over when its lease ends. SIGTERM releases the running jobs "
                 "and exits; a second one does so without waiting for them.",
        .examples = "  vega-run --drain                   work until nothing is left to do\n"
                    "  vega-run -j 4 --root /data         four jobs at a time, beneath /data only\n"
                    "  vega-run --queue nightly --queue bulk",
        .status = "Exit status: 0 the work is done, whether the jobs failed or not; 2 the worker "
                  "cannot work; 5 the store is unreachable, or keeps what is due locked (--once, "
                  "--drain); 128+N ended by signal N.",
};

static void print(const char *line, void *context)
{
	(void)context;
	cmd_message(line);
}

static int check(const struct run *run, struct vega_error *err)
{
	uint64_t lease = run->lease.value / MILLISECOND;
	if (run->once && run->drain) {
		return vega_fail(err, VEGA_USAGE, "--once and --drain exclude each other");
	}
	if (run->quiet && run->verbose) {
		return vega_fail(err, VEGA_USAGE, "--quiet and --verbose exclude each other");
	}
	if (run->allow_root_jobs && !run->run_as_submitter && !run->commands) {
		return vega_fail(err, VEGA_USAGE,
		        "--allow-root-jobs needs --run-as-submitter or --commands");
	}
	if (run->allow_worker_jobs && !run->run_as_submitter) {
		return vega_fail(err, VEGA_USAGE, "--allow-worker-jobs needs --run-as-submitter");
	}
	if (run->jobs.set && (run->jobs.value < 1 || run->jobs.value > JOBS_MAX)) {
		return vega_fail(err, VEGA_USAGE, "--jobs %llu: not in the range 1-%d",
		        (unsigned long long)run->jobs.value, JOBS_MAX);
	}
	if (run->lease.set && (lease < LEASE_MIN_MS || lease > LEASE_MAX_MS)) {
		return vega_fail(err, VEGA_USAGE, "--lease: not in the range 1s-1d");
	}
	return 0;
}

/* Bounds that only a shared store needs. `culprit` is empty with PostgreSQL. */
static int check_shared(const struct run *run, const struct worker_config *config,
        const char *culprit, struct vega_error *err)
{
	if (!config->roots.count && *culprit) {
		return vega_fail(err, VEGA_USAGE,
		        "others may store jobs here, as %s is not only yours: make it so (chown, "
		        "chmod go-w), or add --root DIR for each directory that jobs may touch, "
		        "and --commands to run theirs",
		        culprit);
	}
	if (!config->roots.count) {
		return vega_fail(err, VEGA_USAGE,
		        "a shared store needs --root DIR for each directory that its jobs may "
		        "touch (--root / for everything)");
	}
	if (run->commands && !run->run_as_submitter && geteuid() == 0 && !run->allow_root_jobs) {
		return vega_fail(err, VEGA_USAGE,
		        "--commands would run the commands of every submitter as root: %sstart the "
		        "worker as another user, or add --allow-root-jobs",
		        *culprit ? "" : "add --run-as-submitter, ");
	}
	return 0;
}

/*
 * Who may submit to a shared store may otherwise read whatever this worker may read, and with a
 * command do whatever it may do.
 */
static int set_bounds(const struct run *run, struct worker_config *config, struct vega_error *err)
{
	struct buf culprit = BUF_INIT;
	const char *url = run->store ? run->store : getenv("VEGA_STORE");
	bool sqlite = !url || !*url || strncmp(url, "sqlite:", 7) == 0;
	int code = spec_allowed_roots(&run->root, getenv("VEGA_ROOTS"), &config->roots, err);
	if (code == 0 && run->run_as_submitter && sqlite) {
		code = vega_fail(err, VEGA_USAGE,
		        "--run-as-submitter needs a PostgreSQL store: in SQLite the submitting "
		        "process may claim any name");
	}
	int shared = code ? code : store_is_shared(run->store, &culprit, err);
	code = shared < 0 ? shared : code;
	if (shared > 0) {
		const char *which = buf_cstr(&culprit);
		code = which ? check_shared(run, config, which, err) : vega_fail_nomem(err);
	}
	config->refuse_commands = shared > 0 && !run->commands;
	buf_release(&culprit);
	return code;
}

static int work(const struct run *run, int *signal_seen, struct vega_error *err)
{
	struct worker_counts counts;
	struct identity_map submitters = {.path = run->run_as_submitter,
	        .allow_root = run->allow_root_jobs,
	        .allow_worker = run->allow_worker_jobs};
	struct worker_config config = {
	        .store_url = run->store,
	        .spool_dir = run->spool,
	        .cache_url = run->cache ? run->cache : getenv("VEGA_CACHE"),
	        .queues = run->queue,
	        .jobs = run->jobs.set ? (unsigned)run->jobs.value : 1,
	        .mode = run->once    ? WORKER_ONCE
	                : run->drain ? WORKER_DRAIN
	                             : WORKER_FOREVER,
	        .lease_ms = run->lease.set ? run->lease.value / MILLISECOND : 20000,
	        .progress_ms = 1000,
	        .verbosity = run->verbose ? 1
	                     : run->quiet ? -1
	                                  : 0,
	        .log = print,
	        .notify = notify_send,
	        .watchdog_ms = notify_watchdog_ms(),
	};
	int code = request_limits(
	        &run->max_time, &run->max_memory, &run->max_output, &config.limits, err);
	code = code ? code : set_bounds(run, &config, err);
	if (code == 0 && run->run_as_submitter) {
		config.submitters = &submitters;
		code = identity_map_load(&submitters, err);
	}
	if (code == 0) {
		code = worker_run(&config, &counts, signal_seen, err);
	}
	identity_map_release(&submitters);
	strlist_release(&config.roots);
	return code;
}

int main(int argc, char **argv)
{
	struct run run = {.once = false};
	struct vega_error err = {.code = 0};
	char **operands = NULL;
	size_t operand_count = 0;
	const struct option_table tables[] = {
	        {rows, sizeof rows / sizeof *rows, &run},
	        {option_common_rows, option_common_count, &run.common},
	};
	const size_t count = sizeof tables / sizeof *tables;
	int status = 0, signal_seen = 0;
	cmd_begin("vega-run");
	/* Processes of the same user, jobs' commands among them, cannot look into this one. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	signal(SIGPIPE, SIG_IGN);
	fd_raise_limit();
	int code = option_parse(
	        tables, count, argc, argv, &operands, &operand_count, NULL, NULL, &err);
	if (cmd_common(&run.common, &help, tables, count, &status)) {
		goto out;
	}
	if (code == 0 && operand_count) {
		code = vega_fail(&err, VEGA_USAGE,
		        "unexpected operand '%s': jobs are claimed, not named", operands[0]);
	}
	if (code == 0) {
		code = check(&run, &err);
	}
	if (code == 0) {
		code = work(&run, &signal_seen, &err);
	}
	if (code < 0) {
		status = cmd_usage_error(&err);
	}
out:
	free(operands);
	option_release(rows, sizeof rows / sizeof *rows, &run);
	if (signal_seen && status == 0) {
		signal_die(signal_seen);
	}
	return status;
}
