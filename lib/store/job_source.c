/* Jobs by their ids: from the cache of finished ones, else from the store; and waiting until one
 * has ended. */
#include "store/job_source.h"

#include <poll.h>

#include "base/clock.h"

#define POLL_MS 2000 /* behind the store's own wake-up */
#define GAP_MS 50    /* between two looks, however much happens in the store */
#define AWAY_MS 100  /* until a store that was away is tried again, doubled each time */

int job_source_open(struct job_source *source, const char *store_url, const char *cache_url,
        struct vega_error *err)
{
	*source = (struct job_source){.store_url = store_url};
	return result_cache_open(cache_url, &source->cache, err);
}

int job_source_store(struct job_source *source, struct vega_error *err)
{
	return source->store ? 0 : store_open(source->store_url, 0, &source->store, err);
}

void job_source_close(struct job_source *source)
{
	if (source->store) {
		source->store->driver->close(source->store);
	}
	result_cache_close(source->cache);
}

int job_source_get(struct job_source *source, const char *id, unsigned parts, struct job *job,
        struct vega_error *err)
{
	bool first = !source->store;
	if (first && result_cache_get(source->cache, id, parts, job)) {
		return 0;
	}
	int code = job_source_store(source, err);
	if (code == 0) {
		code = source->store->driver->get(source->store, id, parts, job, err);
	}
	if (code == 0 && first) {
		result_cache_put(source->cache, job, parts);
	}
	return code;
}

/* Until something may have changed, `most` ms at most; when the store is away, for that pause. */
static void nap(struct store *store, uint64_t away, uint64_t most)
{
	struct vega_error err;
	uint64_t began = boot_ms(), longest = away ? away : POLL_MS;
	most = most < longest ? most : longest;
	if (away || store->driver->wait(store, most, -1, &err) < 0) {
		poll(NULL, 0, (int)most);
	}
	uint64_t slept = boot_ms() - began;
	if (slept < GAP_MS) {
		poll(NULL, 0, (int)(GAP_MS - slept));
	}
}

int job_source_await(struct job_source *source, const char *id, unsigned parts,
        const struct job_watch *watch, struct job *job, struct vega_error *err)
{
	uint64_t began = boot_ms();
	for (uint64_t away = 0;;) { /* the pause before it is tried again; 0: it answers */
		int code = job_source_get(source, id, parts, job, err);
		if (code && code != VEGA_UNAVAILABLE) {
			return code;
		}
		if (code == 0 && job_state_terminal(job->state)) {
			return 0;
		}
		if (watch->look && (code == 0 || !away)) {
			watch->look(code ? NULL : job, err, watch->context);
		}
		away = !code ? 0 : !away ? AWAY_MS : 2 * away < POLL_MS ? 2 * away : POLL_MS;
		uint64_t waited = boot_ms() - began;
		if (waited >= watch->timeout_ms) {
			if (!away) {
				code = vega_fail(err, VEGA_UNAVAILABLE, "job %s is still %s", id,
				        job_state_name(job->state));
				job_release(job);
			}
			return code;
		}
		if (!away) {
			job_release(job);
		}
		nap(source->store, away, watch->timeout_ms - waited);
	}
}
