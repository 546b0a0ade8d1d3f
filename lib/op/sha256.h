/*
 * SHA-256 by OpenSSL's libcrypto, which is loaded when it is first wanted: linking it would cost
 * every start 0.6 ms, as much as all the rest of a start.
 */
#ifndef VEGA_OP_SHA256_H
#define VEGA_OP_SHA256_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define SHA256_SIZE 32

/* Load the library, once a process. VEGA_FATAL names it when it is missing. Not thread-safe. */
int sha256_load(struct vega_error *err);

/* One a thread, after sha256_load(). NULL: no memory. begin, update…, end may be repeated. False
 * only when OpenSSL fails. */
struct sha256;
struct sha256 *sha256_new(void);
bool sha256_begin(struct sha256 *hash);
bool sha256_update(struct sha256 *hash, const void *bytes, size_t len);
bool sha256_end(struct sha256 *hash, unsigned char digest[SHA256_SIZE]);
void sha256_free(struct sha256 *hash);

#endif
