/*
 * Runs that hang when they are told to stop.
 *
 * The first thread and the one that takes the signals both could conclude a run. `phase` says who
 * may, under the lock:
 *
 *   PREPARING  nothing is known yet: after a second the process ends with a message alone
 *   WALKING    when for a second no thread came out of a call, their results are concluded
 *   OVER       the first thread concludes; a second signal ends it, as it ends all
 *   TAKEN      the other one does; whoever comes to hang_walk() sleeps
 *
 * The walk is there as long as the phase is WALKING, so that it is looked at under the lock.
 */
#include "engine/hang.h"

#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/signal.h"
#include "fs/wait.h"

#define LOOK_NS 50000000

static struct {
	pthread_mutex_t lock;
	enum { OVER, PREPARING, WALKING, TAKEN } phase;
	struct run *run;
	void (*conclude)(struct run *run);
} hang = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Each call looks once. True: nothing has moved for long enough, and the run is the caller's. */
static bool take(uint64_t *since, uint64_t *before)
{
	uint64_t turns = 0, now = monotonic_ns();
	bool taken = false;
	pthread_mutex_lock(&hang.lock);
	bool rests = hang.phase == PREPARING ||
	             (hang.phase == WALKING && walk_rests(hang.run->walk, &turns));
	if (!rests || turns != *before) {
		*since = now;
		*before = turns;
	} else if (now - *since >= HANG_NS) {
		hang.phase = TAKEN;
		taken = true;
	}
	pthread_mutex_unlock(&hang.lock);
	return taken;
}

static bool is_over(void)
{
	pthread_mutex_lock(&hang.lock);
	bool over = hang.phase == OVER;
	pthread_mutex_unlock(&hang.lock);
	return over;
}

static void look_again(void)
{
	nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
}

/* Called after the signal, in the thread that took it. */
static void on_stopped(void *context)
{
	uint64_t since = monotonic_ns(), turns = 0;
	(void)context;
	while (!take(&since, &turns)) {
		if (is_over()) {
			return;
		}
		look_again();
	}
	fs_wait_abandon();
	const struct walk *walk = hang.run->sink ? hang.run->walk : NULL;
	while (walk && !walk_rests(walk, &turns)) { /* some came out, and come to the next call */
		look_again();
	}
	hang.conclude(hang.run);
}

void hang_watch(struct run *run, void (*conclude)(struct run *run))
{
	static bool watched;
	pthread_mutex_lock(&hang.lock);
	hang.run = run;
	hang.conclude = conclude;
	hang.phase = PREPARING;
	pthread_mutex_unlock(&hang.lock);
	if (!watched) {
		watched = true;
		signal_watch(on_stopped, NULL);
	}
}

void hang_walk(bool walking)
{
	pthread_mutex_lock(&hang.lock);
	bool taken = hang.phase == TAKEN;
	hang.phase = taken ? TAKEN : walking ? WALKING : OVER;
	pthread_mutex_unlock(&hang.lock);
	while (taken) {
		pause();
	}
}
