/*
 * One timer for the deadlines of all children, and the handler that kills those whose time is up.
 *
 * The loop sets deadlines while the handler may run between any two of its instructions, so a
 * deadline that changes has no leader meanwhile, and the timer may be set for a time that is past:
 *
 *     loop:     leader = 0 ... at = new ... leader = PID ... arm: first = F ........ timer at F
 *     SIGALRM:             (nothing to kill)                               F: kill
 *
 * In the first case deadline_arm(), which always follows, sees the new deadline. In the second the
 * timer is set for F, which is past: the signal comes once more and arms for the next deadline.
 */
#include "child/deadline.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include "base/check.h"

#define PASSED (-1)

struct deadline {
	_Atomic pid_t leader; /* 0: none; PASSED: it was killed */
	_Atomic uint64_t at;
};

static struct deadline *deadlines;
static unsigned room;
static timer_t timer;
static struct sigaction before;

/* For the first that has not passed. Once each: a signal that comes again and again would keep a
 * call from ever getting to its own time limit. */
void deadline_arm(void)
{
	uint64_t first = 0;
	for (unsigned i = 0; i < room; i++) {
		uint64_t at = atomic_load(&deadlines[i].at);
		if (atomic_load(&deadlines[i].leader) > 0 && (!first || at < first)) {
			first = at;
		}
	}
	struct itimerspec when = {.it_value = {.tv_sec = (time_t)(first / 1000),
	                                  .tv_nsec = (long)(first % 1000) * 1000000}};
	timer_settime(timer, TIMER_ABSTIME, &when, NULL);
}

/* Only calls that are safe in a handler. */
static void on_time(int number)
{
	int saved = errno;
	struct timespec clock;
	(void)number;
	clock_gettime(CLOCK_BOOTTIME, &clock);
	uint64_t now = (uint64_t)clock.tv_sec * 1000 + (uint64_t)clock.tv_nsec / 1000000;
	for (unsigned i = 0; i < room; i++) {
		pid_t leader = atomic_load(&deadlines[i].leader);
		siginfo_t info;
		if (leader <= 0 || now < atomic_load(&deadlines[i].at)) {
			continue;
		}
		atomic_store(&deadlines[i].leader, PASSED);
		if (waitid(P_PID, (id_t)leader, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
			kill(-leader, SIGKILL);
		}
	}
	deadline_arm();
	errno = saved;
}

int deadline_open(unsigned count, struct vega_error *err)
{
	struct sigaction action = {.sa_handler = on_time, .sa_flags = SA_RESTART};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
	sigset_t alarm;
	deadlines = calloc(count, sizeof *deadlines);
	if (!deadlines) {
		return vega_fail_nomem(err);
	}
	if (timer_create(CLOCK_BOOTTIME, &event, &timer) != 0) {
		int failed = errno;
		free(deadlines);
		deadlines = NULL;
		return vega_fail_errno(err, failed == EAGAIN ? VEGA_UNAVAILABLE : VEGA_FATAL,
		        failed, "cannot make a timer (see ulimit -i)");
	}
	room = count;
	sigemptyset(&action.sa_mask);
	sigaction(SIGALRM, &action, &before);
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &alarm, NULL);
	return 0;
}

void deadline_close(void)
{
	if (deadlines) {
		timer_delete(timer);
		sigaction(SIGALRM, &before, NULL);
		room = 0;
		free(deadlines);
		deadlines = NULL;
	}
}

bool deadline_set(unsigned index, pid_t leader, uint64_t at)
{
	CHECK(index < room && leader >= 0);
	pid_t last = atomic_exchange(&deadlines[index].leader, 0);
	atomic_store(&deadlines[index].at, at);
	atomic_store(&deadlines[index].leader, leader);
	return last == PASSED;
}
