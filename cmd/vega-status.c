/* vega-status: list jobs and workers; show a job, wait for it, print its result, try it again. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/signal.h"
#include "cmd.h"
#include "job/text.h"
#include "job_list.h"
#include "job_print.h"
#include "store/job_retry.h"
#include "store/job_source.h"
#include "worker_list.h"

#define MILLISECOND UINT64_C(1000000)

struct status {
	struct option_common common;
	bool wait, follow, result, records, retry, force, workers;
	uint32_t state;
	char *queue, *label, *submitter, *store, *cache;
	struct option_number newer_than, older_than, limit, timeout;
	unsigned format;
};

static const char *const format_names[] = {"text", "json", NULL};
static const char *const state_names[] = {
        "pending", "processing", "completed", "failed", "cancelled", NULL};

#define FIELD(member) .offset = offsetof(struct status, member)
#define ONE "About the JOBs named"
#define LIST "Which jobs to list"
#define HOW "General"

static const struct option_row rows[] = {
        {"wait", 'w', OPT_FLAG, FIELD(wait), 0, NULL, NULL, ONE,
                "wait silently until each has ended; exit 4 unless all COMPLETED, 3 if one is "
                "partial"},
        {"follow", 'f', OPT_FLAG, FIELD(follow), 0, NULL, NULL, ONE,
                "the same, with a progress line on a terminal, and a line when each ends"},
        {"timeout", 0, OPT_DURATION, FIELD(timeout), 0, "DURATION", NULL, ONE,
                "stop waiting after this long, with exit status 5 (default: never)"},
        {"result", 'r', OPT_FLAG, FIELD(result), 0, NULL, NULL, ONE,
                "print the summary: a picture on a terminal, else one line of JSON"},
        {"records", 0, OPT_FLAG, FIELD(records), 0, NULL, NULL, ONE,
                "print the records that the job made, as ndjson"},
        {"retry", 0, OPT_FLAG, FIELD(retry), 0, NULL, NULL, ONE,
                "submit each FAILED or CANCELLED job again, as a new one with the label "
                "retry-of=JOB, and print the new ids"},
        {"force", 0, OPT_FLAG, FIELD(force), 0, NULL, NULL, ONE,
                "with --retry, also accept COMPLETED jobs"},
        {"state", 's', OPT_CHOICES, FIELD(state), 0, "STATE", state_names, LIST,
                "in one of these states; repeat or separate with commas"},
        {"queue", 0, OPT_TEXT, FIELD(queue), 0, "NAME", NULL, LIST, "in the queue NAME"},
        {"label", 0, OPT_TEXT, FIELD(label), 0, "K=V", NULL, LIST, "with this label"},
        {"submitter", 0, OPT_TEXT, FIELD(submitter), 0, "USER", NULL, LIST, "submitted by USER"},
        {"newer-than", 0, OPT_DURATION, FIELD(newer_than), 0, "AGE", NULL, LIST,
                "submitted less than AGE ago (90min, 7d)"},
        {"older-than", 0, OPT_DURATION, FIELD(older_than), 0, "AGE", NULL, LIST,
                "submitted more than AGE ago"},
        {"limit", 'n', OPT_NUMBER, FIELD(limit), 0, "N", NULL, LIST,
                "at most N, the newest first; 0 for all (default: 20 on a terminal, else all)"},
        {"workers", 0, OPT_FLAG, FIELD(workers), 0, NULL, NULL, "Workers",
                "list the workers instead, and when each was last seen"},
        {CMD_FORMAT(struct status), .choices = format_names, .heading = HOW,
                .help = "text (default), or json (one object per line)"},
        {CMD_STORE(struct status), .heading = HOW},
        {CMD_CACHE(struct status), .heading = HOW,
                .help = "look for finished jobs in redis://HOST or unix:PATH first; none (default: "
                        "$VEGA_CACHE)"},
};

static const struct cmd_help help = {
        .usage = "vega-status [OPTION]... [JOB]...",
        .intro = "List jobs, newest first; or show the JOBs named, wait for them, print their "
                 "results, or retry them. In a pipe, a line of the list has an id, state, queue, "
                 "submitter, time of submission and description, separated by tabs.",
        .examples = "  vega-status --state failed --newer-than 1d\n"
                    "  vega-status --wait \"$id\" && vega-status --result \"$id\"\n"
                    "  vega-status --records \"$id\" | jq -r .path",
        .status = "Exit status: 0 done; 1 the job does not exist, or has no result yet; 2 usage or "
                  "fatal error; 3 the job waited for is partial: it could not read or write some "
                  "entries; 4 it FAILED or was CANCELLED; 5 the store is unreachable, or --timeout "
                  "passed.",
};

static int failed(const struct vega_error *err)
{
	if (err->sys == EPIPE) {
		signal_die(SIGPIPE); /* whoever read the output has enough */
	}
	return cmd_usage_error(err);
}

static void look(const struct job *job, const struct vega_error *away, void *context)
{
	struct screen *screen = context;
	struct buf text = BUF_INIT, line = BUF_INIT;
	if (!job) {
		screen_wipe(screen);
		buf_printf(&text, "%s; waiting for the store", away->text);
		cmd_message(buf_cstr(&text) ? text.data : away->text);
	} else if (screen->live) {
		job_text_progress(&text, job, true);
		job_text_fit(&line, text.data, text.len, terminal_width(STDERR_FILENO) - 1);
		if (buf_cstr(&line)) {
			screen_draw(screen, line.data);
		}
	}
	buf_release(&text);
	buf_release(&line);
}

static int print_job(const struct status *s, const struct job *job, struct vega_error *err)
{
	struct buf out = BUF_INIT;
	int code;
	if (s->result) {
		code = job_print_result(job, !s->format && isatty(STDOUT_FILENO), err);
	} else if (s->records) {
		code = job_print_records(job, err);
	} else {
		if (s->follow) {
			buf_printf(&out, "%s ", job->id);
			job_text_progress(&out, job, true);
			buf_add_char(&out, '\n');
		} else if (!s->wait && s->format) {
			job_text_json(&out, job);
		} else if (!s->wait) {
			job_text_full(&out, job);
		}
		code = print_buf(&out, err);
	}
	return code == 0 && (s->wait || s->follow) ? job_verdict(job, err) : code;
}

static int about_jobs(const struct status *s, struct job_source *source, char **ids, size_t count)
{
	const unsigned parts = STORE_PART_RESULT | (s->records ? STORE_PART_RECORDS : 0);
	struct screen screen = {.live = s->follow && isatty(STDERR_FILENO)};
	const struct job_watch watch = {
	        .timeout_ms = s->timeout.set ? s->timeout.value / MILLISECOND : UINT64_MAX,
	        .look = look,
	        .context = &screen,
	};
	int worst = 0;
	for (size_t i = 0; i < count; i++) {
		struct job job;
		struct vega_error err;
		int code = s->wait || s->follow
		                   ? job_source_await(source, ids[i], parts, &watch, &job, &err)
		                   : job_source_get(source, ids[i], parts, &job, &err);
		screen_wipe(&screen);
		if (code == 0) {
			code = print_job(s, &job, &err);
			job_release(&job);
		}
		int status = code ? failed(&err) : 0;
		worst = status > worst ? status : worst;
	}
	return worst;
}

static int retry_jobs(const struct status *s, struct job_source *source, char **ids, size_t count)
{
	int worst = 0;
	for (size_t i = 0; i < count; i++) {
		char retry[UUID_TEXT];
		struct buf out = BUF_INIT;
		struct vega_error err;
		int code = job_source_store(source, &err);
		code = code ? code
		            : job_retry(source->store, ids[i], cmd_user(), s->force, retry, &err);
		if (code == 0) {
			buf_printf(&out, "%s\n", retry);
			code = print_buf(&out, &err);
		}
		int status = code ? failed(&err) : 0;
		worst = status > worst ? status : worst;
	}
	return worst;
}

static int list_workers(const struct status *s, struct job_source *source)
{
	struct vega_error err;
	int code = job_source_store(source, &err);
	code = code ? code : worker_list(source->store, s->format != 0, &err);
	return code ? failed(&err) : 0;
}

static int list_jobs(const struct status *s, struct job_source *source)
{
	struct vega_error err;
	const struct job_list_options options = {
	        .filter = {.states = s->state,
	                .queue = s->queue,
	                .submitter = s->submitter,
	                .label = s->label,
	                .younger_ms = s->newer_than.value / MILLISECOND,
	                .older_ms = s->older_than.value / MILLISECOND},
	        .json = s->format != 0,
	        .limited = s->limit.set,
	        .limit = (unsigned)s->limit.value,
	};
	return job_list(source, &options, &err) < 0 ? failed(&err) : 0;
}

static int check(const struct status *s, char **ids, size_t count, struct vega_error *err)
{
	bool filters = s->state || s->queue || s->label || s->submitter || s->newer_than.set ||
	               s->older_than.set || s->limit.set;
	bool reads = s->wait || s->follow || s->result || s->records;
	bool actions = reads || s->retry;
	if (s->workers && (count || filters || actions)) {
		return vega_fail(err, VEGA_USAGE, "--workers lists workers, and no jobs");
	}
	if (s->retry && reads) {
		return vega_fail(err, VEGA_USAGE,
		        "--retry prints the ids of new jobs; use another vega-status to show them");
	}
	if (s->force && !s->retry) {
		return vega_fail(err, VEGA_USAGE, "--force needs --retry");
	}
	if (count && filters) {
		return vega_fail(err, VEGA_USAGE, "name JOBs or say which to list, not both");
	}
	if (!count && actions) {
		return vega_fail(err, VEGA_USAGE, "name the JOB to wait for, to print or to retry");
	}
	if (s->result && s->records) {
		return vega_fail(err, VEGA_USAGE, "--result and --records exclude each other");
	}
	if (s->timeout.set && !s->wait && !s->follow) {
		return vega_fail(err, VEGA_USAGE, "--timeout needs --wait or --follow");
	}
	if (s->limit.value >= UINT_MAX) {
		return vega_fail(err, VEGA_USAGE, "--limit: too large");
	}
	for (size_t i = 0; i < count; i++) {
		if (!uuid_valid(ids[i])) {
			return vega_fail(err, VEGA_USAGE, "'%s' is not a job id", ids[i]);
		}
	}
	return 0;
}

static int run(const struct status *s, char **ids, size_t count)
{
	struct job_source source;
	struct vega_error err;
	const char *cache = s->cache ? s->cache : getenv("VEGA_CACHE");
	int status, code = check(s, ids, count, &err);
	if (code == 0) {
		code = job_source_open(&source, s->store, cache, &err);
	}
	if (code) {
		return cmd_usage_error(&err);
	}
	status = s->workers ? list_workers(s, &source)
	         : s->retry ? retry_jobs(s, &source, ids, count)
	         : count    ? about_jobs(s, &source, ids, count)
	                    : list_jobs(s, &source);
	job_source_close(&source);
	return status;
}

int main(int argc, char **argv)
{
	struct status s = {.wait = false};
	struct vega_error err;
	char **operands = NULL;
	size_t operand_count = 0;
	const struct option_table tables[] = {
	        {rows, sizeof rows / sizeof *rows, &s},
	        {option_common_rows, option_common_count, &s.common},
	};
	const size_t count = sizeof tables / sizeof *tables;
	int status = 0;
	cmd_begin("vega-status");
	signal(SIGPIPE, SIG_IGN);
	int code = option_parse(
	        tables, count, argc, argv, &operands, &operand_count, NULL, NULL, &err);
	if (!cmd_common(&s.common, &help, tables, count, &status)) {
		status = code ? cmd_usage_error(&err) : run(&s, operands, operand_count);
	}
	free(operands);
	option_release(rows, sizeof rows / sizeof *rows, &s);
	return status;
}
