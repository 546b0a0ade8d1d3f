/*
 * The numbers of a store as text, JSON or metrics. One table names each number in all three; a new
 * one is a row of it, and for Prometheus a line of help.
 */
#include "store/stats.h"

#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "base/json.h"

/* Each number of a queue: how JSON names it, the heading of its column (NULL: text has none), and
 * its metric. */
static const struct number {
	const char *key, *heading;
	const char *metric, *labels; /* besides the queue */
	size_t offset;
	bool milliseconds;
} numbers[] = {
#define NUMBER(member) offsetof(struct store_stats, member)
        {"pending", "PENDING", "vega_jobs", "state=\"pending\"", NUMBER(jobs[JOB_PENDING]), false},
        {"processing", "RUNNING", "vega_jobs", "state=\"processing\"", NUMBER(jobs[JOB_PROCESSING]),
                false},
        {"completed", "COMPLETED", "vega_jobs", "state=\"completed\"", NUMBER(jobs[JOB_COMPLETED]),
                false},
        {"partial", "PARTIAL", "vega_jobs_partial", NULL, NUMBER(partial), false},
        {"failed", "FAILED", "vega_jobs", "state=\"failed\"", NUMBER(jobs[JOB_FAILED]), false},
        {"cancelled", "CANCELLED", "vega_jobs", "state=\"cancelled\"", NUMBER(jobs[JOB_CANCELLED]),
                false},
        {"due", "DUE", "vega_jobs_due", NULL, NUMBER(due), false},
        {"oldest_due_ms", "OLDEST", "vega_jobs_oldest_due_age_seconds", NULL, NUMBER(oldest_due_ms),
                true},
        {"retried", "RETRIED", "vega_jobs_retried", NULL, NUMBER(retried), false},
        {"leases", NULL, "vega_leases", "state=\"held\"", NUMBER(leases), false},
        {"expired_leases", "EXPIRED", "vega_leases", "state=\"expired\"", NUMBER(expired), false},
        {"stateless", NULL, "vega_jobs_stateless", NULL, NUMBER(stateless), false},
        {"started_last_minute", NULL, "vega_jobs_started_last_minute", NULL,
                NUMBER(last[STORE_LAST_MINUTE].started), false},
        {"started_last_hour", NULL, "vega_jobs_started_last_hour", NULL,
                NUMBER(last[STORE_LAST_HOUR].started), false},
#define ENDED(window, name, state, STATE) \
	{ \
		state "_last_" name, NULL, "vega_jobs_ended_last_" name, "state=\"" state "\"", \
		        NUMBER(last[window].ended[STATE]), false \
	}
        ENDED(STORE_LAST_MINUTE, "minute", "completed", JOB_COMPLETED),
        ENDED(STORE_LAST_MINUTE, "minute", "failed", JOB_FAILED),
        ENDED(STORE_LAST_MINUTE, "minute", "cancelled", JOB_CANCELLED),
        ENDED(STORE_LAST_HOUR, "hour", "completed", JOB_COMPLETED),
        ENDED(STORE_LAST_HOUR, "hour", "failed", JOB_FAILED),
        ENDED(STORE_LAST_HOUR, "hour", "cancelled", JOB_CANCELLED),
};
#define NUMBERS (sizeof numbers / sizeof *numbers)

static const struct {
	const char *metric, *help;
} metrics[] = {
        {"vega_jobs", "Jobs in the store."},
        {"vega_jobs_due", "Pending jobs that a worker may claim now."},
        {"vega_jobs_oldest_due_age_seconds",
                "How long the first of the due jobs has been waiting."},
        {"vega_jobs_retried", "Jobs in the store that had more than one attempt."},
        {"vega_jobs_partial", "Completed jobs that could not read or write some entries."},
        {"vega_jobs_stateless", "Jobs that were stored without a state, and will not run."},
        {"vega_leases", "Leases of jobs that are being processed."},
        {"vega_jobs_started_last_minute", "Jobs whose last attempt began within a minute."},
        {"vega_jobs_started_last_hour", "Jobs whose last attempt began within an hour."},
        {"vega_jobs_ended_last_minute", "Jobs that ended within a minute."},
        {"vega_jobs_ended_last_hour", "Jobs that ended within an hour."},
};

struct report {
	struct store_stats *queues; /* their names are owned */
	size_t count, room;
	uint64_t alive, lost; /* workers */
	bool nomem;
};

static int add_queue(const struct store_stats *stats, void *context)
{
	struct report *report = context;
	if (report->count == report->room) {
		size_t room = report->room ? report->room * 2 : 8;
		void *larger = realloc(report->queues, room * sizeof *report->queues);
		report->nomem = !larger;
		if (!larger) {
			return 1;
		}
		report->queues = larger;
		report->room = room;
	}
	struct store_stats *added = &report->queues[report->count];
	*added = *stats;
	added->queue = strdup(stats->queue);
	report->nomem = !added->queue;
	report->count += !report->nomem;
	return report->nomem;
}

static int add_worker(const struct store_worker *worker, void *context)
{
	struct report *report = context;
	report->alive += worker->alive;
	report->lost += !worker->alive;
	return 0;
}

static uint64_t value_of(const struct store_stats *stats, const struct number *number)
{
	uint64_t value;
	memcpy(&value, (const char *)stats + number->offset, sizeof value);
	return value;
}

static int width_of(const struct number *number)
{
	int least = number->milliseconds ? 9 : 7, heading = (int)strlen(number->heading);
	return heading > least ? heading : least;
}

static void add_cell(struct buf *out, const struct number *number, const struct store_stats *stats)
{
	struct buf text = BUF_INIT;
	uint64_t value = value_of(stats, number);
	if (number->milliseconds && value) {
		format_duration(&text, value * 1000000);
	} else if (number->milliseconds) {
		buf_add_char(&text, '-');
	} else {
		format_count(&text, value);
	}
	buf_printf(out, "%*s  ", width_of(number), buf_cstr(&text) ? text.data : "");
	out->failed |= text.failed;
	buf_release(&text);
}

static void add_text(struct buf *out, const struct report *report)
{
	for (size_t i = 0; report->count && i < NUMBERS; i++) {
		if (numbers[i].heading) {
			buf_printf(out, "%*s  ", width_of(&numbers[i]), numbers[i].heading);
		}
	}
	buf_add_str(out, report->count ? "QUEUE\n" : "no jobs\n");
	for (size_t q = 0; q < report->count; q++) {
		for (size_t i = 0; i < NUMBERS; i++) {
			if (numbers[i].heading) {
				add_cell(out, &numbers[i], &report->queues[q]);
			}
		}
		escape_terminal(out, report->queues[q].queue, strlen(report->queues[q].queue));
		buf_add_char(out, '\n');
	}
	buf_add_str(out, "workers: ");
	format_count(out, report->alive);
	buf_add_str(out, " alive, ");
	format_count(out, report->lost);
	buf_add_str(out, " lost\n");
}

static void add_json(struct buf *out, const struct report *report)
{
	struct json json = json_writer(out);
	json_object_begin(&json);
	json_member_str(&json, "type", "stats");
	json_member_u64(&json, "v", 1);
	json_key(&json, "queues");
	json_array_begin(&json);
	for (size_t q = 0; q < report->count; q++) {
		json_object_begin(&json);
		json_member_str(&json, "queue", report->queues[q].queue);
		for (size_t i = 0; i < NUMBERS; i++) {
			json_member_u64(
			        &json, numbers[i].key, value_of(&report->queues[q], &numbers[i]));
		}
		json_object_end(&json);
	}
	json_array_end(&json);
	json_member_u64(&json, "workers_alive", report->alive);
	json_member_u64(&json, "workers_lost", report->lost);
	json_object_end(&json);
	buf_add_char(out, '\n');
}

static void add_label(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n') {
			buf_add_str(out, "\\n");
			continue;
		}
		if (*text == '\\' || *text == '"') {
			buf_add_char(out, '\\');
		}
		buf_add_char(out, *text);
	}
}

static void add_sample(
        struct buf *out, const struct number *number, const struct store_stats *stats)
{
	uint64_t value = value_of(stats, number);
	buf_printf(out, "%s{queue=\"", number->metric);
	add_label(out, stats->queue);
	buf_printf(
	        out, "\"%s%s} ", number->labels ? "," : "", number->labels ? number->labels : "");
	buf_add_u64(out, number->milliseconds ? value / 1000 : value);
	if (number->milliseconds) {
		buf_printf(out, ".%03u", (unsigned)(value % 1000));
	}
	buf_add_char(out, '\n');
}

static void add_heading(struct buf *out, const char *metric, const char *about)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s gauge\n", metric, about, metric);
}

static void add_prometheus(struct buf *out, const struct report *report)
{
	for (size_t m = 0; m < sizeof metrics / sizeof *metrics; m++) {
		add_heading(out, metrics[m].metric, metrics[m].help);
		for (size_t i = 0; i < NUMBERS; i++) {
			for (size_t q = 0; strcmp(numbers[i].metric, metrics[m].metric) == 0 &&
			                   q < report->count;
			        q++) {
				add_sample(out, &numbers[i], &report->queues[q]);
			}
		}
	}
	add_heading(
	        out, "vega_workers", "Workers that have announced themselves and did not leave.");
	buf_printf(out, "vega_workers{state=\"alive\"} %llu\nvega_workers{state=\"lost\"} %llu\n",
	        (unsigned long long)report->alive, (unsigned long long)report->lost);
}

int stats_report(
        struct store *store, enum stats_format format, struct buf *out, struct vega_error *err)
{
	static void (*const writers[])(struct buf * out, const struct report *report) = {
	        [STATS_TEXT] = add_text,
	        [STATS_JSON] = add_json,
	        [STATS_PROMETHEUS] = add_prometheus,
	};
	struct report report = {.count = 0};
	int code = store->driver->stats(store, add_queue, &report, err);
	code = code ? code : store->driver->workers(store, add_worker, &report, err);
	if (code == 0 && report.nomem) {
		code = vega_fail_nomem(err);
	}
	if (code == 0) {
		writers[format](out, &report);
	}
	for (size_t q = 0; q < report.count; q++) {
		free((char *)report.queues[q].queue);
	}
	free(report.queues);
	return code;
}
