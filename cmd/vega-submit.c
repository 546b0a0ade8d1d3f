/* vega-submit: check a specification, store it as a PENDING job, print the job's id. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/killpoint.h"
#include "cmd.h"
#include "engine/engine.h"
#include "spec/spec.h"
#include "store/request.h"
#include "store/store.h"
#include "store/submit_spec.h"

/* The specification of an empty command line. */
#define NOTHING_SAID "{\"v\":1,\"operations\":[\"%s\"],\"roots\":[\".\"]}"

struct submit {
	struct option_common common;
	char *store, *queue, *priority, *after, *idempotency_key, *files0_from, *batch;
	struct option_number max_attempts, max_time, max_memory, max_output;
	struct strlist label, root;
	bool dry_run;
};

#define FIELD(member) .offset = offsetof(struct submit, member)
#define JOB "The job"
#define SUBMISSION "Submission"

static const struct option_row rows[] = {
        {"queue", 0, OPT_TEXT, FIELD(queue), 0, "NAME", NULL, JOB,
                "put the job in the queue NAME (default: default)"},
        {"priority", 0, OPT_TEXT, FIELD(priority), 0, "N", NULL, JOB,
                "jobs of higher N run first; may be negative (default: 0)"},
        {"after", 0, OPT_TEXT, FIELD(after), 0, "TIME", NULL, JOB,
                "do not run before TIME: a date, @SECONDS, or a length of time from now (90min)"},
        {"max-attempts", 0, OPT_NUMBER, FIELD(max_attempts), 0, "N", NULL, JOB,
                "give up after N failed attempts (default: 3)"},
        {"max-time", 0, OPT_DURATION, FIELD(max_time), 0, "DURATION", NULL, JOB,
                "fail the job when an attempt runs longer (default: no limit)"},
        {"max-memory", 0, OPT_SIZE, FIELD(max_memory), 0, "SIZE", NULL, JOB,
                "fail the job when one of its processes needs more memory; a filter that needs "
                "more fails only on its file (default: no limit)"},
        {"max-output", 0, OPT_SIZE, FIELD(max_output), 0, "SIZE", NULL, JOB,
                "fail the job when it writes more, records and files together (default: no limit)"},
        {"idempotency-key", 0, OPT_TEXT, FIELD(idempotency_key), 0, "KEY", NULL, JOB,
                "if you have submitted a job with KEY before, submit nothing and print that job's "
                "id"},
        {"label", 0, OPT_LIST, FIELD(label), 0, "K=V", NULL, JOB,
                "label the job, for vega-status --label; repeat for more"},
        {"files0-from", 0, OPT_TEXT, FIELD(files0_from), 0, "FILE", NULL, SUBMISSION,
                "read the roots, separated by NUL bytes, from FILE ('-': standard input)"},
        {"batch", 0, OPT_TEXT, FIELD(batch), 0, "FILE", NULL, SUBMISSION,
                "submit one job per line of FILE ('-': standard input), a specification as printed "
                "by --dry-run; all or none; print one id per line; with --idempotency-key KEY, the "
                "job of line N has the key KEY/N"},
        {CMD_ROOT(struct submit), .heading = SUBMISSION,
                .help = "reject roots and outputs that are not beneath DIR; repeat for "
                        "alternatives (default: $VEGA_ROOTS, separated by colons)"},
        {CMD_STORE(struct submit), .heading = SUBMISSION},
        {"dry-run", 0, OPT_FLAG, FIELD(dry_run), 0, NULL, NULL, SUBMISSION,
                "check everything, print the specification as JSON, and store nothing"},
};

static const struct cmd_help help = {
        .usage = "vega-submit [OPERATION[,OPERATION]...] [OPTION]... [ROOT]...\n"
                 "       vega-submit transform [OPTION]... --out DIR [ROOT]...\n"
                 "                 -- COMMAND [ARGUMENT]...\n"
                 "       vega-submit --batch FILE [OPTION]...",
        .intro = "Check the arguments of vega-walk, store them as a job for vega-run, and print "
                 "only the job's id, once the job is durable.",
        .operations = true,
        .examples = "  vega-submit /data/project-x\n"
                    "  id=$(vega-submit hash --algo sha256 /srv) && vega-status --wait \"$id\"\n"
                    "  vega-submit transform -e csv --to zstd --out /backup/csv /data\n"
                    "  vega-submit --after 2h --priority -5 --label team=ops /data\n"
                    "  vega-submit --idempotency-key \"nightly-$(date +%F)\" /data\n"
                    "  find /srv -maxdepth 1 -name 'v*' -print0 | vega-submit --files0-from=-\n"
                    "  for d in /srv/*/; do vega-submit --dry-run hash \"$d\"; done |\n"
                    "    vega-submit --batch -",
        .status = "Exit status: 0 the job is stored (with --dry-run: it could be); 2 it is "
                  "rejected, or its id cannot be printed; the message then contains the id; 5 the "
                  "store is unreachable.",
};

static int fill_request(const struct submit *submit, struct store_request *request,
        struct buf *labels, struct vega_error *err)
{
	uint64_t attempts = submit->max_attempts.value;
	if (submit->max_attempts.set && (attempts < 1 || attempts > REQUEST_ATTEMPTS_MAX)) {
		return vega_fail(err, VEGA_USAGE,
		        "--max-attempts %" PRIu64 ": not in the range 1-%d", attempts,
		        REQUEST_ATTEMPTS_MAX);
	}
	request->queue = submit->queue;
	request->idempotency_key = submit->idempotency_key;
	request->max_attempts = (unsigned)attempts;
	int code = request_priority(submit->priority, &request->priority, err);
	if (code == 0) {
		code = request_limits(&submit->max_time, &submit->max_memory, &submit->max_output,
		        &request->limits, err);
	}
	if (code == 0) {
		code = request_after(submit->after, &request->not_before, err);
	}
	if (code == 0) {
		code = request_check(request, err);
	}
	return code == 0 ? request_labels(&submit->label, labels, err) : code;
}

static int store_jobs(
        const char *url, struct store_request *requests, size_t count, struct vega_error *err)
{
	struct store *store = NULL;
	int code = store_open(url, 0, &store, err);
	if (code == 0) {
		KILL_POINT(submit);
		code = store->driver->submit(store, requests, count, err);
		KILL_POINT(submitted);
		store->driver->close(store);
	}
	return code;
}

static int print_text(struct buf *text)
{
	int code = text->failed ? -ENOMEM : fd_write_all(STDOUT_FILENO, text->data, text->len);
	buf_release(text);
	return code;
}

static int print_ids(const struct store_request *requests, size_t count, struct vega_error *err)
{
	struct buf out = BUF_INIT;
	for (size_t i = 0; i < count; i++) {
		buf_printf(&out, "%s\n", requests[i].stored_id);
	}
	int failed = print_text(&out);
	if (failed && count > 1) {
		return vega_fail_errno(err, VEGA_FATAL, -failed,
		        "the jobs %s to %s are stored, but their ids cannot be written to "
		        "standard output",
		        requests[0].stored_id, requests[count - 1].stored_id);
	}
	return failed ? vega_fail_errno(err, VEGA_FATAL, -failed,
	                        "job %s is stored, but its id cannot be written to standard output",
	                        requests[0].stored_id)
	              : 0;
}

static int print_specs(const struct strlist *texts, struct vega_error *err)
{
	struct buf out = BUF_INIT;
	for (size_t i = 0; i < texts->count; i++) {
		buf_printf(&out, "%s\n", texts->items[i]);
	}
	int failed = print_text(&out);
	return failed ? vega_fail_errno(err, VEGA_FATAL, -failed, "cannot write to standard output")
	              : 0;
}

/* The file says all: beside it the command line may only say what is true of every job. */
static int read_batch(const struct submit *submit, const struct spec *spec, struct strlist *texts,
        struct vega_error *err)
{
	const struct submit_rules rules = {.roots = &submit->root, .check = engine_check};
	struct buf json = BUF_INIT, nothing = BUF_INIT;
	spec_to_json(spec, &json);
	buf_printf(&nothing, NOTHING_SAID, operations[0]->name);
	const char *text = buf_cstr(&json), *empty = buf_cstr(&nothing);
	int code = 0;
	if (!text || !empty) {
		code = vega_fail_nomem(err);
	} else if (submit->files0_from || strcmp(text, empty) != 0) {
		code = vega_fail(err, VEGA_USAGE,
		        "--batch takes operations, their options and ROOTs from the file; give "
		        "none beside it");
	}
	buf_release(&json);
	buf_release(&nothing);
	return code ? code : submit_read_batch(submit->batch, &rules, texts, err);
}

static int submit_all(const struct submit *submit, const struct store_request *pattern,
        const struct strlist *texts, struct vega_error *err)
{
	struct strlist keys = {0};
	struct store_request *requests = calloc(texts->count, sizeof *requests);
	int code =
	        requests ? request_each(pattern, texts, submit->batch ? &keys : NULL, requests, err)
	                 : vega_fail_nomem(err);
	if (code == 0) {
		code = store_jobs(submit->store, requests, texts->count, err);
	}
	if (code == 0) {
		code = print_ids(requests, texts->count, err);
	}
	free(requests);
	strlist_release(&keys);
	return code;
}

static int run(const struct submit *submit, struct spec *spec, struct vega_error *err)
{
	const struct submit_rules rules = {.roots = &submit->root, .check = engine_check};
	struct store_request pattern = {.submitter = cmd_user()};
	struct strlist texts = {0};
	struct buf labels = BUF_INIT;
	int code = fill_request(submit, &pattern, &labels, err);
	if (code == 0) {
		pattern.labels = buf_cstr(&labels);
		code = pattern.labels ? 0 : vega_fail_nomem(err);
	}
	if (code == 0) {
		code = submit->batch ? read_batch(submit, spec, &texts, err)
		                     : submit_add_spec(spec, &rules, &texts, err);
	}
	if (code == 0) {
		code = submit->dry_run ? print_specs(&texts, err)
		                       : submit_all(submit, &pattern, &texts, err);
	}
	strlist_release(&texts);
	buf_release(&labels);
	return code;
}

int main(int argc, char **argv)
{
	struct submit submit = {0};
	struct spec spec;
	struct vega_error err = {0};
	struct option_table tables[] = {
	        {rows, sizeof rows / sizeof *rows, &submit},
	        [1 + SPEC_TABLES] = {option_common_rows, option_common_count, &submit.common},
	};
	const size_t count = sizeof tables / sizeof *tables;
	cmd_begin("vega-submit");
	signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error to tell, not a death */
	spec_init(&spec);
	spec_tables(&spec, tables + 1);
	int status = 0;
	int code = spec_parse_argv(&spec, tables, count, &submit.files0_from, argc, argv, &err);
	if (!cmd_common(&submit.common, &help, tables, count, &status)) {
		if (code != 0) {
			status = cmd_usage_error(&err);
		} else if (run(&submit, &spec, &err) != 0) {
			status = cmd_error(&err);
		}
	}
	option_release(rows, sizeof rows / sizeof *rows, &submit);
	spec_release(&spec);
	return status;
}
