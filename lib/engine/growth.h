/*
 * When a walk should have more threads than it began with. One a processor is the best for what is
 * in memory. When they are found to wait for a disk, so that this process does not use the
 * processors, there are twice as many, as long as more of them get more done.
 */
#ifndef VEGA_ENGINE_GROWTH_H
#define VEGA_ENGINE_GROWTH_H

#include <stdint.h>

/* What this process has used, from any beginning: differences are looked at. */
struct growth_use {
	uint64_t wall_ns, cpu_ns;
	uint64_t blocks;    /* read from disks, of 512 bytes */
	uint64_t waits;     /* how often a thread gave up its processor, */
	uint64_t preempted; /* and how often it was taken from it */
};

struct growth {
	unsigned begin, most; /* threads */
	uint64_t asked_ns;
	struct growth_use since; /* the team has its size, or what it meets is as it is */
	double busy;             /* processors, then; 0: the team has not grown */
};

void growth_begin(struct growth *growth, unsigned begin, unsigned most);

/* How many threads there should be when there are `now`, never fewer: by what was used since then.
 * To be asked every WALK_LOOK_MS or so; after a longer pause it begins to look anew. */
unsigned growth_next(struct growth *growth, unsigned now);

/* The same, by what was used up to now. */
unsigned growth_step(struct growth *growth, unsigned now, const struct growth_use *used);

#endif
