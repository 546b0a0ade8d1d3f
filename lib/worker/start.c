/*
 * Starting a step of an attempt: under a lease that leaves time for it, with the child's pipes in
 * the loop's epoll and its deadline set.
 */
#include <errno.h>

#include "worker/worker_internal.h"

int worker_start(
        struct worker *w, struct attempt *attempt, enum attempt_step step, struct vega_error *err)
{
	unsigned index = (unsigned)(attempt - w->attempts);
	uint64_t now = worker_now();
	if (step != STEP_DISCARD && worker_lease_ends(w, attempt, now)) {
		attempt_put_off(attempt);
		return 0;
	}
	int code = attempt_start(attempt, step, &w->command, now, err);
	if (code == 0 && attempt->phase == ATTEMPT_RUNNING &&
	        (!worker_watch(w, attempt->child.out, index, EVENT_OUT) ||
	                !worker_watch(w, attempt->child.err, index, EVENT_ERR))) {
		code = vega_fail_errno(err, VEGA_FATAL, errno, "cannot watch a child");
		attempt_stop(attempt, ENDING_RELEASE, NULL, worker_now());
	}
	worker_watch_lease(w, attempt);
	return code;
}
