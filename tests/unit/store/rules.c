/* Every rule on every job that can be: what must hold of all of them. */
#include "../tap.h"

#include "store/rules.h"

enum call { CLAIM, COMMIT, CANCEL, FINISH, CALLS = FINISH + STORE_RELEASED + 1 };

static unsigned wrong_transition, seq_fell, terminal_changed, stale_changed, uncommitted, repeated,
        uncancelled;

static int make(struct store_hot *hot, enum call call, uint64_t lease_seq)
{
	switch (call) {
	case CLAIM:
		return rule_claim(hot);
	case COMMIT:
		return rule_commit(hot, lease_seq);
	case CANCEL:
		return rule_cancel(hot);
	default:
		return rule_finish(hot, lease_seq, (enum store_outcome)(call - FINISH));
	}
}

static bool same(const struct store_hot *a, const struct store_hot *b)
{
	return a->state == b->state && a->attempt == b->attempt && a->lease_seq == b->lease_seq &&
	       a->committed_seq == b->committed_seq && a->finished_seq == b->finished_seq &&
	       a->cancel_requested == b->cancel_requested;
}

static void look(const struct store_hot *before, enum call call, uint64_t lease_seq)
{
	struct store_hot after = *before, again;
	bool fenced = call == COMMIT || call >= FINISH;
	int code = make(&after, call, lease_seq);
	wrong_transition +=
	        after.state != before->state && !job_transition_allowed(before->state, after.state);
	seq_fell +=
	        after.lease_seq < before->lease_seq || after.committed_seq < before->committed_seq;
	terminal_changed += job_state_terminal(before->state) && !same(before, &after);
	stale_changed += fenced && !rule_holds(before, lease_seq) && !same(before, &after);
	uncommitted += before->committed_seq &&
	               (after.state == JOB_FAILED || after.state == JOB_CANCELLED) &&
	               !job_state_terminal(before->state);
	uncancelled += after.cancel_requested && job_state_terminal(after.state) &&
	               after.state != JOB_CANCELLED && !job_state_terminal(before->state);
	again = after;
	repeated += fenced && code == 1 &&
	            (make(&again, call, lease_seq) != 0 || !same(&after, &again));
}

int main(void)
{
	unsigned count = 0;
	for (unsigned bits = 0; bits < JOB_STATES * 3 * 2 * 3 * 3; bits++) {
		unsigned rest = bits;
		struct store_hot hot = {.max_attempts = 2, .lease_seq = 3};
		hot.state = (enum job_state)(rest % JOB_STATES);
		hot.attempt = (rest /= JOB_STATES) % 3;
		hot.cancel_requested = (rest /= 3) % 2;
		hot.committed_seq = (rest /= 2) % 3 ? rest % 3 + 1 : 0;
		hot.finished_seq = (rest /= 3) % 3 ? rest % 3 + 1 : 0;
		bool cancelled_late = hot.cancel_requested && hot.committed_seq;
		bool ended_twice = hot.finished_seq == 3 && hot.state == JOB_PROCESSING;
		if (cancelled_late || ended_twice) {
			continue; /* cannot be */
		}
		for (int call = 0; call < CALLS; call++) {
			for (uint64_t seq = 2; seq <= 3; seq++, count++) {
				look(&hot, (enum call)call, seq);
			}
		}
	}
	ok(count > 1000, "enough cases are tried: %u", count);
	is_int(wrong_transition, 0, "no transition is made that job.h does not allow");
	is_int(seq_fell, 0, "lease numbers only rise");
	is_int(terminal_changed, 0, "no job leaves a terminal state");
	is_int(stale_changed, 0, "a lease that is not held changes nothing");
	is_int(uncancelled, 0, "a job to be cancelled can only be CANCELLED");
	is_int(uncommitted, 0, "a committed job can only be completed");
	is_int(repeated, 0, "a repeated call changes nothing");
	const struct store_hot tried = {.attempt = 9, .max_attempts = 20};
	const struct store_hot committed = {.attempt = 9, .max_attempts = 20, .committed_seq = 3};
	is_int(rule_delay_ms(&tried), 256000, "a job of many attempts is retried after 256 s");
	is_int(rule_delay_ms(&committed), 16000, "a committed job is retried after 16 s");
	return done();
}
