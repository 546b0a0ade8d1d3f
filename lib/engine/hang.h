/*
 * A run that has been stopped, and does not end because a file system does not answer: it is
 * concluded without the threads that wait there (fs/wait.h), by the one that takes the signals.
 */
#ifndef VEGA_ENGINE_HANG_H
#define VEGA_ENGINE_HANG_H

#include "engine/run_internal.h"

#define HANG_NS 1000000000u /* after the signal, and since anything was done */

/*
 * The run begins: from now on the process takes stop signals by a thread of its own. Where the run
 * hangs, conclude() is called in it while the walk is under way, and does not return. One run at a
 * time.
 */
void hang_watch(struct run *run, void (*conclude)(struct run *run));

/* The walk whose results are those of the run begins (true), or it and its rounds are over: if the
 * run was concluded without the caller, this does not return. */
void hang_walk(bool walking);

#endif
