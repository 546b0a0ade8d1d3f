/*
 * Values kept where they may be lost, cut, overwritten, or moved to another key (a cache): a kind,
 * and a checksum over the key and the content, so that all such damage counts as "nothing there".
 * It guards against accidents and strangers' data, not against somebody who forges values on
 * purpose: whoever may write to the cache is trusted. The byte order is the machine's; a value
 * from one of the other order counts as damaged.
 */
#ifndef VEGA_BASE_SEAL_H
#define VEGA_BASE_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define SEAL_SIZE 16

/* Begin a value in an empty buffer; the content is added after it. The kind changes with the
 * content's layout. */
void seal_begin(struct buf *value, uint32_t kind);

/* The content is complete. Does nothing to a failed buffer. */
void seal_end(struct buf *value, const void *key, size_t len);

/* Is this what seal_end() made, of this kind, under this key? The content is at SEAL_SIZE. */
bool seal_good(const struct buf *value, uint32_t kind, const void *key, size_t len);

#endif
