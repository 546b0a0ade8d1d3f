/* So many bytes that several threads may write together. */
#ifndef VEGA_BASE_QUOTA_H
#define VEGA_BASE_QUOTA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"

struct quota {
	int64_t most;
	atomic_int *stop; /* set to -1, if it was 0, when the quota is used up */
	atomic_int_fast64_t used;
};

/* Take so many bytes of it, or give them back (negative). False: that is more than there are, and
 * they must not be written. NULL: no quota. */
static inline bool quota_take(struct quota *quota, int64_t bytes)
{
	int running = 0;
	if (!quota || atomic_fetch_add(&quota->used, bytes) + bytes <= quota->most) {
		return true;
	}
	atomic_compare_exchange_strong(quota->stop, &running, -1);
	return false;
}

static inline bool quota_exceeded(struct quota *quota)
{
	CHECK(atomic_load(&quota->used) >= 0);
	return atomic_load(&quota->used) > quota->most;
}

#endif
