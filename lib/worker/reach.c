/*
 * Reaching the store: opening it, and leaving it alone for a while, longer each time and by chance,
 * after a call that failed.
 */
#include "worker/worker_internal.h"

#define BACKOFF_FIRST_MS 250
#define BACKOFF_MAX_MS 30000

void worker_store_away(struct worker *w, const struct vega_error *err)
{
	uint64_t now = worker_now();
	w->away_since = w->failures ? w->away_since : now;
	if (w->failures++ == 0 || w->away_code != err->code) {
		worker_report(w, TROUBLE, "the store %s, retrying: %s",
		        err->code == VEGA_UNAVAILABLE ? "is unreachable" : "rejects requests",
		        err->text);
	}
	w->away_code = err->code;
	uint64_t most = w->running ? worker_pause(w) : least(BACKOFF_MAX_MS, w->config->lease_ms);
	unsigned doublings = w->failures < 8 ? w->failures : 8;
	w->retry_at = now + 1 + worker_random(least(most, (uint64_t)BACKOFF_FIRST_MS << doublings));
	/* By then no lease can be ours, and nothing that is finished will be stored. */
	if (w->config->mode != WORKER_FOREVER && now - w->away_since >= w->config->lease_ms) {
		worker_give_up(w, err);
	}
}

void worker_store_back(struct worker *w)
{
	if (w->failures) {
		worker_report(w, TROUBLE, "the store is available again after %.1fs",
		        (double)(worker_now() - w->away_since) / 1000);
		w->failures = 0;
	}
}

bool worker_store_ready(struct worker *w)
{
	if (w->failures && worker_now() < w->retry_at && w->signals < 2) {
		return false;
	}
	if (w->store) {
		return true;
	}
	struct vega_error err;
	int code = w->open(w->config->store_url, worker_store_timeout(w), &w->store, &err);
	if (code == VEGA_UNAVAILABLE && w->config->mode == WORKER_FOREVER) {
		worker_store_away(w, &err);
	} else if (code < 0) {
		worker_give_up(w, &err);
	} else {
		worker_store_back(w);
	}
	return code == 0;
}
