/* The store: the real rules over one row, and replies that are lost. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

static enum behaviour behaviour;
static bool claimed; /* by the last call */
static bool called, put_off, refuse_again;

void store_behaves(enum behaviour next)
{
	behaviour = next;
	called = put_off = refuse_again = false;
}

bool store_put_off(void)
{
	return put_off;
}

bool store_was_called(void)
{
	return called;
}

static struct store_hot hot_row(void)
{
	return (struct store_hot){.state = (enum job_state)now->job,
	        .attempt = now->attempt,
	        .max_attempts = ATTEMPTS,
	        .lease_seq = now->seq,
	        .committed_seq = now->committed,
	        .finished_seq = now->finished,
	        .cancel_requested = now->cancel_requested};
}

static void write_row(const struct store_hot *hot)
{
	now->job = (uint8_t)hot->state;
	/* more than all makes no difference */
	now->attempt = (uint8_t)(hot->attempt < ATTEMPTS ? hot->attempt : ATTEMPTS);
	now->seq = (uint8_t)hot->lease_seq;
	now->committed = (uint8_t)hot->committed_seq;
	now->finished = (uint8_t)hot->finished_seq;
	now->cancel_requested = hot->cancel_requested;
	now->left = hot->state == JOB_PROCESSING ? now->left : 0;
}

/* A write took effect. */
static void written_by(uint8_t epoch)
{
	if (epoch != now->epoch) {
		violate("I5: a worker whose lease was taken over has changed the job");
	}
}

static bool claimable(void)
{
	bool expired = now->job == JOB_PROCESSING && now->left == 0 && mutant != NO_TAKING_OVER;
	return now->present && (now->job == JOB_PENDING || expired);
}

static bool do_claim(void)
{
	struct store_hot hot = hot_row();
	uint8_t committed = now->committed;
	if (!claimable()) {
		return false;
	}
	if (mutant == COMMITTED_IS_GIVEN_UP) {
		hot.committed_seq = 0;
	}
	bool taken = rule_claim(&hot);
	hot.committed_seq = committed;
	hot.lease_seq -= mutant == NO_NEW_LEASE_SEQ && now->seq;
	if (hot.lease_seq > SEQ_MAX) {
		violate("I8: attempts without end");
		return false;
	}
	write_row(&hot);
	now->left = taken ? LEASE : 0;
	now->epoch++;
	return taken;
}

static int do_beat(uint64_t seq, uint8_t epoch, struct store_lease *lease)
{
	struct store_hot hot = hot_row();
	bool holds = now->present &&
	             rule_holds(&hot, mutant == NO_FENCE_IN_HEARTBEAT ? hot.lease_seq : seq);
	if (holds) {
		written_by(epoch);
		now->left = LEASE;
	}
	if (lease) {
		lease->lost = !holds;
		lease->cancel = holds && now->cancel_requested;
	}
	return 0;
}

static int do_commit(uint64_t seq, uint8_t epoch)
{
	struct store_hot hot = hot_row();
	if (!now->present) {
		return VEGA_LEASE_LOST;
	}
	if (mutant == NO_FENCE_IN_COMMIT) {
		seq = hot.lease_seq;
		hot.state = JOB_PROCESSING;
	}
	if (mutant == COMMIT_IN_SPITE_OF_CANCEL) {
		hot.cancel_requested = false;
	}
	int code = rule_commit(&hot, seq);
	if (code == 1) {
		hot.cancel_requested = now->cancel_requested;
		hot.state = (enum job_state)now->job;
		written_by(epoch);
		write_row(&hot);
		now->result = (uint8_t)seq;
	}
	return code < 0 ? code : 0;
}

static int do_finish(uint64_t seq, uint8_t epoch, enum store_outcome outcome, enum job_state *state)
{
	struct store_hot hot = hot_row();
	if (!now->present) {
		return VEGA_LEASE_LOST;
	}
	if (mutant == NO_FENCE_IN_FINISH) { /* WHERE id = … */
		seq = hot.lease_seq;
		hot.state = JOB_PROCESSING;
		hot.finished_seq = 0;
	}
	if (mutant == COMPLETE_IN_SPITE_OF_CANCEL) {
		hot.cancel_requested = false;
	}
	int code = rule_finish(&hot, seq, outcome);
	if (code == 1) {
		hot.cancel_requested = now->cancel_requested;
		written_by(epoch);
		write_row(&hot);
		if (!hot.committed_seq && outcome != STORE_RELEASED) {
			now->result = (uint8_t)seq;
		}
	}
	if (code >= 0 && state) {
		*state = job_state_terminal(hot.state) ? hot.state : JOB_PENDING;
	}
	return code < 0 ? code : 0;
}

static void do_submit(void)
{
	if (now->present && mutant == NO_IDEMPOTENCY) {
		now->twins = 1;
	} else if (!now->present && !now->pruned) {
		now->present = 1;
	}
}

/* What it ended it does not claim: there is one job, and the claim is for others. Returns the code
 * of the end. */
static int do_finish_and_claim(const struct model_flight *f, enum job_state *state)
{
	uint8_t before = now->finished;
	int code = do_finish(f->seq, f->epoch, (enum store_outcome)f->outcome, state);
	claimed = f->claims && now->finished == before && do_claim();
	return code;
}

void store_lands(struct model_flight *flight)
{
	const struct model_flight f = *flight;
	*flight = (struct model_flight){.call = CALL_NONE};
	switch (f.call) {
	case CALL_SUBMIT:
		do_submit();
		break;
	case CALL_CLAIM:
		do_claim();
		break;
	case CALL_BEAT:
		do_beat(f.seq, f.epoch, NULL);
		break;
	case CALL_COMMIT:
		do_commit(f.seq, f.epoch);
		break;
	case CALL_FINISH:
		do_finish_and_claim(&f, NULL);
		break;
	}
}

/* --- what the worker's code calls ------------------------------------------------------------- */

static int away(struct vega_error *err)
{
	return vega_fail(err, VEGA_UNAVAILABLE, "no reply");
}

static struct model_flight request_of(enum call call, uint64_t seq)
{
	return (struct model_flight){.call = (uint8_t)call,
	        .seq = (uint8_t)seq,
	        .outcome = STORE_COMPLETED,
	        .epoch = worker_now_at()->epoch};
}

/* 0: the store carries it out now; else what the call returns. */
static int begin(const struct model_flight *request, struct vega_error *err)
{
	struct model_worker *worker = worker_now_at();
	if (refuse_again) {
		refuse_again = false;
		return vega_fail(err, VEGA_FATAL, "refused");
	}
	put_off = called;
	if (put_off) {
		return away(err);
	}
	called = true;
	switch (behaviour) {
	case LOST_REQUEST:
		return away(err);
	case DELAYED:
		worker->flight = *request;
		return away(err);
	case REFUSED:
		refuse_again = request->claims; /* to find out what is to blame */
		return vega_fail(err, VEGA_FATAL, "refused");
	default:
		return 0;
	}
}

static int end(int code, struct vega_error *err)
{
	if (behaviour == LOST_REPLY) {
		return away(err);
	}
	return code < 0 ? vega_fail(err, (enum vega_code)code, "no") : code;
}

/* Returns how many jobs were claimed, or VEGA_UNAVAILABLE. */
static int tell_claimed(struct job *jobs, struct vega_error *err)
{
	static const char staged[] = "{\"v\":1,\"operations\":[\"transform\"],\"roots\":[\"/in\"],"
	                             "\"options\":{\"to\":\"gzip\",\"out\":\"/out\"}}";
	static const char plain[] = "{\"v\":1,\"operations\":[\"find\"],\"roots\":[\"/in\"]}";
	if (behaviour == LOST_REPLY) {
		return away(err);
	}
	if (claimed) {
		worker_now_at()->epoch = now->epoch;
		worker_now_at()->tried = 0;
		jobs[0] = (struct job){.spec = strdup(staged_job ? staged : plain),
		        .state = JOB_PROCESSING,
		        .max_attempts = ATTEMPTS,
		        .attempt = now->attempt,
		        .lease_seq = now->seq,
		        .committed_seq = now->committed};
	}
	return claimed;
}

static int model_claim(struct store *store, const struct store_claim *claim, struct job *jobs,
        struct vega_error *err)
{
	(void)store, (void)claim;
	const struct model_flight request = request_of(CALL_CLAIM, 0);
	int code = begin(&request, err);
	if (code) {
		return code;
	}
	claimed = do_claim();
	return tell_claimed(jobs, err);
}

static int model_heartbeat(struct store *store, const char *worker, struct store_lease *leases,
        size_t count, uint64_t lease_ms, struct vega_error *err)
{
	(void)store, (void)worker, (void)count, (void)lease_ms;
	const struct model_flight request = request_of(CALL_BEAT, leases[0].lease_seq);
	bool asked_for_fault = behaviour == REFUSED && called;
	int code = asked_for_fault ? 0 : begin(&request, err);
	return code ? code : end(do_beat(request.seq, request.epoch, leases), err);
}

static int model_commit(struct store *store, const struct store_lease *lease,
        const struct store_result *result, struct vega_error *err)
{
	(void)store, (void)result;
	if (mutant == PUBLISH_BEFORE_COMMIT) {
		return 0;
	}
	const struct model_flight request = request_of(CALL_COMMIT, lease->lease_seq);
	int code = begin(&request, err);
	return code ? code : end(do_commit(request.seq, request.epoch), err);
}

static int model_finish(struct store *store, struct store_ending *endings, size_t count,
        const struct store_claim *claim, struct job *jobs, struct vega_error *err)
{
	struct model_flight request = request_of(CALL_FINISH, endings[0].lease->lease_seq);
	(void)store, (void)count;
	request.outcome = (uint8_t)endings[0].result->outcome;
	request.claims = claim != NULL;
	int code = begin(&request, err);
	if (code) {
		return code;
	}
	endings[0].code = do_finish_and_claim(&request, &endings[0].state);
	return claim ? tell_claimed(jobs, err) : end(0, err);
}

static int model_next_due(struct store *store, const struct strlist *queues, uint64_t limit_ms,
        uint64_t *due_ms, struct vega_error *err)
{
	(void)store, (void)queues, (void)err;
	*due_ms = limit_ms;
	return 0;
}

static const struct store_driver driver = {
        .scheme = "model",
        .claim = model_claim,
        .heartbeat = model_heartbeat,
        .commit = model_commit,
        .finish = model_finish,
        .next_due = model_next_due,
};
struct store model_store = {.driver = &driver};

/* --- the others ------------------------------------------------------------------------------- */

/* With another id each time, but the same key. */
bool store_submit(enum behaviour b)
{
	if (now->acknowledged || b == REFUSED) {
		return false;
	}
	if (b == DELAYED) {
		now->submission.call = CALL_SUBMIT;
	} else if (b != LOST_REQUEST) {
		do_submit();
		now->acknowledged = b == FINE;
	}
	return true;
}

bool store_cancel(enum behaviour b)
{
	if (!now->present || now->cancel > CANCEL_UNKNOWN || b == REFUSED || b == DELAYED) {
		return false;
	}
	struct store_hot hot = hot_row();
	if (mutant == CANCEL_IN_SPITE_OF_COMMIT) {
		hot.committed_seq = 0;
	}
	int code = b == LOST_REQUEST ? 0 : rule_cancel(&hot);
	hot.committed_seq = now->committed;
	if (b == FINE) {
		bool late = code || hot.state == JOB_COMPLETED || hot.state == JOB_FAILED;
		now->cancel = late ? CANCEL_REFUSED : CANCEL_TAKEN;
	} else {
		now->cancel = CANCEL_UNKNOWN;
	}
	write_row(&hot);
	return true;
}

bool store_prune(void)
{
	if (!now->present || (!row_over(now) && mutant != PRUNE_WHAT_IS_NOT_OVER)) {
		return false;
	}
	now->present = 0;
	now->pruned = 1;
	return true;
}
