/*
 * Messages to a service manager: signs of life, readiness, and a line of status when it changed.
 */
#include "worker/worker_internal.h"

#include <stdio.h>
#include <string.h>

#define STATUS_GAP_MS 1000

uint64_t worker_watchdog_at(const struct worker *w)
{
	bool wanted = w->config->notify && w->config->watchdog_ms;
	return wanted ? w->watchdog_fed + w->config->watchdog_ms / 2 : UINT64_MAX;
}

void worker_feed_watchdog(struct worker *w)
{
	uint64_t now = worker_now();
	if (now >= worker_watchdog_at(w)) {
		w->watchdog_fed = now;
		w->config->notify("WATCHDOG=1");
	}
}

static const char *doing(const struct worker *w)
{
	if (w->failures) {
		return w->away_code == VEGA_UNAVAILABLE ? "The store is unreachable"
		                                        : "The store rejects requests";
	}
	if (worker_stopping(w)) {
		return "Stopping";
	}
	return w->refusals ? "The store rejects claims" : "Working";
}

void worker_tell_status(struct worker *w)
{
	char status[sizeof w->status];
	const struct worker_counts *counts = w->counts;
	uint64_t now = worker_now();
	bool ready = w->claim_answered && !w->told_ready;
	bool stopping = worker_stopping(w) && !w->told_stopping;
	if (!w->config->notify || (!ready && !stopping && now < w->status_sent + STATUS_GAP_MS)) {
		return;
	}
	snprintf(status, sizeof status,
	        "%s%sSTATUS=%s; %u of %u jobs running; %llu completed, %llu failed, %llu to be "
	        "retried",
	        ready ? "READY=1\n" : "", stopping ? "STOPPING=1\n" : "", doing(w), w->running,
	        w->config->jobs, (unsigned long long)counts->completed,
	        (unsigned long long)counts->failed, (unsigned long long)counts->retried);
	if (strcmp(status, w->status) != 0) {
		if (!w->config->notify(status)) {
			return;
		}
		memcpy(w->status, status, sizeof status);
		w->status_sent = now;
	}
	w->told_ready |= ready;
	w->told_stopping |= stopping;
}
