/* The cache in Redis: one connection per thread, and one warning per run when it cannot be
 * reached. */
#include "base/redis.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "cache/cache.h"

/* A directory that nobody asks for is forgotten after this time. */
#define EXPIRE_S (100u * 24 * 60 * 60)

struct redis_cache {
	struct cache cache;
	char *url;
	atomic_flag warned;
};

struct connection {
	struct redis_cache *owner;
	struct redis *redis;
};

static void warn_once(struct connection *connection)
{
	struct redis_cache *owner = connection->owner;
	const char *trouble = redis_trouble(connection->redis);
	if (trouble && owner->cache.warn && !atomic_flag_test_and_set(&owner->warned)) {
		owner->cache.warn(owner->cache.warn_context, trouble);
	}
}

static void *redis_cache_thread_begin(struct cache *cache)
{
	struct connection *connection = calloc(1, sizeof *connection);
	if (!connection) {
		return NULL;
	}
	connection->owner = (struct redis_cache *)cache;
	if (redis_new(connection->owner->url, &connection->redis, NULL) != 0) {
		free(connection);
		return NULL;
	}
	return connection;
}

static void redis_cache_request(void *self, const void *key, size_t len)
{
	struct connection *connection = self;
	redis_request(connection->redis, key, len);
	warn_once(connection);
}

static bool redis_cache_answer(void *self, struct buf *value)
{
	struct connection *connection = self;
	bool found = redis_answer(connection->redis, value);
	warn_once(connection);
	return found;
}

static void redis_cache_put(
        void *self, const void *key, size_t key_len, const void *value, size_t len)
{
	struct connection *connection = self;
	redis_put(connection->redis, key, key_len, value, len, EXPIRE_S);
	warn_once(connection);
}

static void redis_cache_thread_end(void *self)
{
	struct connection *connection = self;
	if (connection) {
		redis_settle(connection->redis);
		warn_once(connection);
		redis_free(connection->redis);
		free(connection);
	}
}

static void redis_cache_close(struct cache *cache)
{
	struct redis_cache *self = (struct redis_cache *)cache;
	if (self) {
		free(self->url);
		free(self);
	}
}

static int redis_cache_open(const char *url, struct cache **out, struct vega_error *err)
{
	struct redis *probe;
	int code = redis_new(url, &probe, err);
	if (code) {
		return code;
	}
	redis_free(probe);
	struct redis_cache *self = calloc(1, sizeof *self);
	if (self) {
		self->url = strdup(url);
	}
	if (!self || !self->url) {
		free(self);
		return vega_fail_nomem(err);
	}
	atomic_flag_clear(&self->warned);
	*out = &self->cache;
	return 0;
}

const struct cache_backend cache_redis = {
        .schemes = {"redis", "unix"},
        .open = redis_cache_open,
        .thread_begin = redis_cache_thread_begin,
        .request = redis_cache_request,
        .answer = redis_cache_answer,
        .put = redis_cache_put,
        .thread_end = redis_cache_thread_end,
        .close = redis_cache_close,
};
