/*
 * A Redis connection with manners, for both wings: lazy connect, short timeouts (200 ms to connect,
 * 500 ms a command), and a circuit breaker: after a failure the connection is left alone for 5 s,
 * then tried once more. Redis that is down is "no cache", never an error. Not thread-safe: one a
 * thread. Values are bytes.
 */
#ifndef VEGA_BASE_REDIS_H
#define VEGA_BASE_REDIS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

struct redis;

/* redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE] or unix:PATH. VEGA_USAGE for a malformed URL;
 * does not connect. */
int redis_new(const char *url, struct redis **out, struct vega_error *err);

/* Why the last use failed ("cannot connect to redis://…: Connection refused"), or NULL. Owned by
 * the connection. */
const char *redis_trouble(const struct redis *redis);

/* True and the value, or false: no such key, wrong type, or trouble. */
bool redis_get(struct redis *redis, const void *key, size_t len, struct buf *value);

/* The two halves of redis_get(), so that other work fits between. At most one outstanding. */
void redis_request(struct redis *redis, const void *key, size_t len);
bool redis_answer(struct redis *redis, struct buf *value);

/* SET with an expiry in seconds (0: none). The reply is awaited only with the next reading call. */
void redis_put(struct redis *redis, const void *key, size_t key_len, const void *value, size_t len,
        unsigned expire_s);

/* Wait for outstanding replies, then close. */
void redis_free(struct redis *redis);

#endif
