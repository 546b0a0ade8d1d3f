/* hash: a digest of each regular file. */
#include "spec/hash.h"

#include "spec/spec_internal.h"

static const char *const algos[] = {"xxh128", "sha256", NULL};

#define FIELD(member) OPERATION_FIELD(HASH, struct hash_options, member)

static const struct option_row rows[] = {
        {"algo", 'a', OPT_CHOICE, FIELD(algo), SPEC_HASH, "NAME", algos, "hash",
                "xxh128 (default), or sha256; sha256sum -c and xxhsum -c read the output"},
};

const struct operation operation_hash = {
        .name = "hash",
        .rows = rows,
        .row_count = sizeof rows / sizeof *rows,
};
