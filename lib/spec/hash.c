/* hash: a digest of each regular file. */
#include "spec/hash.h"

#include "spec/spec_internal.h"

#define NAME "hash"

static const char *const algos[] = {"xxh128", "sha256", NULL};

#define FIELD(member) OPERATION_FIELD(HASH, struct hash_options, member)

static const struct option_row rows[] = {
        {"algo", 'a', OPT_CHOICE, FIELD(algo), SPEC_HASH, "NAME", algos, NAME,
                "xxh128 (default), or sha256; sha256sum -c reads the output, as does xxhsum -c but "
                "for "
                "names with a newline"},
};

static const struct record_column fields[] = {
        {"algorithm", VALUE_TEXT, UNIT_NONE, "algorithm"},
        {"digest", VALUE_TEXT, UNIT_NONE, "digest"},
};

static const struct record_fact facts[] = {
        {"files", UNIT_COUNT, "file hashed", "files hashed", .show = FACT_ALWAYS},
        {"bytes", UNIT_BYTES, NULL, "in all", .show = FACT_ALWAYS},
        {"cached", UNIT_COUNT, "taken from the cache", "taken from the cache", .show = FACT_IF_ANY},
};

const struct operation operation_hash = {
        .name = NAME,
        .help = "print a digest of each file",
        .rows = rows,
        .row_count = sizeof rows / sizeof *rows,
        .schema =
                {
                        .name = NAME,
                        .standard =
                                1u << STANDARD_PATH | 1u << STANDARD_SIZE | 1u << STANDARD_MTIME,
                        .fields = fields,
                        .field_count = sizeof fields / sizeof *fields,
                        .facts = facts,
                        .fact_count = sizeof facts / sizeof *facts,
                },
};
