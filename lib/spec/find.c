/* find: the paths of the selected entries. All of its options are those of every operation. */
#include "spec/spec_internal.h"

const struct operation operation_find = {
        .name = "find",
};
