/* A cache in memory, whose values a test can count, damage and refuse. */
#ifndef TESTS_MEMORY_CACHE_H
#define TESTS_MEMORY_CACHE_H

#include <pthread.h>
#include <stdlib.h>

#include "cache/cache.h"

#define MEMORY_VALUES 256

struct memory_value {
	struct buf key, value;
};

static struct memory_value memory_values[MEMORY_VALUES];
static unsigned memory_count, memory_puts, memory_requests;
static size_t memory_largest;
static pthread_mutex_t memory_lock = PTHREAD_MUTEX_INITIALIZER;

static struct memory_value *memory_find(const void *key, size_t len)
{
	for (unsigned i = 0; i < memory_count; i++) {
		struct memory_value *at = &memory_values[i];
		if (at->key.len == len && memcmp(at->key.data, key, len) == 0) {
			return at;
		}
	}
	return NULL;
}

/* A connection is the key that was asked for. */
static void *memory_thread_begin(struct cache *cache)
{
	(void)cache;
	return calloc(1, sizeof(struct buf));
}

static void memory_request(void *connection, const void *key, size_t len)
{
	struct buf *asked = connection;
	buf_clear(asked);
	buf_add(asked, key, len);
	pthread_mutex_lock(&memory_lock);
	memory_requests++;
	pthread_mutex_unlock(&memory_lock);
}

static bool memory_answer(void *connection, struct buf *value)
{
	const struct buf *asked = connection;
	pthread_mutex_lock(&memory_lock);
	const struct memory_value *found = memory_find(asked->data, asked->len);
	if (found) {
		buf_add(value, found->value.data, found->value.len);
	}
	pthread_mutex_unlock(&memory_lock);
	return found && !value->failed;
}

static void memory_put(
        void *connection, const void *key, size_t key_len, const void *value, size_t len)
{
	(void)connection;
	pthread_mutex_lock(&memory_lock);
	struct memory_value *at = memory_find(key, key_len);
	if (!at && memory_count < MEMORY_VALUES) {
		at = &memory_values[memory_count++];
		buf_add(&at->key, key, key_len);
	}
	if (at) {
		buf_clear(&at->value);
		buf_add(&at->value, value, len);
	}
	memory_puts++;
	memory_largest = len > memory_largest ? len : memory_largest;
	pthread_mutex_unlock(&memory_lock);
}

static void memory_thread_end(void *connection)
{
	struct buf *asked = connection;
	buf_release(asked);
	free(asked);
}

/* Forgets everything, the counts too. */
static inline void memory_clear(void)
{
	for (unsigned i = 0; i < memory_count; i++) {
		buf_release(&memory_values[i].key);
		buf_release(&memory_values[i].value);
	}
	memory_count = memory_puts = memory_requests = 0;
	memory_largest = 0;
}

static const struct cache_backend memory_backend = {
        .schemes = {"memory"},
        .thread_begin = memory_thread_begin,
        .request = memory_request,
        .answer = memory_answer,
        .put = memory_put,
        .thread_end = memory_thread_end,
};

static struct cache memory_cache = {.backend = &memory_backend};

#endif
