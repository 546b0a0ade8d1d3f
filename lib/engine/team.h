/*
 * How many threads a run has when nobody says: by what its roots lie on (fs/medium.h), and by what
 * it meets there. One a processor is the best for what is in memory; when they are found to wait
 * for a disk while processors are free, there are more, as long as more of them get more done.
 */
#ifndef VEGA_ENGINE_TEAM_H
#define VEGA_ENGINE_TEAM_H

#include "spec/spec.h"

/* What this process has used, from any beginning: the difference of two is of use. */
struct team_use {
	uint64_t wall_ns, cpu_ns;
	uint64_t blocks; /* read from disks, of 512 bytes */
};

/* Zeroed by team_size(…, 0). */
struct team {
	unsigned begin, most;
	struct team_use since; /* the team has its size, or it was last found not to wait */
	double busy;           /* processors, before the team last grew; 0: it has not */
};

/* The most that team_size() can say, and --threads where it is given: asks nothing of any file
 * system. */
unsigned team_most(const struct spec *spec);

/*
 * How many there should be when there are `now`: never fewer; 0: they have not begun. Then it is
 * --threads, else the largest of what suits the first roots; with transform, which computes more
 * than it waits, one a processor.
 */
unsigned team_size(struct team *team, const struct spec *spec, unsigned now);

/* The part of it that decides: by what was used until now. */
unsigned team_grown(struct team *team, unsigned now, const struct team_use *used);

/* A line a root: what it lies on, and how many threads that makes. */
void team_tell(
        const struct spec *spec, void (*line)(void *context, const char *text), void *context);

#endif
