#include "op/op.h"

/* In the order of the bits of enum spec_operation. */
const struct op *const ops[] = {&op_summarize, &op_find, &op_hash, &op_transform, NULL};
