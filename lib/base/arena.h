/*
 * Memory for many pieces that go together: allocate, never free one piece, release all at once. Not
 * thread-safe: one per thread, or per call. Pieces are aligned to 16 bytes and are not zeroed.
 */
#ifndef VEGA_BASE_ARENA_H
#define VEGA_BASE_ARENA_H

#include <stddef.h>

struct arena {
	struct arena_block *block; /* the newest */
	size_t used;               /* bytes of it handed out */
	size_t total;              /* bytes held in all blocks */
};

/* NULL when there is no memory. */
void *arena_alloc(struct arena *a, size_t size);

/* A NUL-terminated copy. */
char *arena_copy(struct arena *a, const void *bytes, size_t len);

void arena_release(struct arena *a);

#endif
