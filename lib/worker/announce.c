/*
 * The worker's row among the workers of the store: written when it is due, removed at the end.
 * Nothing depends on it, so a refusal is reported once and forgotten.
 */
#include "worker/worker_internal.h"

#include <unistd.h>

static bool add_queues(struct buf *out, const struct strlist *queues)
{
	struct json json = json_writer(out);
	json_array_begin(&json);
	for (size_t i = 0; i < queues->count; i++) {
		json_str(&json, queues->items[i]);
	}
	json_array_end(&json);
	return buf_cstr(out) != NULL;
}

static int announce(struct worker *w, struct vega_error *err)
{
	char host[256] = "localhost";
	struct buf queues = BUF_INIT;
	gethostname(host, sizeof host - 1);
	struct store_worker self = {.name = w->name,
	        .host = host,
	        .version = VEGA_VERSION,
	        .pid = (int)getpid(),
	        .jobs = w->config->jobs,
	        .running = w->running,
	        .lease_ms = w->config->lease_ms};
	int code = add_queues(&queues, &w->config->queues) ? 0 : vega_fail_nomem(err);
	if (code == 0) {
		self.queues = queues.data;
		code = w->store->driver->announce(w->store, &self, err);
	}
	buf_release(&queues);
	return code;
}

void worker_announce(struct worker *w)
{
	struct vega_error err;
	bool leaving = worker_stopping(w) && !w->running;
	if (leaving || worker_now() < w->announce_at || !worker_store_ready(w)) {
		return;
	}
	int code = announce(w, &err);
	if (code == VEGA_UNAVAILABLE) {
		worker_store_away(w, &err);
		return;
	}
	if (code == 0) {
		worker_store_back(w);
	} else if (!w->announced) {
		worker_report(w, TROUBLE, "not listed among the workers: %s", err.text);
	}
	w->announced = true;
	w->announce_at = worker_now() + (w->running ? w->config->lease_ms / 4 : STORE_ANNOUNCE_MS);
}

void worker_leave(struct worker *w)
{
	struct vega_error err;
	if (w->announced && !w->failures && w->store->driver->leave(w->store, w->name, &err) < 0) {
		worker_report(w, DETAIL, "still listed among the workers: %s", err.text);
	}
}
