/*
 * Steps of the job protocol at which a test ends the process that passes them, as a crash would.
 *
 * Only a build with -DVEGA_KILL_POINTS (PROFILE=faults) has them: VEGA_KILL_AT=NAME[:N] in its
 * environment has the process send itself SIGKILL at the Nth time (1) that it passes the step. With
 * VEGA_KILL_MARK=FILE only the one that creates FILE dies, so that whoever takes its place lives.
 * Any other build contains nothing of this, which tests/lint/killpoints looks after.
 */
#ifndef VEGA_BASE_KILLPOINT_H
#define VEGA_BASE_KILLPOINT_H

#ifdef VEGA_KILL_POINTS

enum kill_point {
#define KILL_STEP(name) KILL_##name,
#include "base/killpoint.def"
#undef KILL_STEP
};

void kill_point_pass(enum kill_point point);

#define KILL_POINT(name) kill_point_pass(KILL_##name)
#else
#define KILL_POINT(name) ((void)0)
#endif

#endif
