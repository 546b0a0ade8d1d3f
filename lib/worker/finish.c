#include "worker/worker_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/killpoint.h"

/* Nothing is left to be stored: when its stage is removed, it is forgotten. */
static void drop(struct worker *w, struct attempt *attempt)
{
	struct vega_error err;
	if (attempt_to_discard(attempt)) {
		if (worker_start(w, attempt, STEP_DISCARD, &err) == 0) {
			return;
		}
		worker_report(
		        w, TROUBLE, "%s: its stage is left behind: %s", attempt->job.id, err.text);
	}
	KILL_POINT(forget);
	attempt_clear(attempt);
	w->running--;
	if (!w->start_failures) {
		w->claim_at = 0;
	}
}

static void report_lost(struct worker *w, struct attempt *attempt, const char *why)
{
	w->counts->lost++;
	worker_report(w, TROUBLE, "%s lost: %s; %s", attempt->job.id, why,
	        attempt->commit == COMMIT_NONE ? "its result is discarded"
	                                       : "if it is committed, it is published later");
	drop(w, attempt);
}

static void report_completed(struct worker *w, const struct attempt *attempt)
{
	struct buf text = BUF_INIT;
	buf_printf(&text, "%s completed in ", attempt->job.id);
	format_duration(&text, (worker_now() - attempt->began) * 1000000);
	buf_add_str(&text, ": ");
	if (attempt->error) {
		buf_add_str(&text, attempt->error);
	} else if (!attempt->stream.summary) {
		buf_add_str(&text, "published what another worker had committed");
	} else {
		format_counted(
		        &text, (unsigned __int128)attempt->stream.entries, "entry", "entries");
		buf_add_str(
		        &text, attempt->result.exit_code == 3 ? ", some could not be read" : "");
	}
	worker_report(w, NEWS, "%s", buf_cstr(&text) ? text.data : attempt->job.id);
	buf_release(&text);
}

static void report_stored(struct worker *w, const struct attempt *attempt, enum job_state state)
{
	const char *id = attempt->job.id;
	const char *error = attempt->error ? attempt->error : "";
	switch (state) {
	case JOB_COMPLETED:
		w->counts->completed++;
		report_completed(w, attempt);
		break;
	case JOB_FAILED:
		w->counts->failed++;
		worker_report(w, NEWS, "%s failed: %s", id, error);
		break;
	case JOB_CANCELLED:
		w->counts->cancelled++;
		worker_report(w, NEWS, "%s cancelled", id);
		break;
	default:
		if (attempt->result.outcome == STORE_RELEASED) {
			w->counts->released++;
			worker_report(w, NEWS, "%s released", id);
		} else {
			w->counts->retried++;
			worker_report(w, NEWS, "%s will be tried again: %s", id, error);
		}
	}
}

/* So that vega-status finds it there before it asks the database. */
static void cache_result(struct worker *w, const char *id)
{
	struct job job;
	struct vega_error err;
	const unsigned parts = STORE_PART_RESULT | STORE_PART_RECORDS;
	if (!w->results || w->store->driver->get(w->store, id, parts, &job, &err) != 0) {
		return;
	}
	result_cache_put(w->results, &job, parts);
	job_release(&job);
	const char *trouble = result_cache_trouble(w->results);
	if (trouble && !w->told_of_cache) {
		worker_report(w, TROUBLE, "results are not cached: %s", trouble);
		w->told_of_cache = true;
	}
}

static void publish(struct worker *w, struct attempt *attempt)
{
	struct vega_error err;
	attempt_committed(attempt);
	worker_report(w, DETAIL, "%s committed", attempt->job.id);
	if (worker_start(w, attempt, STEP_PUBLISH, &err) < 0) {
		worker_report(
		        w, TROUBLE, "%s cannot be published now: %s", attempt->job.id, err.text);
	} else if (w->signals > 1) {
		attempt_kill(attempt);
	}
}

static void commit(struct worker *w, struct attempt *attempt)
{
	struct vega_error err;
	KILL_POINT(commit);
	int code = w->store->driver->commit(w->store, &attempt->lease, &attempt->result, &err);
	KILL_POINT(committed);
	if (code == VEGA_UNAVAILABLE) {
		attempt->commit = COMMIT_UNKNOWN;
		worker_store_away(w, &err);
		return;
	}
	worker_store_back(w);
	if (code == 0) {
		publish(w, attempt);
	} else if (code == VEGA_NO) {
		attempt->commit = COMMIT_NONE;
		attempt_stop(attempt, ENDING_CANCEL, NULL, worker_now());
	} else if (code == VEGA_LEASE_LOST) {
		report_lost(w, attempt, "its lease was taken over");
	} else {
		attempt->commit = COMMIT_NONE;
		attempt_refused(attempt, err.text);
	}
}

static void finish(struct worker *w, struct attempt *attempt)
{
	struct vega_error err;
	enum job_state state;
	KILL_POINT(finish);
	int code =
	        w->store->driver->finish(w->store, &attempt->lease, &attempt->result, &state, &err);
	KILL_POINT(finished);
	if (code == VEGA_UNAVAILABLE) {
		worker_store_away(w, &err);
		return;
	}
	worker_store_back(w);
	if (code == VEGA_LEASE_LOST) {
		report_lost(w, attempt, "its lease was taken over");
	} else if (code == 0) {
		char id[UUID_TEXT];
		memcpy(id, attempt->job.id, sizeof id);
		attempt->stored = true;
		report_stored(w, attempt, state);
		drop(w, attempt);
		if (job_state_terminal(state)) {
			cache_result(w, id);
		}
	} else if (attempt->result.outcome == STORE_RELEASED || attempt->refused) {
		report_lost(w, attempt, err.text);
	} else {
		attempt_refused(attempt, err.text);
	}
}

static void forget_discarded(struct worker *w, struct attempt *attempt)
{
	int status = attempt->child.status;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		char *why = child_last_message(&attempt->child);
		worker_report(w, TROUBLE, "%s: its stage is left behind: %s", attempt->job.id,
		        why ? why : "vega-walk did not remove it");
		free(why);
	}
	drop(w, attempt);
}

void worker_finish(struct worker *w)
{
	for (unsigned i = 0; i < w->config->jobs; i++) {
		struct attempt *attempt = &w->attempts[i];
		if (attempt->phase != ATTEMPT_OVER) {
			continue;
		}
		if (attempt->step == STEP_DISCARD) {
			forget_discarded(w, attempt);
			continue;
		}
		if (attempt->ending == ENDING_LOST) {
			report_lost(w, attempt, attempt->why.text);
			continue;
		}
		worker_tend(w);
		worker_heartbeat(w);
		if (attempt->ending != ENDING_LOST && worker_store_ready(w)) {
			(attempt_to_commit(attempt) ? commit : finish)(w, attempt);
		}
		/* A worker that is to stop does not wait for the store longer than it may. */
		if (attempt->phase == ATTEMPT_OVER && w->failures && worker_stopping(w) &&
		        (w->signals > 1 || worker_now() >= attempt->lease_end)) {
			report_lost(w, attempt, "the store is away and this worker stops");
		}
	}
}
