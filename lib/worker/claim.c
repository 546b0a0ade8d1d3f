/*
 * Claiming jobs, and planning when to ask again: after what was found, refused, or due only later.
 */
#include "worker/worker_internal.h"

#include <string.h>

#include "base/check.h"
#include "base/killpoint.h"

#define BACKOFF_FIRST_MS 250
#define BACKOFF_MAX_MS 30000 /* while children cannot be started, or claims are refused */
#define POLL_IDLE_MS 10000   /* behind the store's own wake-up */
#define POLL_RUNNING_MS 1000 /* the children's output may keep us from waiting on the store */
#define CLAIM_GAP_MS 50      /* when another worker was faster, doubled with each that is in vain */
#define VAIN_MAX 4           /* 800 ms: what is due may be locked for long */

static void start(struct worker *w, struct job *job, uint64_t lease_end)
{
	unsigned i = 0;
	CHECK(w->running < w->config->jobs);
	while (w->attempts[i].phase != ATTEMPT_FREE) {
		i++;
	}
	struct attempt *attempt = &w->attempts[i];
	struct vega_error err;
	worker_tend(w); /* who this one runs as may have to be looked up */
	w->running++;
	w->claims++;
	worker_report(w, DETAIL, "%s started: attempt %u of %u", job->id, job->attempt,
	        job->max_attempts);
	job_limits_lower(&job->limits, &w->config->limits);
	attempt_begin(attempt, job, w->spool_dir, worker_now(), lease_end);
	if (worker_start(w, attempt, attempt->step, &err) == 0) {
		w->start_failures = 0;
		return;
	}
	worker_report(w, TROUBLE, "%s cannot be started: %s", attempt->job.id, err.text);
	w->start_failures++;
	if (w->config->mode != WORKER_FOREVER) {
		worker_give_up(w, &err);
	}
}

/* What is refused now may be restored, or granted again, but hardly what was refused from the
 * start. Meanwhile leases may be renewed and results stored. */
static void claim_failed(struct worker *w, const struct vega_error *err)
{
	if (err->code == VEGA_UNAVAILABLE) {
		worker_store_away(w, err);
		return;
	}
	if (w->config->mode != WORKER_FOREVER || !w->claim_answered) {
		worker_give_up(w, err);
		return;
	}
	if (!w->refusals || strcmp(w->refusal.text, err->text) != 0) {
		worker_report(w, TROUBLE, "the store rejects claims, retrying: %s", err->text);
	}
	w->refusal = *err;
	w->refusals += w->refusals < 8;
	uint64_t most = least(BACKOFF_MAX_MS, w->config->lease_ms);
	uint64_t pause = least(most, (uint64_t)BACKOFF_FIRST_MS << w->refusals);
	w->claim_at = worker_now() + pause / 2 + worker_random(pause / 2);
}

static void claims_answered(struct worker *w)
{
	if (w->refusals) {
		worker_report(w, TROUBLE, "the store accepts claims again");
		w->refusals = 0;
	}
}

/* What is due cannot be had for so long that nobody works on it: others have locked it. */
static void give_up_locked(struct worker *w)
{
	struct vega_error err;
	vega_fail(&err, VEGA_UNAVAILABLE,
	        "jobs are due, but others keep their rows locked in the store; nothing was lost, "
	        "try "
	        "again when they have ended");
	worker_give_up(w, &err);
}

/*
 * After a claim that found less than was wanted: when could there be more? --drain ends when
 * nothing is due and nothing waits for another attempt; jobs that are scheduled for later, or that
 * workers are at work on elsewhere, do not keep it.
 */
static void plan_claim(struct worker *w)
{
	struct vega_error err;
	worker_tend(w);
	if (!worker_store_ready(w)) {
		return;
	}
	bool idle = w->config->mode == WORKER_DRAIN && !w->running;
	uint64_t limit = w->running ? POLL_RUNNING_MS : POLL_IDLE_MS, due = limit;
	int code = w->store->driver->next_due(w->store, &w->config->queues, limit, &due, &err);
	if (code == 0 && due > 0 && idle) {
		code = worker_drained(w, &due, &err);
	}
	if (code < 0) {
		claim_failed(w, &err);
		return;
	}
	claims_answered(w);
	w->vain = due ? 0 : w->vain + (w->vain < VAIN_MAX);
	w->vain_since = w->vain > 1 ? w->vain_since : worker_now();
	if (idle && w->vain && worker_now() - w->vain_since >= w->config->lease_ms) {
		give_up_locked(w);
		return;
	}
	if (due < limit) {
		uint64_t gap = (uint64_t)CLAIM_GAP_MS << (w->vain ? w->vain - 1 : 0);
		due += gap + worker_random(gap);
	} else {
		due -= worker_random(limit / 4);
	}
	w->claim_at = worker_now() + due;
}

struct store_claim worker_wanted(const struct worker *w, unsigned room)
{
	return (struct store_claim){.worker = w->name,
	        .queues = &w->config->queues,
	        .max = room,
	        .lease_ms = w->config->lease_ms};
}

void worker_take(struct worker *w, unsigned count, unsigned room, uint64_t sent)
{
	CHECK(count <= room);
	w->claim_answered = true;
	w->claim_sent = sent;
	if (!w->running) {
		w->beat_sent = sent;
		w->beat_at = sent + w->config->lease_ms / 4;
	}
	w->vain = count ? 0 : w->vain;
	for (unsigned i = 0; i < count; i++) {
		start(w, &w->claimed[i], sent + w->config->lease_ms);
	}
	if (w->start_failures) {
		unsigned doublings = w->start_failures < 8 ? w->start_failures : 8;
		w->claim_at = worker_now() + BACKOFF_FIRST_MS +
		              worker_random(least(
		                      BACKOFF_MAX_MS, (uint64_t)BACKOFF_FIRST_MS << doublings));
	} else if (count < room && w->config->mode == WORKER_ONCE) {
		w->drained = true;
	} else if (count < room) {
		plan_claim(w);
	} else {
		claims_answered(w);
	}
}

void worker_claim(struct worker *w)
{
	unsigned room = w->config->mode == WORKER_ONCE ? 1 : w->config->jobs - w->running;
	if (worker_stopping(w) || !room || worker_now() < w->claim_at || !worker_store_ready(w)) {
		return;
	}
	struct vega_error err;
	const struct store_claim wanted = worker_wanted(w, room);
	uint64_t sent = worker_now();
	KILL_POINT(claim);
	int count = w->store->driver->claim(w->store, &wanted, w->claimed, &err);
	KILL_POINT(claimed);
	if (count < 0) {
		claim_failed(w, &err);
		return;
	}
	worker_store_back(w);
	worker_take(w, (unsigned)count, room, sent);
}
