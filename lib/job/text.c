/*
 * Jobs as people read them: a line of a list, the progress, all members, and the verdict on a job
 * that has ended. Text from a store passes escape_terminal() on its way.
 */
#include "job/text.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

#include "base/escape.h"
#include "record/scan.h"
#include "spec/spec.h"

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

void job_text_age(struct buf *out, const struct job *job)
{
	format_duration(out, between(job->created, vega_now()));
}

void job_text_duration(struct buf *out, const struct job *job)
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
	const struct operation *operation;
	const char *separator = "";
	for (unsigned i = 0; (operation = spec_next_operation(spec, &i)); separator = ",") {
		buf_printf(out, "%s%s", separator, operation->name);
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

static void add_strings(struct buf *out, const cJSON *array, const char *separator)
{
	const cJSON *item;
	const char *before = "";
	cJSON_ArrayForEach(item, array)
	{
		buf_add_str(out, before);
		add_escaped(out, cJSON_IsString(item) ? item->valuestring : "(?)");
		before = separator;
	}
}

/* One that cannot be taken as it is: of a newer version, or with a user that is unknown here. */
static void add_foreign_spec(struct buf *out, const char *spec)
{
	cJSON *json = cJSON_Parse(spec);
	add_strings(out, cJSON_GetObjectItemCaseSensitive(json, "operations"), ",");
	buf_add_char(out, ' ');
	add_strings(out, cJSON_GetObjectItemCaseSensitive(json, "roots"), " ");
	cJSON_Delete(json);
}

void job_text_what(struct buf *out, const struct job *job)
{
	struct spec spec;
	spec_init(&spec);
	if (spec_parse_json(&spec, job->spec, strlen(job->spec), NULL) == 0) {
		add_spec(out, &spec);
	} else {
		add_foreign_spec(out, job->spec);
	}
	spec_release(&spec);
}

static void add_counts(struct buf *out, struct scan_value counts)
{
	unsigned __int128 bytes = scan_count(scan_member(counts, "bytes"));
	unsigned __int128 errors = scan_count(scan_member(counts, "errors"));
	format_counted(out, scan_count(scan_member(counts, "entries")), "entry", "entries");
	if (bytes > 0) {
		buf_add_str(out, ", ");
		format_size(out, bytes);
	}
	if (errors > 0) {
		buf_add_str(out, ", ");
		format_counted(out, errors, "error", "errors");
	}
}

static void add_part(struct buf *out, size_t start, const char *separator)
{
	if (out->len > start) {
		buf_add_str(out, separator);
	}
}

void job_text_progress(struct buf *out, const struct job *job, bool with_state)
{
	const char *json = job->summary ? job->summary : job->progress;
	struct scan_value counts = json ? scan_text(json, strlen(json)) : (struct scan_value){0};
	bool over = job_state_terminal(job->state);
	size_t start = out->len;
	if (with_state || over) {
		buf_add_str(out, job_state_name(job->state));
	}
	if (over && known(job->started)) {
		buf_add_str(out, " in ");
		job_text_duration(out, job);
	}
	if (over && job->summary && counts.at) {
		buf_add_str(out, ": ");
		add_counts(out, scan_member(counts, "ledger"));
	} else if (job->state == JOB_PROCESSING && counts.at) {
		add_part(out, start, ", ");
		add_counts(out, counts);
	}
	if (job->cancel_requested && !over) {
		add_part(out, start, ", ");
		buf_add_str(out, "to be cancelled");
	}
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

static void limits_line(struct buf *out, const struct job_limits *limits)
{
	const char *separator = "";
	if (!limits->timeout_ms && !limits->memory_bytes && !limits->output_bytes) {
		return;
	}
	begin_line(out, "limits");
	if (limits->timeout_ms) {
		format_exact_duration(out, limits->timeout_ms);
		separator = ", ";
	}
	if (limits->memory_bytes) {
		buf_add_str(out, separator);
		format_exact_size(out, limits->memory_bytes);
		buf_add_str(out, " of memory");
		separator = ", ";
	}
	if (limits->output_bytes) {
		buf_add_str(out, separator);
		format_exact_size(out, limits->output_bytes);
		buf_add_str(out, " of output");
	}
	buf_add_char(out, '\n');
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
	job_text_what(out, job);
	buf_add_char(out, '\n');
	begin_line(out, "state");
	job_text_progress(out, job, true);
	buf_add_char(out, '\n');
	text_line(out, "error", job->error);
	begin_line(out, "attempt");
	buf_printf(out, "%u of %u\n", job->attempt, job->max_attempts);
	begin_line(out, "queue");
	add_escaped(out, job->queue);
	buf_printf(out, ", priority %d\n", job->priority);
	limits_line(out, &job->limits);
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

int job_verdict(const struct job *job, struct vega_error *err)
{
	if (job->state == JOB_COMPLETED && job->exit_code == vega_exit_status(VEGA_PARTIAL)) {
		if (job->error) {
			return vega_fail(
			        err, VEGA_PARTIAL, "job %s completed, but %s", job->id, job->error);
		}
		return vega_fail(err, VEGA_PARTIAL,
		        "job %s completed, but some entries could not be read or written; "
		        "--records names them",
		        job->id);
	}
	if (job->state == JOB_COMPLETED || !job_state_terminal(job->state)) {
		return 0;
	}
	const char *why = job->state == JOB_FAILED ? job->error : NULL;
	return vega_fail(err, VEGA_JOB_FAILED, "job %s %s%s%s", job->id,
	        job->state == JOB_FAILED ? "failed" : "was cancelled", why ? ": " : "",
	        why ? why : "");
}

int job_need_result(const struct job *job, struct vega_error *err)
{
	if (!job_state_terminal(job->state)) {
		return vega_fail(err, VEGA_NO,
		        "job %s is %s and has no result yet; wait for it with --wait", job->id,
		        job_state_name(job->state));
	}
	return job->state == JOB_COMPLETED ? 0 : job_verdict(job, err);
}
