/* The table of caches, and the choice among them by a URL's scheme. */
#include "cache/cache.h"

const struct cache_backend *const caches[] = {&cache_redis, NULL};

static const struct cache_backend *find(const char *scheme, size_t len)
{
	for (const struct cache_backend *const *at = caches; *at; at++) {
		for (const char *const *known = (*at)->schemes; *known; known++) {
			if (strlen(*known) == len && memcmp(*known, scheme, len) == 0) {
				return *at;
			}
		}
	}
	return NULL;
}

/* Shows no more of the URL than its scheme: it may hold a password. */
static int fail_unknown(const char *url, struct vega_error *err)
{
	struct buf known = BUF_INIT;
	for (const struct cache_backend *const *at = caches; *at; at++) {
		for (const char *const *scheme = (*at)->schemes; *scheme; scheme++) {
			buf_printf(&known, "%s:…, ", *scheme);
		}
	}
	const char *list = buf_cstr(&known);
	int code = vega_fail(err, VEGA_USAGE, "unknown cache '%.*s': wanted %snone",
	        (int)strcspn(url, ":/@"), url, list ? list : "");
	buf_release(&known);
	return code;
}

int cache_open(const char *url, struct cache **out, struct vega_error *err)
{
	*out = NULL;
	if (!url || !*url || strcmp(url, "none") == 0) {
		return 0;
	}
	size_t len = strcspn(url, ":");
	const struct cache_backend *backend = url[len] ? find(url, len) : NULL;
	if (!backend) {
		return fail_unknown(url, err);
	}
	int code = backend->open(url, out, err);
	if (code == 0) {
		(*out)->backend = backend;
	}
	return code;
}

void cache_close(struct cache *cache)
{
	if (cache) {
		cache->backend->close(cache);
	}
}
