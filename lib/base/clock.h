/* The clock for lengths of time within one process: it is never set, and stands still in suspend.
 */
#ifndef VEGA_BASE_CLOCK_H
#define VEGA_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t monotonic_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif
