/*
 * Where the parts of a walk begin and where they are cut, set against each other: each beginning
 * counts 1, each cut -1. When all parts are there, and each of them once, what is left is one
 * beginning per root.
 */
#ifndef VEGA_ENGINE_PLACES_H
#define VEGA_ENGINE_PLACES_H

#include "base/pack.h"

struct places_item {
	char *path; /* below the root; "" is the root itself */
	size_t path_len;
	uint32_t root;
	int balance; /* -1 or 1; more: doubled */
};

/* Zeroed is empty. */
struct places {
	struct places_item *items; /* in order; without those that are balanced */
	size_t count, cap;
};

/* balance: 1 or -1. False: no memory. */
bool places_add(struct places *places, uint32_t root, const char *path, size_t len, int balance);

/* Was a place begun twice, or cut twice? */
bool places_doubled(const struct places *places);

/* Is one beginning left for each of that many roots, and nothing else? */
bool places_match(const struct places *places, uint64_t roots);

void places_pack(const struct places *places, struct buf *out);
/* Adds what it reads, whose roots are below `roots`. False: no memory. */
bool places_unpack(struct places *places, struct unpack *in, size_t roots);
void places_release(struct places *places);

#endif
