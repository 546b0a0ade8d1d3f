/* How many threads a run has when nobody says: by what its roots lie on (fs/medium.h). */
#ifndef VEGA_ENGINE_TEAM_H
#define VEGA_ENGINE_TEAM_H

#include "spec/spec.h"

/* The most that team_size() can say, and --threads where it is given: asks nothing of any file
 * system. */
unsigned team_most(const struct spec *spec);

/*
 * --threads, else the largest of what suits the first roots; with transform, which computes more
 * than it waits, one a processor.
 */
unsigned team_size(const struct spec *spec);

/* A line a root: what it lies on, and how many threads that makes. */
void team_tell(
        const struct spec *spec, void (*line)(void *context, const char *text), void *context);

#endif
