/* find: the paths of the selected entries. All of its options are those of every operation. */
#include "spec/spec_internal.h"

#define NAME "find"

static const struct record_fact facts[] = {
        {"matched", UNIT_COUNT, "entry found", "entries found", .show = FACT_ALWAYS},
};

const struct operation operation_find = {
        .name = NAME,
        .help = "print the path of each entry",
        .schema =
                {
                        .name = NAME,
                        .standard = STANDARD_ALL,
                        .meta = META_ALL,
                        .facts = facts,
                        .fact_count = sizeof facts / sizeof *facts,
                },
};
