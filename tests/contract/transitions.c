/*
 * A job in each state meets every operation. What the store then holds must be a transition that
 * job.h allows and what the rules (store/rules.h) make of it; what the operation said must be true.
 */
#include "contract.h"
#include "store/rules.h"

static struct vega_error err;
static const struct store_result no_result = {.outcome = STORE_COMPLETED};

enum operation {
	CLAIM,
	HEARTBEAT,
	FINISH_COMPLETED, /* in the order of enum store_outcome */
	FINISH_FAILED,
	FINISH_RETRY,
	FINISH_CANCELLED,
	FINISH_RELEASED,
	CANCEL,
	SUBMIT_AGAIN,
	COMMIT,
	OPERATIONS,
};

static const char *const operation_names[OPERATIONS] = {"claim", "heartbeat", "finish COMPLETED",
        "finish FAILED", "finish RETRY", "finish CANCELLED", "finish RELEASED", "cancel",
        "submit again", "commit"};

/* What a job was before the operation: its state and how it got there. */
struct subject {
	const char *name;
	enum job_state state;
	uint64_t lease_ms; /* 0: never claimed */
	bool cancelled;    /* asked for */
	int outcome;       /* of finish, or -1 */
	unsigned attempts; /* at most; 0: the default */
	bool committed;
	bool stale; /* taken over by another worker */
	/* Where each operation leads: Pending, Running, Completed, Failed, X: cancelled. */
	const char *wanted;
};

static const struct subject subjects[] = {
        {"PENDING", JOB_PENDING, 0, false, -1, 0, false, false, "RPPPPPPXPP"},
        {"PENDING again", JOB_PENDING, 60000, false, STORE_RELEASED, 0, false, false, "RPPPPPPXPP"},
        {"PROCESSING", JOB_PROCESSING, 60000, false, -1, 0, false, false, "RRCFPXPRRR"},
        {"PROCESSING, last attempt", JOB_PROCESSING, 60000, false, -1, 1, false, false,
                "RRCFFXPRRR"},
        {"PROCESSING, to be cancelled", JOB_PROCESSING, 60000, true, -1, 0, false, false,
                "RRXXXXXRRR"},
        {"expired", JOB_PROCESSING, 1, false, -1, 0, false, false, "RRCFPXPRRR"},
        {"expired, last attempt", JOB_PROCESSING, 1, false, -1, 1, false, false, "FRCFFXPRRR"},
        {"expired, to be cancelled", JOB_PROCESSING, 1, true, -1, 0, false, false, "XRXXXXXRRR"},
        {"COMPLETED", JOB_COMPLETED, 60000, false, STORE_COMPLETED, 0, false, false, "CCCCCCCCCC"},
        {"FAILED", JOB_FAILED, 60000, false, STORE_FAILED, 0, false, false, "FFFFFFFFFF"},
        {"CANCELLED, before it ran", JOB_CANCELLED, 0, true, -1, 0, false, false, "XXXXXXXXXX"},
        {"CANCELLED, while it ran", JOB_CANCELLED, 60000, true, STORE_CANCELLED, 0, false, false,
                "XXXXXXXXXX"},
        {"committed", JOB_PROCESSING, 60000, false, -1, 0, true, false, "RRCPPPPRRR"},
        {"committed, last attempt", JOB_PROCESSING, 60000, false, -1, 1, true, false, "RRCPPPPRRR"},
        {"committed, expired, last attempt", JOB_PROCESSING, 1, false, -1, 1, true, false,
                "RRCPPPPRRR"},
        {"committed, PENDING", JOB_PENDING, 60000, false, STORE_RELEASED, 1, true, false,
                "RPPPPPPPPP"},
        {"committed, COMPLETED", JOB_COMPLETED, 60000, false, STORE_COMPLETED, 1, true, false,
                "CCCCCCCCCC"},
        {"taken over", JOB_PROCESSING, 1, false, -1, 0, false, true, "RRRRRRRRRR"},
        {"taken over, to be cancelled", JOB_PROCESSING, 1, true, -1, 0, false, true, "RRRRRRRRRR"},
        {"committed, taken over", JOB_PROCESSING, 1, false, -1, 0, true, true, "RRRRRRRRRR"},
};

static void take_over(struct store *store, const char *queue)
{
	struct job job;
	if (!becomes_due(store, queue) || claim(store, "other", queue, 1, 60000, &job) != 1) {
		give_up("not taken over", NULL);
	}
	job_release(&job);
}

static struct store_lease make(
        struct store *store, const struct subject *s, const char *queue, struct store_request *r)
{
	struct store_lease lease = {0};
	*r = request(queue);
	r->max_attempts = s->attempts;
	submit(store, r);
	memcpy(lease.id, r->id, UUID_TEXT);
	if (s->lease_ms) {
		lease = take_for(store, queue, s->lease_ms);
	}
	if (s->committed) {
		store->driver->commit(store, &lease, &no_result, &err);
	}
	if (s->stale) {
		take_over(store, queue);
	}
	if (s->cancelled) {
		store->driver->cancel(store, r->id, NULL, &err);
	}
	if (s->outcome >= 0) {
		finish_as(store, &lease, (enum store_outcome)s->outcome, NULL);
	}
	if (s->lease_ms == 1 && !s->stale && !becomes_due(store, queue)) {
		give_up("no expiry", NULL);
	}
	return lease;
}

/* The state that the operation says, or -1 when it says none. *code is what it returns. */
static int operate(struct store *store, enum operation operation, const char *queue,
        struct store_lease *lease, struct store_request *r, int *code)
{
	struct job job;
	enum job_state state = JOB_STATES;
	*code = 0;
	switch (operation) {
	case CLAIM:
		if (claim(store, "other", queue, 1, 60000, &job) == 1) {
			state = job.state;
			job_release(&job);
		}
		break;
	case HEARTBEAT:
		*code = store->driver->heartbeat(store, "w", lease, 1, 60000, &err);
		state = *code == 0 && !lease->lost ? JOB_PROCESSING : JOB_STATES;
		break;
	case CANCEL:
		*code = store->driver->cancel(store, r->id, &state, &err);
		break;
	case COMMIT:
		*code = store->driver->commit(store, lease, &no_result, &err);
		break;
	case SUBMIT_AGAIN:
		submit(store, r);
		break;
	default:
		*code = finish_as(
		        store, lease, (enum store_outcome)(operation - FINISH_COMPLETED), &state);
	}
	return state == JOB_STATES ? -1 : (int)state;
}

/* What the rules make of it; returns what the operation is to return. */
static int predict(const struct subject *s, enum operation operation, uint64_t lease_seq,
        struct store_hot *hot)
{
	bool claimable = s->state == JOB_PENDING || (s->lease_ms == 1 && !s->stale);
	int code = 0;
	switch (operation) {
	case CLAIM:
		if (claimable) {
			rule_claim(hot);
		}
		break;
	case HEARTBEAT:
	case SUBMIT_AGAIN:
		break;
	case CANCEL:
		code = rule_cancel(hot);
		break;
	case COMMIT:
		code = rule_commit(hot, lease_seq);
		break;
	default:
		code = rule_finish(
		        hot, lease_seq, (enum store_outcome)(operation - FINISH_COMPLETED));
	}
	return code < 0 ? code : 0;
}

static struct store_hot hot_of(const struct job *job)
{
	return (struct store_hot){.state = job->state,
	        .attempt = job->attempt,
	        .max_attempts = job->max_attempts,
	        .lease_seq = job->lease_seq,
	        .committed_seq = job->committed_seq,
	        .cancel_requested = job->cancel_requested};
}

static bool as_predicted(const struct store_hot *predicted, const struct job *after)
{
	return predicted->state == after->state && predicted->attempt == after->attempt &&
	       predicted->lease_seq == after->lease_seq &&
	       predicted->committed_seq == after->committed_seq &&
	       predicted->cancel_requested == after->cancel_requested;
}

static bool result_kept(const struct job *before, const struct job *after)
{
	return before->finished.sec == after->finished.sec &&
	       before->finished.nsec == after->finished.nsec && before->attempt == after->attempt &&
	       before->lease_seq == after->lease_seq &&
	       before->cancel_requested == after->cancel_requested;
}

static void try(struct store *store, const struct subject *s, enum operation operation)
{
	struct store_request r;
	char queue[32];
	static unsigned number;
	snprintf(queue, sizeof queue, "model%u", number++);
	struct store_lease lease = make(store, s, queue, &r);
	struct job before = get(store, r.id);
	struct store_hot hot = hot_of(&before);
	hot.finished_seq = s->outcome >= 0 ? lease.lease_seq : 0;
	int code, predicted = predict(s, operation, lease.lease_seq, &hot);
	int said = operate(store, operation, queue, &lease, &r, &code);
	struct job after = get(store, r.id);
	/* A lease that is taken over goes through PENDING, unseen. */
	bool allowed =
	        before.state == after.state || job_transition_allowed(before.state, after.state);
	bool rises = after.lease_seq >= before.lease_seq;
	bool kept = !job_state_terminal(before.state) || result_kept(&before, &after);
	/* A finish that is repeated tells where the first one led, PENDING if not to an end. */
	bool repeated =
	        s->outcome >= 0 && operation >= FINISH_COMPLETED && operation <= FINISH_RELEASED;
	bool honest = said < 0 || said == (int)after.state || (repeated && said == JOB_PENDING);
	bool wanted = s->wanted[operation] == "PRCFX"[after.state];
	bool ruled = code == predicted && as_predicted(&hot, &after);
	ok(before.state == s->state && wanted && allowed && rises && kept && honest && ruled,
	        "%s: %s: %s, then %s", contract_store, s->name, operation_names[operation],
	        job_state_name(after.state));
	if (after.state == JOB_PROCESSING) {
		lease.lease_seq = after.lease_seq;
		finish_as(store, &lease, STORE_FAILED, NULL);
	}
	job_release(&before);
	job_release(&after);
}

static void checks(void)
{
	struct store *store = open_store();
	for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
		for (int operation = 0; operation < OPERATIONS; operation++) {
			try(store, &subjects[i], (enum operation)operation);
		}
	}
	close_store(store);
}

int main(void)
{
	return contract_run(checks);
}
