/*
 * The clock rule, kept while the worker's loop waits for something that does not come back in time:
 * a name that the system resolves, a file system that hangs. A timer's signal (SIGALRM) kills the
 * process groups whose time is up. The loop, when it is not kept, ends a child long before, and
 * says why; this only sees to it that no child works on beside its successor.
 *
 * For one worker, and one thread, a process.
 */
#ifndef VEGA_CHILD_DEADLINE_H
#define VEGA_CHILD_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* `count` groups at most. VEGA_UNAVAILABLE: the user has as many timers and signals waiting as it
 * may have (RLIMIT_SIGPENDING). */
int deadline_open(unsigned count, struct vega_error *err);
void deadline_close(void);

/* The group that the child `leader` leads is to be dead at `at` (CLOCK_BOOTTIME milliseconds);
 * leader 0: none is. Call deadline_arm() after one or more of them. A leader that was reaped is
 * left alone, whoever has its number. True: the one that was set before has passed, and its group
 * was killed unless its leader had been reaped. */
bool deadline_set(unsigned index, pid_t leader, uint64_t at);
void deadline_arm(void);

#endif
