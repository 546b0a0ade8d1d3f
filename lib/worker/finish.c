/*
 * The way of an attempt out of the worker: commit, publish, store the result (many in one call,
 * with a claim for the places that become free), remove the stage. Each call may be refused, go
 * unanswered, or meet a lease that was taken over; the attempt says what may be thrown away in each
 * case.
 */
#include "worker/worker_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/check.h"
#include "base/killpoint.h"

#define BATCH_BYTES ((size_t)16 * 1024 * 1024) /* of results in one call, and one more result */

/* Nothing is left to be stored: when its stage is removed, it is forgotten. */
static void drop(struct worker *w, struct attempt *attempt)
{
	struct vega_error err;
	if (attempt_to_discard(attempt)) {
		if (worker_start(w, attempt, STEP_DISCARD, &err) == 0) {
			return;
		}
		worker_report(w, TROUBLE, "%s: could not remove its staging directory: %s",
		        attempt->job.id, err.text);
	}
	CHECK(attempt->phase == ATTEMPT_OVER && w->running > 0);
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
	        attempt->commit != COMMIT_NONE ? "if it is committed, it is published later"
	        : attempt->unanswered          ? "if its result is stored, it stays"
	                                       : "its result is discarded");
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
		buf_add_str(&text, attempt->result.exit_code == 3
		                           ? ", some could not be read or written"
		                           : "");
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
			worker_report(w, NEWS, "%s will be retried: %s", id, error);
		}
	}
}

/* So that vega-status finds it there before it asks the database. */
static void cache_result(struct worker *w, const char *id)
{
	struct job job;
	struct vega_error err;
	const unsigned parts = STORE_PART_RESULT | STORE_PART_RECORDS;
	bool beat = w->running && worker_now() >= w->beat_at;
	if (!w->results || w->failures || beat) {
		return; /* leases come first */
	}
	worker_tend(w);
	int code = w->store->driver->get(w->store, id, parts, &job, &err);
	if (code == VEGA_UNAVAILABLE) {
		worker_store_away(w, &err);
	}
	if (code) {
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

/* What is refused may be at fault, or a store that refuses everything: a schema that is being
 * restored, say. A heartbeat tells. */
static bool is_at_fault(struct worker *w, const struct attempt *attempt)
{
	enum attempt_ending ending = attempt->ending;
	w->beat_at = 0;
	worker_heartbeat(w);
	return !w->failures && attempt->ending == ending;
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
	attempt->again_at = code == VEGA_LOCKED ? worker_now() + worker_pause(w) : 0;
	if (code == VEGA_UNAVAILABLE) {
		attempt->commit = COMMIT_UNKNOWN;
		worker_store_away(w, &err);
		return;
	}
	if (code && code != VEGA_LOCKED && code != VEGA_NO && code != VEGA_LEASE_LOST) {
		/* The attempt's commit stays as it is: an earlier call may have done it. */
		if (is_at_fault(w, attempt)) {
			attempt_refused(attempt, err.text);
		}
		return;
	}
	worker_store_back(w);
	if (code == 0) {
		publish(w, attempt);
	} else if (code == VEGA_LOCKED) {
		worker_report(
		        w, TROUBLE, "%s cannot be committed now: %s", attempt->job.id, err.text);
	} else if (code == VEGA_NO) {
		attempt->commit = COMMIT_NONE;
		attempt_stop(attempt, ENDING_CANCEL, NULL, worker_now());
	} else {
		report_lost(w, attempt, "its lease was taken over");
	}
}

static void take_answer(
        struct worker *w, struct attempt *attempt, const struct store_ending *ending)
{
	if (ending->code == VEGA_LOCKED) {
		attempt->again_at = worker_now() + worker_pause(w);
		worker_report(
		        w, TROUBLE, "%s cannot be stored now: its row is locked", attempt->job.id);
		return;
	}
	attempt->unanswered = false;
	if (ending->code == VEGA_LEASE_LOST) {
		report_lost(w, attempt, "its lease was taken over");
		return;
	}
	attempt->completed = ending->state == JOB_COMPLETED;
	report_stored(w, attempt, ending->state);
	drop(w, attempt);
}

/* True: it was at fault. */
static bool take_refusal(struct worker *w, struct attempt *attempt, const char *why)
{
	if (!is_at_fault(w, attempt)) {
		return false;
	}
	if (attempt->result.outcome == STORE_RELEASED || attempt->refused) {
		report_lost(w, attempt, why);
	} else {
		attempt_refused(attempt, why);
	}
	return true;
}

/* How many jobs may be claimed by the call that ends the attempts in w->over. Those with a stage
 * have work left to do. */
static unsigned room_after(const struct worker *w, size_t count)
{
	unsigned room = w->config->jobs - w->running;
	for (size_t i = 0; i < count; i++) {
		/* What is in trouble is not to keep other jobs from other workers. */
		if (w->over[i]->unanswered || w->over[i]->again_at) {
			return 0;
		}
		room += !w->over[i]->staged;
	}
	return worker_stopping(w) || w->start_failures ? 0 : room;
}

/*
 * Ends the attempts in w->over in one call, and starts the jobs that it claimed. Returns how many
 * to end in the next one: none while the store is away, or when there is something new to watch.
 * When it is refused, each is ended by itself and without a claim, to find out what is to blame.
 */
static unsigned finish(struct worker *w, size_t count, unsigned most, bool *claims)
{
	struct vega_error err;
	unsigned room = *claims && !w->refusals ? room_after(w, count) : 0;
	const struct store_claim wanted = worker_wanted(w, room);
	uint64_t sent = worker_now();
	for (size_t i = 0; i < count; i++) {
		CHECK(attempt_holds_lease(w->over[i]) && !attempt_to_commit(w->over[i]));
		w->endings[i] = (struct store_ending){
		        .lease = &w->over[i]->lease, .result = &w->over[i]->result};
	}
	KILL_POINT(finish);
	int claimed = w->store->driver->finish(
	        w->store, w->endings, count, room ? &wanted : NULL, w->claimed, &err);
	KILL_POINT(finished);
	if (claimed == VEGA_UNAVAILABLE) {
		for (size_t i = 0; i < count; i++) {
			w->over[i]->unanswered = true;
			w->over[i]->again_at = 0;
		}
		worker_store_away(w, &err);
		return 0;
	}
	if (claimed < 0) {
		bool alone = count == 1 && !room;
		*claims = false;
		return !alone || take_refusal(w, w->over[0], err.text) ? 1 : 0;
	}
	worker_store_back(w);
	for (size_t i = 0; i < count; i++) {
		memcpy(w->leases[i].id, w->over[i]->job.id, UUID_TEXT);
		take_answer(w, w->over[i], &w->endings[i]);
	}
	if (claimed > 0) {
		worker_take(w, (unsigned)claimed, room, sent);
	}
	for (size_t i = 0; i < count; i++) {
		if (w->endings[i].code == 0 && job_state_terminal(w->endings[i].state)) {
			cache_result(w, w->leases[i].id);
		}
	}
	return claimed > 0 ? 0 : most;
}

static void forget_discarded(struct worker *w, struct attempt *attempt)
{
	int status = attempt->child.status;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		char *why = child_last_message(&attempt->child);
		worker_report(w, TROUBLE, "%s: could not remove its staging directory: %s",
		        attempt->job.id, why ? why : "vega-walk did not remove it");
		free(why);
	}
	drop(w, attempt);
}

/* What must happen before the attempt can be finished, if it is to be. */
static void prepare(struct worker *w, struct attempt *attempt)
{
	if (attempt->step == STEP_DISCARD) {
		forget_discarded(w, attempt);
		return;
	}
	if (attempt->ending != ENDING_LOST && attempt_to_commit(attempt)) {
		worker_tend(w);
		worker_heartbeat(w);
		if (attempt->ending != ENDING_LOST && attempt_to_commit(attempt) &&
		        worker_now() >= attempt->again_at && worker_store_ready(w)) {
			commit(w, attempt);
		}
	}
	if (attempt->phase == ATTEMPT_OVER && attempt->ending == ENDING_LOST) {
		report_lost(w, attempt, attempt->why.text);
	}
}

static bool to_finish(const struct attempt *attempt)
{
	return attempt->phase == ATTEMPT_OVER && attempt->step != STEP_DISCARD &&
	       attempt->ending != ENDING_LOST && !attempt_to_commit(attempt) &&
	       worker_now() >= attempt->again_at;
}

static size_t text_size(const char *text)
{
	return text ? strlen(text) : 0;
}

/* As many as one call should carry, in w->over. */
static size_t gather(struct worker *w, unsigned most)
{
	size_t count = 0, bytes = 0;
	for (unsigned i = 0; i < w->config->jobs && count < most && bytes < BATCH_BYTES; i++) {
		struct attempt *attempt = &w->attempts[i];
		if (to_finish(attempt)) {
			w->over[count++] = attempt;
			bytes += text_size(attempt->result.summary) +
			         text_size(attempt->result.records);
		}
	}
	return count;
}

void worker_finish(struct worker *w)
{
	for (unsigned i = 0; i < w->config->jobs; i++) {
		if (w->attempts[i].phase == ATTEMPT_OVER) {
			prepare(w, &w->attempts[i]);
		}
	}
	unsigned most = w->config->jobs;
	bool claims = true;
	while (most && gather(w, most)) {
		worker_tend(w);
		worker_heartbeat(w); /* which may change what is to be stored */
		size_t count = worker_store_ready(w) ? gather(w, most) : 0;
		most = count ? finish(w, count, most, &claims) : 0;
	}
	/* A worker that is to stop does not wait for the store longer than it may. */
	for (unsigned i = 0; w->failures && worker_stopping(w) && i < w->config->jobs; i++) {
		struct attempt *attempt = &w->attempts[i];
		if (attempt->phase == ATTEMPT_OVER &&
		        (w->signals > 1 || worker_now() >= attempt->lease_end)) {
			report_lost(w, attempt, "the store is unreachable and this worker stops");
		}
	}
}
