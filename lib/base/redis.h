/*
 * A Redis connection with manners, for both wings: lazy connect, short deadlines (200 ms to
 * connect, 500 ms of silence), and a circuit breaker: after a failure the connection is left
 * alone for 5 s, then tried once more. Redis that is down is "no cache", never an error. (Only the
 * resolver has its own, longer deadlines: prefer an address or a socket.) Not thread-safe: one a
 * thread. Values are bytes, at most REDIS_VALUE_MAX of them. The process must ignore SIGPIPE
 * (signal_setup() does).
 */
#ifndef VEGA_BASE_REDIS_H
#define VEGA_BASE_REDIS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

#define REDIS_VALUE_MAX ((size_t)16 << 20)

struct redis;

/* redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE] or unix:PATH. VEGA_USAGE for a malformed URL;
 * does not connect. */
int redis_new(const char *url, struct redis **out, struct vega_error *err);

/*
 * What last went wrong since the connection was made ("cannot connect to redis://…: Connection
 * refused"), or NULL. Never holds the password. Owned by the connection.
 */
const char *redis_trouble(const struct redis *redis);

/* True and the value, or false: no such key, wrong type, or trouble. */
bool redis_get(struct redis *redis, const void *key, size_t len, struct buf *value);

/* The two halves of redis_get(), so that other work fits between. At most one outstanding: a
 * further request gives up the one before. */
void redis_request(struct redis *redis, const void *key, size_t len);
bool redis_answer(struct redis *redis, struct buf *value);

/* SET with an expiry in seconds (0: none). The reply is awaited only with the next reading call,
 * redis_settle(), or when many are outstanding. A larger value than REDIS_VALUE_MAX is not stored.
 */
void redis_put(struct redis *redis, const void *key, size_t key_len, const void *value, size_t len,
        unsigned expire_s);

/* Wait for the outstanding replies, so that redis_trouble() knows of them. */
void redis_settle(struct redis *redis);

/* Settle, then close. NULL is fine. */
void redis_free(struct redis *redis);

#endif
