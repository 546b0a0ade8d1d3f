/*
 * Leases: renewing them, and the clock rule: no child works on after its lease has ended.
 *
 * A lease of L ms ends, for this worker, L after the last good claim or heartbeat was *sent*. The
 * store counts from when it carried that out, which is later, so it never gives a job to another
 * worker before `lease_end` here (clocks are taken to run at one rate). Then:
 *
 *     sent     + L/4      + L/2            lease_end - L/4     - L/20  - L/40   lease_end
 *       |---------|---------|----------------------|--------------|-------|---------|
 *       beat      beat      beat                   A              B       C
 *
 *     A  worker_tend() kills the child (the margin). It runs before every call that may block.
 *     B  a call begun just before A has returned: no store call takes longer than L/5.
 *     C  halfway from B to the end, SIGALRM kills the child although the loop still waits
 *        (child/deadline.c): for a name that is being resolved, a file system that hangs.
 *
 * So the loop keeps the rule while it runs, the signal while the loop is blocked, and the kernel
 * when the worker is dead (PR_SET_PDEATHSIG). Nobody keeps it while the worker itself is stopped:
 * then the fence (lease_seq in every write) sees that nothing of it counts, and SIGALRM, pending,
 * kills the child before the worker's next step. A child that ends here is one of three cases:
 *
 *   A heartbeat is late, but answered. The store renewed the lease if nobody had claimed the job.
 *       loop:    tend (not yet A) -- heartbeat ............... answered; lease_end = sent + L
 *       SIGALRM:                              C: kill
 *   The lease is ours and the child is dead by our hand: deadline_set() says so, and the attempt is
 *   released, which costs the job nothing. (After an answer `lost`, it is lost as below.)
 *
 *   The store refuses, or is unreachable. Refused with progress, the call is repeated without, for
 *   one odd record must not cost every job its lease; with worker_tend() in between.
 *       loop:    heartbeat -- refused -- tend -- heartbeat -- refused ... (pauses below L/8) ... A
 *   At A the child is killed and the attempt is lost: nothing of it is stored.
 *
 *   SIGALRM comes while the loop waits in epoll_wait() or in the store's wait(). The timer of the
 *   loop was set for A, so this is a loop that could not run: a stopped or starved process.
 *       loop:    epoll_wait ........................... EINTR -- tend: past A, so lost
 *       SIGALRM:                              C: kill
 *   worker_tend() looks at the lease before it looks at the deadline, so `lost` wins over released.
 */
#include "base/check.h"
#include "base/killpoint.h"
#include "worker/worker_internal.h"

bool worker_lease_ends(const struct worker *w, const struct attempt *attempt, uint64_t now)
{
	return now + worker_margin(w) >= attempt->lease_end;
}

/* After the latest answer to a heartbeat that is sent in time. True: the one before has passed. */
static bool set_deadline(const struct worker *w, unsigned index)
{
	const struct attempt *attempt = &w->attempts[index];
	bool held = attempt->phase == ATTEMPT_RUNNING && attempt_holds_lease(attempt);
	CHECK(worker_store_timeout(w) < worker_margin(w));
	return deadline_set(index, held ? attempt->child.pid : 0,
	        attempt->lease_end - (worker_margin(w) - worker_store_timeout(w)) / 2);
}

void worker_watch_lease(const struct worker *w, const struct attempt *attempt)
{
	set_deadline(w, (unsigned)(attempt - w->attempts)); /* the one before was another child's */
	deadline_arm();
}

void worker_tend(struct worker *w)
{
	uint64_t now = worker_now();
	worker_feed_watchdog(w);
	for (unsigned i = 0; i < w->config->jobs; i++) {
		struct attempt *attempt = &w->attempts[i];
		if (attempt->phase == ATTEMPT_RUNNING && worker_lease_ends(w, attempt, now)) {
			attempt_stop(attempt, ENDING_LOST, "its lease could not be renewed in time",
			        now);
		}
		if (attempt->phase == ATTEMPT_OVER && attempt->again_at &&
		        (w->signals > 1 || worker_lease_ends(w, attempt, now))) {
			attempt_stop(attempt, ENDING_LOST, "its row is locked in the store", now);
		}
		attempt_tick(attempt, now);
		if (set_deadline(w, i) && attempt->phase == ATTEMPT_RUNNING) {
			attempt_stop(attempt, ENDING_RELEASE, NULL, now);
		}
	}
	deadline_arm();
}

static void lease_answered(struct worker *w, struct attempt *attempt,
        const struct store_lease *lease, uint64_t sent, uint64_t now)
{
	if (lease->lost && attempt->unanswered) {
		return; /* perhaps because it is over: finish() will tell */
	}
	if (lease->lost) {
		attempt_stop(attempt, ENDING_LOST, "its lease was taken over", now);
		return;
	}
	if (lease->kept) {
		return;
	}
	CHECK(sent + w->config->lease_ms >= attempt->lease_end);
	attempt->lease_end = sent + w->config->lease_ms;
	if (lease->progress) {
		attempt->stream.progress_is_new = false;
	}
	if (lease->cancel) {
		attempt_stop(attempt, ENDING_CANCEL, NULL, now);
	}
}

/* The leases held, in the order of their attempts, in w->leases; returns how many. */
static size_t gather_leases(struct worker *w, bool with_progress)
{
	size_t count = 0;
	for (unsigned i = 0; i < w->config->jobs; i++) {
		const struct attempt *attempt = &w->attempts[i];
		if (attempt_holds_lease(attempt)) {
			CHECK(attempt->lease.lease_seq == attempt->job.lease_seq);
			w->leases[count] = attempt->lease;
			w->leases[count++].progress =
			        with_progress && attempt->stream.progress_is_new
			                ? attempt->stream.progress.data
			                : NULL;
		}
	}
	return count;
}

static bool has_progress(const struct worker *w, size_t count)
{
	bool any = false;
	for (size_t i = 0; i < count; i++) {
		any = any || w->leases[i].progress;
	}
	return any;
}

void worker_heartbeat(struct worker *w)
{
	if (!w->running || worker_now() < w->beat_at || !worker_store_ready(w)) {
		return;
	}
	struct vega_error err;
	uint64_t sent = worker_now();
	size_t count = gather_leases(w, true);
	w->beat_at = sent + w->config->lease_ms / 4;
	if (!count) {
		return;
	}
	KILL_POINT(beat);
	int code = w->store->driver->heartbeat(
	        w->store, w->name, w->leases, count, w->config->lease_ms, &err);
	KILL_POINT(beaten);
	if (code < 0 && code != VEGA_UNAVAILABLE && has_progress(w, count)) {
		/* One child's odd progress must not cost the others their leases. */
		worker_report(w, TROUBLE,
		        "the store rejected a heartbeat, retrying without progress: %s", err.text);
		worker_tend(w);
		sent = worker_now();
		count = gather_leases(w, false);
		code = w->store->driver->heartbeat(
		        w->store, w->name, w->leases, count, w->config->lease_ms, &err);
	}
	if (code < 0) {
		w->beat_at = sent;
		worker_store_away(w, &err);
		return;
	}
	worker_store_back(w);
	w->beat_sent = sent;
	w->announce_at = 0;
	uint64_t now = worker_now();
	const struct store_lease *answer = w->leases;
	for (unsigned i = 0; i < w->config->jobs; i++) {
		if (attempt_holds_lease(&w->attempts[i])) {
			lease_answered(w, &w->attempts[i], answer++, sent, now);
		}
	}
	CHECK(answer == w->leases + count);
	worker_tend(w); /* by the new ends */
}
