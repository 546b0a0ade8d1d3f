/* The list of workers: columns on a terminal, tabs or JSON elsewhere. */
#include "worker_list.h"

#include <cjson/cJSON.h>
#include <string.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/json.h"
#include "job_print.h"

struct listing {
	struct buf out;
	bool json, terminal;
};

static const char *word_for(const struct store_worker *worker)
{
	return worker->alive ? "alive" : "lost";
}

static void add_escaped(struct buf *out, const char *text)
{
	escape_terminal(out, text, strlen(text));
}

/* "bulk,nightly"; "any" for none. */
static void add_queues(struct buf *out, const char *json)
{
	cJSON *queues = cJSON_Parse(json);
	const cJSON *queue;
	const char *separator = "";
	cJSON_ArrayForEach(queue, queues)
	{
		buf_add_str(out, separator);
		add_escaped(out, cJSON_IsString(queue) ? queue->valuestring : "?");
		separator = ",";
	}
	buf_add_str(out, *separator ? "" : "any");
	cJSON_Delete(queues);
}

static void add_json(struct buf *out, const struct store_worker *worker)
{
	struct json json = json_writer(out);
	json_object_begin(&json);
	json_member_str(&json, "type", "worker");
	json_member_u64(&json, "v", 1);
	json_member_str(&json, "name", worker->name);
	json_member_str(&json, "host", worker->host);
	json_key(&json, "pid");
	json_i64(&json, worker->pid);
	json_member_str(&json, "version", worker->version);
	json_key(&json, "alive");
	json_bool(&json, worker->alive);
	json_key(&json, "started");
	json_time(&json, worker->started.sec, worker->started.nsec);
	json_key(&json, "seen");
	json_time(&json, worker->seen.sec, worker->seen.nsec);
	json_member_u64(&json, "running", worker->running);
	json_member_u64(&json, "jobs", worker->jobs);
	json_member_u64(&json, "lease_ms", worker->lease_ms);
	json_key(&json, "queues");
	json_raw(&json, worker->queues, strlen(worker->queues));
	json_object_end(&json);
	buf_add_char(out, '\n');
}

static void add_tabbed(struct buf *out, const struct store_worker *worker)
{
	add_escaped(out, worker->name);
	buf_printf(out, "\t%s\t", word_for(worker));
	format_time(out, worker->seen);
	buf_printf(out, "\t%u/%u\t", worker->running, worker->jobs);
	add_escaped(out, worker->version);
	buf_add_char(out, '\t');
	add_queues(out, worker->queues);
	buf_add_char(out, '\n');
}

static void add_columns(struct buf *out, const struct store_worker *worker)
{
	struct buf seen = BUF_INIT, jobs = BUF_INIT;
	if (!out->len) {
		buf_printf(out, "%-5s  %13s  %9s  %-8s  %-30s  %s\n", "STATE", "SEEN", "RUNNING",
		        "VERSION", "WORKER", "QUEUES");
	}
	format_duration(&seen, worker->silent_ms * 1000000);
	buf_add_str(&seen, " ago");
	buf_printf(&jobs, "%u/%u", worker->running, worker->jobs);
	if (!buf_cstr(&seen) || !buf_cstr(&jobs)) {
		out->failed = true;
	} else {
		buf_printf(out, "%-5s  %13s  %9s  ", word_for(worker), seen.data, jobs.data);
		size_t start = out->len;
		add_escaped(out, worker->version);
		buf_printf(
		        out, "%*s  ", (int)(start + 8 > out->len ? start + 8 - out->len : 0), "");
		start = out->len;
		add_escaped(out, worker->name);
		buf_printf(
		        out, "%*s  ", (int)(start + 30 > out->len ? start + 30 - out->len : 0), "");
		add_queues(out, worker->queues);
		buf_add_char(out, '\n');
	}
	buf_release(&seen);
	buf_release(&jobs);
}

static int add_worker(const struct store_worker *worker, void *context)
{
	struct listing *list = context;
	(list->json ? add_json : list->terminal ? add_columns : add_tabbed)(&list->out, worker);
	return 0;
}

int worker_list(struct store *store, bool json, struct vega_error *err)
{
	struct listing list = {.json = json, .terminal = isatty(STDOUT_FILENO)};
	int code = store->driver->workers(store, add_worker, &list, err);
	code = code ? code : print_buf(&list.out, err);
	buf_release(&list.out);
	return code;
}
