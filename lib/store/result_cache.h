/*
 * Finished jobs in Redis, read before the database. Only terminal jobs are kept: they never change,
 * so nothing needs invalidating; they expire after a day. Losing the cache, or finding it damaged,
 * changes nothing but the time a look-up takes.
 *
 * Whoever may read this Redis may read the results in it, and whoever may write to it may forge
 * them: guard it as the store is guarded. Not thread-safe.
 */
#ifndef VEGA_STORE_RESULT_CACHE_H
#define VEGA_STORE_RESULT_CACHE_H

#include <stdbool.h>

#include "base/error.h"
#include "job/job.h"

struct result_cache;

/* "redis://…" or "unix:…" (base/redis.h); "none", "" and NULL store NULL, which every call below
 * takes. Does not connect. VEGA_USAGE for a malformed URL. */
int result_cache_open(const char *url, struct result_cache **out, struct vega_error *err);

/*
 * True, and the job (the caller releases it), when it is there with at least `parts` (store_parts)
 * of its result. False, and a zeroed job, for anything else.
 */
bool result_cache_get(struct result_cache *cache, const char *id, unsigned parts, struct job *job);

/* Keep a job that was loaded with `parts`. One that is not terminal, or larger than 1 MiB, is left
 * alone. */
void result_cache_put(struct result_cache *cache, const struct job *job, unsigned parts);

/* Why the cache does not answer, one line, or NULL. Owned by the cache. */
const char *result_cache_trouble(struct result_cache *cache);

void result_cache_close(struct result_cache *cache);

#endif
