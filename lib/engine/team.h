/* How many threads a run has when nobody says: by what its roots lie on (fs/medium.h). */
#ifndef VEGA_ENGINE_TEAM_H
#define VEGA_ENGINE_TEAM_H

#include "fs/backend.h"
#include "spec/spec.h"

struct team {
	unsigned begin;
	unsigned most; /* while they wait for a disk (engine/growth.h) */
};

/* The most that team_for() can say, and --threads where it is given: asks nothing of any file
 * system. */
unsigned team_most(const struct spec *spec);

/*
 * --threads, else the largest of what suits the first roots; with an operation that computes more
 * than it waits, one a processor. `most` is more than `begin` only when that suits all of them.
 */
struct team team_for(const struct spec *spec, const struct fs_trees *trees);

/* A line a root: what it lies on, and how many threads that makes. */
void team_tell(const struct spec *spec, const struct fs_trees *trees, const struct team *team,
        void (*line)(void *context, const char *text), void *context);

#endif
