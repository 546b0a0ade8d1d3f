/* Compares two looks at what the process has used: processors, blocks read, pauses of threads. */
#include "engine/growth.h"

#include <stdbool.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "walk/walk.h"

/*
 * Threads wait for a disk that answers many at once when the process uses less than so much of a
 * processor for each that it began with, and waits for so many reads a second. A disk that seeks
 * answers 100 to 200, though each may bring many pages. Who waits for the reader of its output
 * reads nothing, and on a loaded machine threads are preempted more often than they wait.
 */
#define BUSY 0.9
#define READS 500.0
#define PAGE_BLOCKS 8.0
/* More threads must use so much more of the processors, by factor and in processors, ... */
#define GAIN 1.1
#define GAIN_LEAST 0.05
/* ... found out over at least and at most so long, or there will be no more. */
#define LOOK_NS (WALK_LOOK_MS * UINT64_C(1000000))
#define TRIAL_NS (2 * LOOK_NS)
#define TRIAL_MOST_NS (10 * LOOK_NS)
/* After so long, threads may have had nothing to do. (One directory may take a tenth of that.) */
#define PAUSE_NS (25 * LOOK_NS)

static struct growth_use used_now(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (struct growth_use){
	        .wall_ns = monotonic_ns(),
	        .cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID),
	        .blocks = (uint64_t)usage.ru_inblock,
	        .waits = (uint64_t)usage.ru_nvcsw,
	        .preempted = (uint64_t)usage.ru_nivcsw,
	};
}

void growth_begin(struct growth *growth, unsigned begin, unsigned most)
{
	*growth = (struct growth){.begin = begin, .most = most, .since = used_now()};
	growth->asked_ns = growth->since.wall_ns;
}

static bool waits_for_disk(const struct growth *growth, const struct growth_use *used, double busy)
{
	const struct growth_use *since = &growth->since;
	double seconds = (double)(used->wall_ns - since->wall_ns) / 1e9;
	double pages = (double)(used->blocks - since->blocks) / PAGE_BLOCKS;
	double waits = (double)(used->waits - since->waits);
	return busy < BUSY * growth->begin && pages >= READS * seconds &&
	       waits >= READS * seconds && waits >= (double)(used->preempted - since->preempted);
}

unsigned growth_step(struct growth *growth, unsigned now, const struct growth_use *used)
{
	uint64_t wall_ns = used->wall_ns - growth->since.wall_ns;
	double busy = (double)(used->cpu_ns - growth->since.cpu_ns) / (double)wall_ns;
	bool trial = growth->busy > 0;
	if (!waits_for_disk(growth, used, busy)) {
		growth->since = *used;
		return now;
	}
	if (trial && wall_ns < TRIAL_NS) {
		return now;
	}
	if (busy >= GAIN * growth->busy && busy >= growth->busy + GAIN_LEAST) {
		now = 2 * now < growth->most ? 2 * now : growth->most;
	} else if (busy * GAIN > growth->busy) {
		growth->most = wall_ns < TRIAL_MOST_NS ? growth->most : now;
		return now;
	}
	/* It has grown, or what it meets now takes more waiting. */
	growth->busy = busy;
	growth->since = *used;
	return now;
}

unsigned growth_next(struct growth *growth, unsigned now)
{
	if (now >= growth->most) {
		return now;
	}
	struct growth_use used = used_now();
	bool paused = used.wall_ns - growth->asked_ns > PAUSE_NS;
	growth->asked_ns = used.wall_ns;
	if (paused) {
		growth->since = used;
		return now;
	}
	return growth_step(growth, now, &used);
}
