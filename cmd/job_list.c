/* The list of jobs: columns on a terminal, tabs or JSON elsewhere; written piece by piece. */
#include "job_list.h"

#include <unistd.h>

#include "base/escape.h"
#include "base/fd.h"
#include "cmd.h"
#include "job/text.h"
#include "job_print.h"

#define LIMIT_ON_TERMINAL 20
#define CHUNK 65536 /* bytes, so that a long list is not kept in memory */
#define WIDE 110    /* columns from which the queue and the duration are shown too */
#define REST_MIN 8  /* columns of what a job does, however narrow the terminal */

static const char narrow_row[] = "%-36s  %-10s  %9s  ";
static const char wide_row[] = "%-36s  %-10s  %9s  %9s  %-12s  ";
enum { NARROW_USED = 61, WIDE_USED = 86, QUEUE_WIDTH = 12 };

struct listing {
	struct buf out;
	bool json, more;
	unsigned width; /* 0: no terminal */
	unsigned limit, count;
	int failed; /* a code, with *err filled */
	struct vega_error *err;
};

static void add_header(struct buf *out, unsigned width)
{
	if (width >= WIDE) {
		buf_printf(out, wide_row, "JOB", "STATE", "AGE", "TIME", "QUEUE");
	} else {
		buf_printf(out, narrow_row, "JOB", "STATE", "AGE");
	}
	buf_add_str(out, "WHAT\n");
}

static void add_tabbed(struct buf *out, const struct job *job)
{
	buf_printf(out, "%s\t%s\t", job->id, job_state_name(job->state));
	escape_terminal(out, job->queue, strlen(job->queue));
	buf_add_char(out, '\t');
	escape_terminal(out, job->submitter, strlen(job->submitter));
	buf_add_char(out, '\t');
	format_time(out, job->created);
	buf_add_char(out, '\t');
	job_text_what(out, job);
	buf_add_char(out, '\n');
}

/* What it does, after how far it is. */
static void add_rest(struct buf *out, const struct job *job, size_t width)
{
	struct buf text = BUF_INIT;
	if (job->state == JOB_PROCESSING && (job->progress || job->cancel_requested)) {
		job_text_progress(&text, job, false);
		buf_add_str(&text, ": ");
	}
	job_text_what(&text, job);
	job_text_fit(out, text.data, text.len, width);
	out->failed |= text.failed;
	buf_release(&text);
}

static void add_columns(struct buf *out, const struct job *job, unsigned width)
{
	struct buf age = BUF_INIT, took = BUF_INIT, name = BUF_INIT, queue = BUF_INIT;
	bool wide = width >= WIDE;
	size_t used = wide ? WIDE_USED : NARROW_USED;
	job_text_age(&age, job);
	job_text_duration(&took, job);
	escape_terminal(&name, job->queue, strlen(job->queue));
	job_text_fit(&queue, name.data, name.len, QUEUE_WIDTH);
	if (!buf_cstr(&age) || !buf_cstr(&took) || !buf_cstr(&queue)) {
		out->failed = true;
	} else if (wide) {
		buf_printf(out, wide_row, job->id, job_state_name(job->state), age.data, took.data,
		        queue.data);
	} else {
		buf_printf(out, narrow_row, job->id, job_state_name(job->state), age.data);
	}
	add_rest(out, job, width > used + REST_MIN ? width - used : REST_MIN);
	buf_add_char(out, '\n');
	buf_release(&age);
	buf_release(&took);
	buf_release(&name);
	buf_release(&queue);
}

static int add_job(const struct job *job, void *context)
{
	struct listing *list = context;
	if (list->limit && list->count == list->limit) {
		list->more = true;
		return 1;
	}
	if (list->json) {
		job_text_json(&list->out, job);
	} else if (!list->width) {
		add_tabbed(&list->out, job);
	} else {
		if (!list->count) {
			add_header(&list->out, list->width);
		}
		add_columns(&list->out, job, list->width);
	}
	list->count++;
	if (list->out.len >= CHUNK) {
		list->failed = print_buf(&list->out, list->err);
	}
	return list->failed;
}

int job_list(
        struct job_source *source, const struct job_list_options *options, struct vega_error *err)
{
	bool terminal = isatty(STDOUT_FILENO);
	struct listing list = {.err = err, .json = options->json};
	struct store_filter filter = options->filter;
	list.width = terminal ? terminal_width(STDOUT_FILENO) : 0;
	list.limit = options->limited ? options->limit : terminal ? LIMIT_ON_TERMINAL : 0;
	filter.parts = STORE_PART_SPEC;
	filter.limit = list.limit ? list.limit + 1 : 0;
	int code = job_source_store(source, err);
	if (code == 0) {
		code = source->store->driver->list(source->store, &filter, add_job, &list, err);
	}
	code = list.failed ? list.failed : code;
	if (code == 0) {
		code = print_buf(&list.out, err);
	}
	if (code == 0 && list.more && !options->limited) {
		cmd_message("these are the newest jobs; --limit 0 lists all");
	}
	buf_release(&list.out);
	return code;
}
