/* The arena hands out pieces of 64 KiB blocks, each block linked to the one before it. A larger
 * piece gets a block of its own size. */
#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct arena_block {
	struct arena_block *older;
	size_t cap;
	_Alignas(16) char data[];
};

#define ARENA_BLOCK ((size_t)64 << 10)

void *arena_alloc(struct arena *a, size_t size)
{
	if (size > PTRDIFF_MAX) {
		return NULL;
	}
	size = (size + 15) & ~(size_t)15;
	if (!a->block || a->block->cap - a->used < size) {
		size_t cap = size > ARENA_BLOCK ? size : ARENA_BLOCK;
		struct arena_block *block = malloc(sizeof *block + cap);
		if (!block) {
			return NULL;
		}
		block->older = a->block;
		block->cap = cap;
		a->block = block;
		a->used = 0;
		a->total += cap;
	}
	void *piece = a->block->data + a->used;
	a->used += size;
	CHECK(a->used <= a->block->cap && a->used % 16 == 0);
	return piece;
}

char *arena_copy(struct arena *a, const void *bytes, size_t len)
{
	char *copy = arena_alloc(a, len + 1);
	if (copy) {
		memcpy(copy, bytes, len);
		copy[len] = '\0';
	}
	return copy;
}

void arena_release(struct arena *a)
{
	while (a->block) {
		struct arena_block *older = a->block->older;
		free(a->block);
		a->block = older;
	}
	*a = (struct arena){0};
}
