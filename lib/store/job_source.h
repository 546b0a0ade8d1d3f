/* Where the commands get jobs from: the cache of finished ones, then the store. */
#ifndef VEGA_STORE_JOB_SOURCE_H
#define VEGA_STORE_JOB_SOURCE_H

#include <stdint.h>

#include "store/result_cache.h"
#include "store/store.h"

struct job_source {
	const char *store_url;      /* NULL: the default */
	struct result_cache *cache; /* may be NULL */
	struct store *store;        /* NULL until it is needed: what is asked for may be cached */
};

int job_source_open(struct job_source *source, const char *store_url, const char *cache_url,
        struct vega_error *err);
int job_source_store(struct job_source *source, struct vega_error *err);
void job_source_close(struct job_source *source);

int job_source_get(struct job_source *source, const char *id, unsigned parts, struct job *job,
        struct vega_error *err);

/*
 * Get the job once it has ended. A store that is away, from the start or later, is waited for.
 * After timeout_ms (UINT64_MAX: never) VEGA_UNAVAILABLE. `look` (may be NULL) is called with the
 * job as it is now and then, or with NULL and the reason when the store is found to be away.
 */
struct job_watch {
	uint64_t timeout_ms;
	void (*look)(const struct job *job, const struct vega_error *away, void *context);
	void *context;
};
int job_source_await(struct job_source *source, const char *id, unsigned parts,
        const struct job_watch *watch, struct job *job, struct vega_error *err);

#endif
