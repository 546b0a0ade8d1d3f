#include "job_text.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

#include "base/escape.h"
#include "spec/spec.h"

#define WIDE 110       /* columns from which the queue and the duration are shown too */
#define ROOTS_NAMED 3u /* the others are counted */

static uint64_t between(struct vega_time from, struct vega_time to)
{
	int64_t seconds = to.sec - from.sec;
	int64_t nanoseconds = (int64_t)to.nsec - from.nsec;
	if (nanoseconds < 0) {
		seconds--;
		nanoseconds += 1000000000;
	}
	return seconds < 0 ? 0 : (uint64_t)seconds * 1000000000 + (uint64_t)nanoseconds;
}

static bool known(struct vega_time when)
{
	return when.sec || when.nsec;
}

/* Of the attempt that runs or ran last; "-" before the first. */
static void add_duration(struct buf *out, const struct job *job)
{
	if (!known(job->started) || job->state == JOB_PENDING) {
		buf_add_char(out, '-');
	} else {
		format_duration(out,
		        between(job->started, known(job->finished) ? job->finished : vega_now()));
	}
}

static void add_escaped(struct buf *out, const char *text)
{
	escape_terminal(out, text, strlen(text));
}

static void add_spec(struct buf *out, const struct spec *spec)
{
	const char *separator = "";
	for (unsigned i = 0; spec_operations[i]; i++) {
		if (spec->operations & 1u << i) {
			buf_printf(out, "%s%s", separator, spec_operations[i]);
			separator = ",";
		}
	}
	for (size_t i = 0; i < spec->roots.count && i < ROOTS_NAMED; i++) {
		buf_add_char(out, ' ');
		add_escaped(out, spec->roots.items[i]);
	}
	if (spec->roots.count > ROOTS_NAMED) {
		buf_printf(out, " (and %zu more)", spec->roots.count - ROOTS_NAMED);
	}
	if (spec->out) {
		buf_add_str(out, " to ");
		add_escaped(out, spec->out);
	}
}

static void add_what(struct buf *out, const struct job *job)
{
	struct spec spec;
	spec_init(&spec);
	if (job->spec && spec_parse_json(&spec, job->spec, strlen(job->spec), NULL) == 0) {
		add_spec(out, &spec);
	} else {
		buf_add_str(out, "(a specification that this version does not understand)");
	}
	spec_release(&spec);
}

static double number(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
	return cJSON_IsNumber(item) && item->valuedouble > 0 ? item->valuedouble : 0;
}

static void add_counts(struct buf *out, const cJSON *counts)
{
	double bytes = number(counts, "bytes"), errors = number(counts, "errors");
	format_count(out, (unsigned __int128)number(counts, "entries"));
	buf_add_str(out, " entries");
	if (bytes > 0) {
		buf_add_str(out, ", ");
		format_size(out, (unsigned __int128)bytes);
	}
	if (errors > 0) {
		buf_add_str(out, ", ");
		format_count(out, (unsigned __int128)errors);
		buf_add_str(out, errors > 1 ? " errors" : " error");
	}
}

void job_text_progress(struct buf *out, const struct job *job)
{
	const char *json = job->summary ? job->summary : job->progress;
	cJSON *parsed = json ? cJSON_Parse(json) : NULL;
	buf_add_str(out, job_state_name(job->state));
	if (job_state_terminal(job->state) && known(job->started)) {
		buf_add_str(out, " in ");
		add_duration(out, job);
	}
	if (job->summary && parsed) {
		buf_add_str(out, ": ");
		add_counts(out, cJSON_GetObjectItemCaseSensitive(parsed, "ledger"));
	} else if (job->state == JOB_PROCESSING && parsed) {
		buf_add_str(out, ", ");
		add_counts(out, parsed);
	}
	if (job->cancel_requested && !job_state_terminal(job->state)) {
		buf_add_str(out, ", to be cancelled");
	}
	cJSON_Delete(parsed);
}

void job_text_fit(struct buf *out, const char *text, size_t len, size_t width)
{
	if (display_width(text, len) <= width) {
		buf_add(out, text, len);
		return;
	}
	size_t end = 0, used = 0;
	while (end < len) {
		uint32_t code;
		size_t step = utf8_decode(text + end, len - end, &code);
		step = step ? step : 1;
		used += display_width(text + end, step);
		if (used + 1 > width) {
			break;
		}
		end += step;
	}
	buf_add(out, text, end);
	buf_add_char(out, '>');
}

/* --- the list --------------------------------------------------------------------------------- */

static const char plain_row[] = "%-36s  %-10s  %9s  ",
                  wide_row[] = "%-36s  %-10s  %9s  %9s  %-12s  ";

static size_t rest_of(unsigned width)
{
	size_t used = width >= WIDE ? 36 + 10 + 9 + 9 + 12 + 5 * 2 : 36 + 10 + 9 + 3 * 2;
	return width > used + 8 ? width - used : 8;
}

void job_text_header(struct buf *out, unsigned width)
{
	if (width >= WIDE) {
		buf_printf(out, wide_row, "JOB", "STATE", "AGE", "TIME", "QUEUE");
	} else {
		buf_printf(out, plain_row, "JOB", "STATE", "AGE");
	}
	buf_add_str(out, "WHAT\n");
}

static void add_tabbed(struct buf *out, const struct job *job)
{
	buf_printf(out, "%s\t%s\t", job->id, job_state_name(job->state));
	add_escaped(out, job->queue);
	buf_add_char(out, '\t');
	add_escaped(out, job->submitter);
	buf_add_char(out, '\t');
	format_time(out, job->created);
	buf_add_char(out, '\t');
	add_what(out, job);
	buf_add_char(out, '\n');
}

void job_text_row(struct buf *out, const struct job *job, unsigned width)
{
	if (!width) {
		add_tabbed(out, job);
		return;
	}
	struct buf age = BUF_INIT, took = BUF_INIT, queue = BUF_INIT, full = BUF_INIT;
	format_duration(&age, between(job->created, vega_now()));
	add_duration(&took, job);
	escape_terminal(&full, job->queue, strlen(job->queue));
	job_text_fit(&queue, full.data, full.len, 12);
	buf_clear(&full);
	if (job->state == JOB_PROCESSING && (job->progress || job->cancel_requested)) {
		job_text_progress(&full, job);
		/* the state has its own column */
		size_t skip = strlen(job_state_name(job->state)) + 2;
		memmove(full.data, full.data + skip, full.len - skip);
		full.len -= skip;
		buf_add_str(&full, ": ");
	}
	add_what(&full, job);
	if (buf_cstr(&age) && buf_cstr(&took) && buf_cstr(&queue) && buf_cstr(&full)) {
		const char *state = job_state_name(job->state);
		if (width >= WIDE) {
			buf_printf(out, wide_row, job->id, state, age.data, took.data, queue.data);
		} else {
			buf_printf(out, plain_row, job->id, state, age.data);
		}
		job_text_fit(out, full.data, full.len, rest_of(width));
		buf_add_char(out, '\n');
	} else {
		out->failed = true;
	}
	buf_release(&age);
	buf_release(&took);
	buf_release(&queue);
	buf_release(&full);
}

/* --- one job ---------------------------------------------------------------------------------- */

static void begin_line(struct buf *out, const char *name)
{
	buf_printf(out, "%-11s ", name);
}

static void text_line(struct buf *out, const char *name, const char *text)
{
	if (text && *text) {
		begin_line(out, name);
		add_escaped(out, text);
		buf_add_char(out, '\n');
	}
}

static void time_line(struct buf *out, const char *name, struct vega_time when)
{
	if (!known(when)) {
		return;
	}
	begin_line(out, name);
	format_time(out, when);
	struct vega_time now = vega_now();
	bool past = vega_time_compare(when, now) <= 0;
	buf_add_str(out, past ? " (" : " (in ");
	format_duration(out, past ? between(when, now) : between(now, when));
	buf_add_str(out, past ? " ago)\n" : ")\n");
}

/* Its lines one below the other, each escaped. */
static void tail_lines(struct buf *out, const char *tail)
{
	const char *name = "stderr";
	while (tail && *tail) {
		size_t len = strcspn(tail, "\n");
		begin_line(out, name);
		escape_terminal(out, tail, len);
		buf_add_char(out, '\n');
		tail += len + (tail[len] == '\n');
		name = "";
	}
}

static void label_lines(struct buf *out, const char *labels)
{
	cJSON *parsed = labels ? cJSON_Parse(labels) : NULL;
	const cJSON *label;
	cJSON_ArrayForEach(label, parsed)
	{
		begin_line(out, "label");
		add_escaped(out, label->string);
		buf_add_char(out, '=');
		add_escaped(out, cJSON_IsString(label) ? label->valuestring : "?");
		buf_add_char(out, '\n');
	}
	cJSON_Delete(parsed);
}

static void records_line(struct buf *out, const struct job *job)
{
	if (!job->records_size) {
		return;
	}
	begin_line(out, "records");
	format_size(out, job->records_size);
	if (job->records_uri) {
		buf_add_str(out, " in ");
		add_escaped(out, job->records_uri);
	}
	buf_add_char(out, '\n');
}

void job_text_full(struct buf *out, const struct job *job)
{
	text_line(out, "job", job->id);
	begin_line(out, "what");
	add_what(out, job);
	buf_add_char(out, '\n');
	begin_line(out, "state");
	job_text_progress(out, job);
	buf_add_char(out, '\n');
	text_line(out, "error", job->error);
	begin_line(out, "attempt");
	buf_printf(out, "%u of %u\n", job->attempt, job->max_attempts);
	begin_line(out, "queue");
	add_escaped(out, job->queue);
	buf_printf(out, ", priority %d\n", job->priority);
	text_line(out, "submitter", job->submitter);
	text_line(out, "key", job->idempotency_key);
	label_lines(out, job->labels);
	time_line(out, "created", job->created);
	time_line(out, "not before", job->not_before);
	time_line(out, "started", job->started);
	time_line(out, "finished", job->finished);
	text_line(out, "worker", job->worker);
	records_line(out, job);
	tail_lines(out, job->stderr_tail);
	text_line(out, "spec", job->spec);
}

void job_text_json(struct buf *out, const struct job *job)
{
	struct json json = json_writer(out);
	job_to_json(job, &json);
	buf_add_char(out, '\n');
}
