/* The options of hash. */
#ifndef VEGA_SPEC_HASH_H
#define VEGA_SPEC_HASH_H

#include "spec/spec.h"

enum spec_hash { SPEC_XXH128, SPEC_SHA256 };

struct hash_options {
	unsigned algo; /* enum spec_hash */
};

OPERATION_OPTIONS(HASH, hash)

#endif
