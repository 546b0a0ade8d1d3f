/*
 * Caches of per-directory values. One file a cache, one table (caches[]).
 *
 * Keys and values are bytes. A cache may forget anything at any time; losing it, or finding it
 * poisoned, never changes a result: the caller validates every value it gets. So no slot after
 * open() fails: a cache that is down answers "none", says so once (through `warn`), and is left
 * alone for a while (a circuit breaker).
 */
#ifndef VEGA_CACHE_CACHE_H
#define VEGA_CACHE_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

struct cache_backend;

struct cache {
	const struct cache_backend *backend;
	/* Called at most once, from any thread, with one line: why there is no cache. */
	void (*warn)(void *context, const char *text);
	void *warn_context;
};

struct cache_backend {
	const char *schemes[4]; /* of its URLs, NULL-terminated: "redis", "unix" */

	/* Checks the URL and connects lazily. VEGA_USAGE for a malformed one. cache_open() fills
	 * `backend`, whoever opens it `warn`, before any thread begins. */
	int (*open)(const char *url, struct cache **out, struct vega_error *err);

	/* A thread's connection; NULL: no memory (the thread then runs without). */
	void *(*thread_begin)(struct cache *cache);

	/* Ask for a key without waiting. At most one is outstanding on a connection: a further
	 * request gives up the one before. */
	void (*request)(void *connection, const void *key, size_t len);

	/* The answer to request(): true and the value, or false. */
	bool (*answer)(void *connection, struct buf *value);

	/* Store, without waiting for the outcome. */
	void (*put)(
	        void *connection, const void *key, size_t key_len, const void *value, size_t len);

	/* Waits for what was put. NULL is fine. */
	void (*thread_end)(void *connection);
	void (*close)(struct cache *cache);
};

extern const struct cache_backend cache_redis;
extern const struct cache_backend *const caches[]; /* NULL-terminated */

/* "redis://…", "unix:…"; "none", "" and NULL store NULL. VEGA_USAGE names an unknown scheme and the
 * known ones. */
int cache_open(const char *url, struct cache **out, struct vega_error *err);

/* After all threads ended. NULL is fine. */
void cache_close(struct cache *cache);

#endif
