/* Which cache a URL opens, and what the Redis one does for threads. */
#include "cache/cache.h"

#include <pthread.h>
#include <stdatomic.h>

#include "../redis_server.h"
#include "../tap.h"

static struct redis_server server;
static atomic_int warnings;
static char warning[512];

static void warn(void *context, const char *text)
{
	snprintf(warning, sizeof warning, "%s", text);
	ok(context == &warnings, "a warning comes with its context");
	atomic_fetch_add(&warnings, 1);
}

static void urls(void)
{
	static const char *const none[] = {NULL, "", "none"};
	static const char *const bad[] = {"memcached://h", "redis", "unix", "/run/redis.sock",
	        "redis://", "unix:", "None", "redis:6379", "://x"};
	struct vega_error err;
	struct cache *cache;
	for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
		cache = (struct cache *)&err;
		ok(cache_open(none[i], &cache, &err) == 0 && !cache, "no cache is opened by %s",
		        none[i] ? none[i] : "NULL");
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		err.text[0] = '\0';
		is_int(cache_open(bad[i], &cache, &err), VEGA_USAGE, "the URL '%s' is rejected",
		        bad[i]);
		ok(!cache && err.text[0] && !strchr(err.text, '\n'),
		        "a rejected URL has one line of error: %s", err.text);
	}
	cache_open("rediss://user:secret@host", &cache, &err);
	ok(!strstr(err.text, "secret"), "the error does not repeat a password: %s", err.text);
	is_int(cache_open("redis://127.0.0.1:1", &cache, &err), 0,
	        "opening a cache does not connect");
	ok(cache->backend == &cache_redis, "a redis URL opens the Redis cache");
	cache_close(cache);
	cache_close(NULL);
}

static struct cache *open_cache(void)
{
	struct cache *cache;
	struct vega_error err;
	if (cache_open(server.url, &cache, &err) != 0) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
	atomic_store(&warnings, 0);
	cache->warn = warn;
	cache->warn_context = &warnings;
	return cache;
}

static bool get_is(struct cache *cache, void *connection, const char *key, const char *wanted)
{
	struct buf value = BUF_INIT;
	cache->backend->request(connection, key, strlen(key));
	bool found = cache->backend->answer(connection, &value);
	bool same = wanted ? found && value.len == strlen(wanted) &&
	                             memcmp(value.data, wanted, value.len) == 0
	                   : !found;
	buf_release(&value);
	return same;
}

static void values(void)
{
	struct cache *cache = open_cache();
	void *one = cache->backend->thread_begin(cache), *two = cache->backend->thread_begin(cache);
	ok(get_is(cache, one, "k", NULL), "a new cache is empty");
	cache->backend->put(one, "k", 1, "v", 1);
	cache->backend->thread_end(one);
	ok(get_is(cache, two, "k", "v"), "a value that one thread put is found by another");
	cache->backend->thread_end(two);
	cache->backend->thread_end(NULL);
	ok(redis_server_command(&server, "CONFIG SET maxmemory 1"), "a server has no memory left");
	one = cache->backend->thread_begin(cache);
	cache->backend->put(one, "k", 1, "w", 1);
	cache->backend->thread_end(one);
	is_int(warnings, 1, "a server that stores nothing is worth a warning: %s", warning);
	ok(redis_server_command(&server, "CONFIG SET maxmemory 0"), "a server has memory again");
	cache_close(cache);
}

static void *use(void *context)
{
	struct cache *cache = context;
	struct buf value = BUF_INIT;
	void *connection = cache->backend->thread_begin(cache);
	for (int i = 0; i < 1000; i++) {
		cache->backend->request(connection, "k", 1);
		cache->backend->answer(connection, &value);
		cache->backend->put(connection, "k", 1, "v", 1);
	}
	cache->backend->thread_end(connection);
	buf_release(&value);
	return NULL;
}

static void down(void)
{
	struct cache *cache = open_cache();
	pthread_t threads[4];
	redis_server_stop(&server);
	for (int i = 0; i < 4; i++) {
		pthread_create(&threads[i], NULL, use, cache);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
	}
	is_int(warnings, 1, "an unreachable server is worth one warning for all threads: %s",
	        warning);
	cache_close(cache);
	cache = open_cache();
	cache->warn = NULL;
	use(cache);
	cache_close(cache);
	ok(true, "an unreachable server without a listener for warnings is no fault");
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	redis_server_start(&server, NULL, NULL);
	urls();
	values();
	down();
	redis_server_remove(&server);
	return done();
}
