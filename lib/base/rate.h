/*
 * A rate that several threads share: a token bucket, kept as the time at which the next turn is due
 * (the "virtual scheduling" form of the generic cell rate algorithm, ITU-T I.371, annex A), so that
 * taking any number of turns is one compare and swap, and nothing has to refill it.
 *
 * Turns that nobody took are kept for RATE_BURST_NS: a thread that wakes late makes up for it, and
 * the rate holds in the mean. Any second has at most the rate, that burst, and what one call took.
 */
#ifndef VEGA_BASE_RATE_H
#define VEGA_BASE_RATE_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/check.h"

#define RATE_MAX 1000000 /* turns a second: an interval is counted in whole nanoseconds */
#define RATE_BURST_NS ((uint64_t)100 * 1000000)

struct rate {
	uint64_t interval_ns;
	atomic_uint_fast64_t next; /* ns, CLOCK_MONOTONIC */
};

/* per_second: 1…RATE_MAX. The first turn is due `now`. */
static inline void rate_init(struct rate *rate, uint64_t per_second, uint64_t now)
{
	CHECK(per_second > 0 && per_second <= RATE_MAX);
	rate->interval_ns = (1000000000u + per_second / 2) / per_second;
	atomic_init(&rate->next, now);
}

/* Take so many turns at once; when they are due. Any thread. */
static inline uint64_t rate_take(struct rate *rate, uint64_t turns, uint64_t now)
{
	uint64_t next = atomic_load_explicit(&rate->next, memory_order_relaxed), due;
	do {
		due = next + RATE_BURST_NS < now ? now - RATE_BURST_NS : next;
	} while (!atomic_compare_exchange_weak_explicit(&rate->next, &next,
	        due + turns * rate->interval_ns, memory_order_relaxed, memory_order_relaxed));
	return due;
}

#endif
