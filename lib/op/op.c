/* The operations' code, in the order of operations[]. */
#include "op/op.h"

const struct op *const ops[] = {
#define OP_ROW(NAME, name) &op_##name,
        OPERATIONS(OP_ROW)
#undef OP_ROW
                NULL,
};
