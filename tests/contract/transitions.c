/*
 * The model: a job in each state meets every operation. What the store then holds must be a
 * transition that job.h allows, and what the operation said must be true.
 */
#include "contract.h"

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
	/* Where each operation leads: Pending, Running, Completed, Failed, X: cancelled. */
	const char *wanted;
};

static const struct subject subjects[] = {
        {"PENDING", JOB_PENDING, 0, false, -1, 0, false, "RPPPPPPXPP"},
        {"PENDING again", JOB_PENDING, 60000, false, STORE_RELEASED, 0, false, "RPPPPPPXPP"},
        {"PROCESSING", JOB_PROCESSING, 60000, false, -1, 0, false, "RRCFPXPRRR"},
        {"PROCESSING, last attempt", JOB_PROCESSING, 60000, false, -1, 1, false, "RRCFFXPRRR"},
        {"PROCESSING, to be cancelled", JOB_PROCESSING, 60000, true, -1, 0, false, "RRCFXXXRRR"},
        {"expired", JOB_PROCESSING, 1, false, -1, 0, false, "RRCFPXPRRR"},
        {"expired, last attempt", JOB_PROCESSING, 1, false, -1, 1, false, "FRCFFXPRRR"},
        {"expired, to be cancelled", JOB_PROCESSING, 1, true, -1, 0, false, "XRCFXXXRRR"},
        {"COMPLETED", JOB_COMPLETED, 60000, false, STORE_COMPLETED, 0, false, "CCCCCCCCCC"},
        {"FAILED", JOB_FAILED, 60000, false, STORE_FAILED, 0, false, "FFFFFFFFFF"},
        {"CANCELLED, before it ran", JOB_CANCELLED, 0, true, -1, 0, false, "XXXXXXXXXX"},
        {"CANCELLED, while it ran", JOB_CANCELLED, 60000, true, STORE_CANCELLED, 0, false,
                "XXXXXXXXXX"},
        {"committed", JOB_PROCESSING, 60000, false, -1, 0, true, "RRCPPPPRRR"},
        {"committed, last attempt", JOB_PROCESSING, 60000, false, -1, 1, true, "RRCPPPPRRR"},
        {"committed, expired, last attempt", JOB_PROCESSING, 1, false, -1, 1, true, "RRCPPPPRRR"},
        {"committed, PENDING", JOB_PENDING, 60000, false, STORE_RELEASED, 1, true, "RPPPPPPPPP"},
        {"committed, COMPLETED", JOB_COMPLETED, 60000, false, STORE_COMPLETED, 1, true,
                "CCCCCCCCCC"},
};

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
	if (s->cancelled) {
		store->driver->cancel(store, r->id, NULL, &err);
	}
	if (s->outcome >= 0) {
		finish_as(store, &lease, (enum store_outcome)s->outcome, NULL);
	}
	if (s->lease_ms == 1 && !becomes_due(store, queue)) {
		give_up("no expiry", NULL);
	}
	return lease;
}

/* The state that the operation says, or -1 when it says none. */
static int operate(struct store *store, enum operation operation, const char *queue,
        struct store_lease *lease, struct store_request *r)
{
	struct job job;
	enum job_state state = JOB_STATES;
	int rc;
	switch (operation) {
	case CLAIM:
		if (claim(store, "other", queue, 1, 60000, &job) == 1) {
			state = job.state;
			job_release(&job);
		}
		break;
	case HEARTBEAT:
		rc = store->driver->heartbeat(store, "w", lease, 1, 60000, &err);
		state = rc == 0 && !lease->lost ? JOB_PROCESSING : JOB_STATES;
		break;
	case CANCEL:
		store->driver->cancel(store, r->id, &state, &err);
		break;
	case COMMIT:
		store->driver->commit(store, lease, &no_result, &err);
		break;
	case SUBMIT_AGAIN:
		submit(store, r);
		break;
	default:
		finish_as(store, lease, (enum store_outcome)(operation - FINISH_COMPLETED), &state);
	}
	return state == JOB_STATES ? -1 : (int)state;
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
	int said = operate(store, operation, queue, &lease, &r);
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
	ok(before.state == s->state && wanted && allowed && rises && kept && honest,
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
