/* What the files of spec/ share. */
#ifndef VEGA_SPEC_SPEC_INTERNAL_H
#define VEGA_SPEC_SPEC_INTERNAL_H

#include "base/check.h"
#include "spec/spec.h"

#define OPERATION_DECLARED(NAME, name) extern const struct operation operation_##name;
OPERATIONS(OPERATION_DECLARED)
#undef OPERATION_DECLARED

/* The bit of the operation that is named by these bytes; 0 when there is none. */
uint32_t spec_operation_bit(const char *name, size_t len);

/* The heading of the predicates. */
#define SPEC_WHICH "Which entries"

/* "find" or "summarize,hash". */
void spec_operation_names(uint32_t bits, struct buf *out);

/* Does what follows "--" belong to an operation? */
bool spec_takes_command(const struct spec *spec);

/* Every row, common ones first, then each operation's; NULL after the last. */
const struct option_row *spec_row_at(size_t index);

/* Is the row one of them? */
bool spec_has_row(const struct option_row *row);

/* Is it one that --not and --or are about? */
bool spec_is_predicate(const struct option_row *row);

/* Adds an empty set, which stays theirs. */
int spec_add_set(struct spec_sets *sets, struct spec **set, struct vega_error *err);

/* The field that a row describes. */
static inline void *spec_field(const struct option_row *row, const struct spec *spec)
{
	CHECK(row->offset < sizeof *spec);
	return (char *)(uintptr_t)spec + row->offset;
}

/* Does the field differ from its default? */
bool spec_row_is_set(const struct option_row *row, const struct spec *spec);

/* May an option stand with the operations of these bits? VEGA_USAGE says to which it belongs. */
int spec_check_row(const struct option_row *row, uint32_t bits, struct vega_error *err);

/* Is the number, where it is set, within least…most? */
int spec_check_range(const char *name, const struct option_number *number, uint64_t least,
        uint64_t most, struct vega_error *err);

/* A row's name in JSON: "min_size" for min-size; "" for one that is not there. */
#define SPEC_NAME_SIZE 64
void spec_json_name(const struct option_row *row, char name[SPEC_NAME_SIZE]);

/* Up to here a double, and so a number in JSON, stands for one integer only. */
#define SPEC_EXACT_MAX ((UINT64_C(1) << 53) - 1)

/* Bring values into their canonical form (an extension without leading dots). */
void spec_normalize(struct spec *spec);

#endif
