/* vega-cancel: ask for the cancellation of jobs. */
#include <stdio.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/killpoint.h"
#include "cmd.h"
#include "job/job.h"
#include "store/store.h"

#define POLL_MS 5000
#define STATUS_AWAY 5 /* the store is: the other jobs need not be tried */

struct cancel {
	struct option_common common;
	char *store;
	bool wait, verbose;
};

#define FIELD(member) .offset = offsetof(struct cancel, member)
#define CANCELLING "Cancelling"

static const struct option_row rows[] = {
        {"wait", 'w', OPT_FLAG, FIELD(wait), 0, NULL, NULL, CANCELLING,
                "wait until the jobs have ended"},
        {"verbose", 'v', OPT_FLAG, FIELD(verbose), 0, NULL, NULL, CANCELLING,
                "print each job's id and state"},
        {CMD_STORE(struct cancel), .heading = CANCELLING},
};

static const struct cmd_help help = {
        .usage = "vega-cancel [OPTION]... JOB...",
        .intro = "Cancel jobs. A PENDING job is CANCELLED at once; a PROCESSING job is asked to "
                 "end, which its worker sees within a few seconds.",
        .status = "Exit status: 0 each job is cancelled or asked to end; 1 a job does not exist, "
                  "is publishing its files, or had already COMPLETED or FAILED; 2 usage or fatal "
                  "error; 5 the store is unreachable.",
};

static int ask(struct store *store, const char *id, enum job_state *state)
{
	struct vega_error err;
	KILL_POINT(cancel);
	int code = store->driver->cancel(store, id, state, &err);
	KILL_POINT(cancelled);
	return code < 0 ? cmd_error(&err) : 0;
}

static int await_end(struct store *store, const char *id, enum job_state *state)
{
	struct vega_error err;
	struct job job;
	while (!job_state_terminal(*state)) {
		if (store->driver->wait(store, POLL_MS, -1, &err) < 0 ||
		        store->driver->get(store, id, 0, &job, &err) < 0) {
			return cmd_error(&err);
		}
		*state = job.state;
		job_release(&job);
	}
	return 0;
}

static int report(const struct cancel *options, const char *id, enum job_state state)
{
	struct vega_error err;
	if (options->verbose) {
		printf("%s %s\n", id, job_state_name(state));
	}
	if (state == JOB_COMPLETED || state == JOB_FAILED) {
		vega_fail(&err, VEGA_NO, "job %s had already %s", id, job_state_name(state));
		return cmd_error(&err);
	}
	return 0;
}

/* All are asked before one is waited for. */
static int cancel_all(struct store *store, const struct cancel *options, char **ids, size_t count)
{
	enum job_state *states = calloc(count, sizeof *states);
	int worst = 0;
	if (!states) {
		return cmd_error(&(struct vega_error){VEGA_NOMEM, 0, "out of memory"});
	}
	for (int step = 0; step < 3; step++) {
		for (size_t i = 0; i < count && worst != STATUS_AWAY; i++) {
			int status = !ids[i]         ? 0
			             : step == 0     ? ask(store, ids[i], &states[i])
			             : step == 2     ? report(options, ids[i], states[i])
			             : options->wait ? await_end(store, ids[i], &states[i])
			                             : 0;
			ids[i] = status ? NULL : ids[i];
			worst = status > worst ? status : worst;
		}
	}
	free(states);
	return worst;
}

static int run(const struct cancel *options, char **ids, size_t count)
{
	struct store *store;
	struct vega_error err;
	if (store_open(options->store, 0, &store, &err) < 0) {
		return cmd_usage_error(&err);
	}
	int status = cancel_all(store, options, ids, count);
	store->driver->close(store);
	return status;
}

int main(int argc, char **argv)
{
	struct cancel options = {.wait = false};
	struct vega_error err;
	char **operands = NULL;
	size_t count = 0;
	const struct option_table tables[] = {
	        {rows, sizeof rows / sizeof *rows, &options},
	        {option_common_rows, option_common_count, &options.common},
	};
	const size_t table_count = sizeof tables / sizeof *tables;
	int status = 0;
	cmd_begin("vega-cancel");
	int code =
	        option_parse(tables, table_count, argc, argv, &operands, &count, NULL, NULL, &err);
	if (cmd_common(&options.common, &help, tables, table_count, &status)) {
		goto out;
	}
	if (code == 0 && !count) {
		code = vega_fail(&err, VEGA_USAGE, "name at least one JOB");
	}
	for (size_t i = 0; code == 0 && i < count; i++) {
		if (!uuid_valid(operands[i])) {
			code = vega_fail(&err, VEGA_USAGE, "'%s' is not a job id", operands[i]);
		}
	}
	status = code ? cmd_usage_error(&err) : run(&options, operands, count);
	if (fflush(stdout) != 0 && status == 0) {
		status = cmd_error(
		        &(struct vega_error){VEGA_FATAL, 0, "cannot write to standard output"});
	}
out:
	free(operands);
	option_release(rows, sizeof rows / sizeof *rows, &options);
	return status;
}
