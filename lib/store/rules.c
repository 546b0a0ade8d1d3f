/*
 * The job protocol as pure functions: a fence before each change, then the state that follows.
 * PostgreSQL says the same in SQL, because there the change is one statement;
 * tests/contract/transitions.c holds both against each other.
 */
#include "store/rules.h"

#include "base/check.h"

bool rule_holds(const struct store_hot *hot, uint64_t lease_seq)
{
	return hot->state == JOB_PROCESSING && hot->lease_seq == lease_seq;
}

bool rule_claim(struct store_hot *hot)
{
	const uint64_t lease_before = hot->lease_seq;
	bool lost = hot->state == JOB_PROCESSING && !hot->committed_seq;
	if (job_state_terminal(hot->state)) {
		return false;
	}
	hot->lease_seq++;
	if (lost && hot->cancel_requested) {
		hot->state = JOB_CANCELLED;
	} else if (lost && hot->attempt >= hot->max_attempts) {
		hot->state = JOB_FAILED;
	} else {
		hot->state = JOB_PROCESSING;
		hot->attempt++;
	}
	CHECK(hot->lease_seq > lease_before && !rule_holds(hot, lease_before));
	return hot->state == JOB_PROCESSING;
}

int rule_commit(struct store_hot *hot, uint64_t lease_seq)
{
	if (!rule_holds(hot, lease_seq) ||
	        (hot->committed_seq && hot->committed_seq != lease_seq)) {
		return VEGA_LEASE_LOST;
	}
	if (hot->committed_seq) {
		return 0;
	}
	if (hot->cancel_requested) {
		return VEGA_NO;
	}
	hot->committed_seq = lease_seq;
	return 1;
}

/* STATE_AFTER in postgres_finish.c says the same in SQL. */
static enum job_state state_after(const struct store_hot *hot, enum store_outcome outcome)
{
	if (hot->committed_seq) {
		return outcome == STORE_COMPLETED ? JOB_COMPLETED : JOB_PENDING;
	}
	if (hot->cancel_requested) {
		return JOB_CANCELLED;
	}
	switch (outcome) {
	case STORE_COMPLETED:
		return JOB_COMPLETED;
	case STORE_FAILED:
		return JOB_FAILED;
	case STORE_CANCELLED:
		return JOB_CANCELLED;
	case STORE_RETRY:
		return hot->attempt >= hot->max_attempts ? JOB_FAILED : JOB_PENDING;
	case STORE_RELEASED:
		break;
	}
	return JOB_PENDING;
}

int rule_finish(struct store_hot *hot, uint64_t lease_seq, enum store_outcome outcome)
{
	if (hot->finished_seq && hot->finished_seq == lease_seq) {
		return 0;
	}
	if (!rule_holds(hot, lease_seq)) {
		return VEGA_LEASE_LOST;
	}
	hot->state = state_after(hot, outcome);
	CHECK(job_transition_allowed(JOB_PROCESSING, hot->state));
	hot->finished_seq = lease_seq;
	hot->attempt -= outcome == STORE_RELEASED;
	return 1;
}

/* The due of ENDED in postgres_finish.c says the same in SQL. */
uint64_t rule_delay_ms(const struct store_hot *hot)
{
	bool soon = hot->committed_seq && hot->attempt > 5;
	return job_retry_delay_ms(soon ? 5 : hot->attempt);
}

int rule_cancel(struct store_hot *hot)
{
	if (job_state_terminal(hot->state)) {
		return 0;
	}
	if (hot->committed_seq) {
		return VEGA_NO;
	}
	hot->cancel_requested = true;
	if (hot->state == JOB_PENDING) {
		hot->state = JOB_CANCELLED;
	}
	return 0;
}
