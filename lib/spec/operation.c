/* Asking what the operations of a specification are like, without naming any. */
#include "spec/spec_internal.h"

#include <string.h>

uint32_t spec_operation_bit(const char *name, size_t len)
{
	for (unsigned i = 0; operations[i]; i++) {
		if (strlen(operations[i]->name) == len &&
		        memcmp(operations[i]->name, name, len) == 0) {
			return UINT32_C(1) << i;
		}
	}
	return 0;
}

void spec_operation_names(uint32_t bits, struct buf *out)
{
	const char *separator = "";
	for (unsigned i = 0; operations[i]; i++) {
		if (bits & UINT32_C(1) << i) {
			buf_add_str(out, separator);
			buf_add_str(out, operations[i]->name);
			separator = ",";
		}
	}
}

const struct operation *spec_next_operation(const struct spec *spec, unsigned *index)
{
	CHECK(*index <= OPERATION_COUNT);
	while (*index < OPERATION_COUNT) {
		unsigned at = (*index)++;
		if (spec->operations & UINT32_C(1) << at) {
			return operations[at];
		}
	}
	return NULL;
}

const struct operation *spec_only_operation(const struct spec *spec)
{
	unsigned index = 0;
	const struct operation *first = spec_next_operation(spec, &index);
	return spec_next_operation(spec, &index) ? NULL : first;
}

/* Has some operation of the spec this value in the bool at `offset` of struct operation? */
static bool any_has(const struct spec *spec, size_t offset, bool value)
{
	const struct operation *operation;
	for (unsigned i = 0; (operation = spec_next_operation(spec, &i));) {
		if (*(const bool *)((const char *)operation + offset) == value) {
			return true;
		}
	}
	return false;
}

bool spec_writes(const struct spec *spec)
{
	return any_has(spec, offsetof(struct operation, writes), true);
}

bool spec_computes(const struct spec *spec)
{
	return any_has(spec, offsetof(struct operation, computes), true);
}

bool spec_takes_command(const struct spec *spec)
{
	return any_has(spec, offsetof(struct operation, takes_command), true);
}

bool spec_answers_in_summary(const struct spec *spec)
{
	return any_has(spec, offsetof(struct operation, schema.answers_in_summary), true);
}

bool spec_answers_in_records(const struct spec *spec)
{
	return any_has(spec, offsetof(struct operation, schema.answers_in_summary), false);
}

uint64_t spec_descent(const struct spec *spec)
{
	uint64_t most = spec->descend.set ? spec->descend.value : UINT64_MAX;
	bool counts = any_has(spec, offsetof(struct operation, counts_below), true);
	bool limits = spec->show_depth.set && !counts && spec->show_depth.value < most;
	return limits ? spec->show_depth.value : most;
}

bool spec_shapes_summary(const struct spec *spec)
{
	if (spec->show_depth.set || spec->list_depth.set) {
		return true;
	}
	const struct operation *operation;
	for (unsigned i = 0; (operation = spec_next_operation(spec, &i));) {
		for (size_t row = 0; row < operation->row_count; row++) {
			if (operation->schema.answers_in_summary &&
			        spec_row_is_set(&operation->rows[row], spec)) {
				return true;
			}
		}
	}
	return false;
}
