/*
 * Operations, as both wings know them: an operation's name, its options and what they must satisfy,
 * the columns of its records and the members of its summary.
 * The code behind each is in op/.
 *
 * An operation NAME is a pair of files: lib/spec/NAME.c exports `operation_NAME`, lib/op/NAME.c
 * exports `op_NAME`; lib/spec/NAME.h has the struct of its options, where it has any. OPERATIONS is
 * the only list of them: it makes the bits, operations[] and ops[]. No other file names one
 * (tests/lint/operations).
 */
#ifndef VEGA_SPEC_OPERATION_H
#define VEGA_SPEC_OPERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/option.h"
#include "record/schema.h"

/* each(NAME, name), in the order in which operations are named, run and written. The first is what
 * a command line without an operation means. */
/* clang-format off */
#define OPERATIONS(each) \
	each(SUMMARIZE, summarize) \
	each(FIND, find) \
	each(HASH, hash) \
	each(TRANSFORM, transform)
/* clang-format on */

/* OPERATION_FIND: its place in operations[] and in struct spec. */
enum operation_index {
#define OPERATION_INDEX(NAME, name) OPERATION_##NAME,
	OPERATIONS(OPERATION_INDEX)
#undef OPERATION_INDEX
	        OPERATION_COUNT
};

/* SPEC_FIND: its bit in spec.operations. */
enum spec_operation {
#define SPEC_BIT(NAME, name) SPEC_##NAME = 1 << OPERATION_##NAME,
	OPERATIONS(SPEC_BIT)
#undef SPEC_BIT
};

/* Where struct spec keeps the options of one operation. */
#define OPERATION_OPTIONS_MAX 128
union operation_options {
	max_align_t aligned;
	unsigned char bytes[OPERATION_OPTIONS_MAX];
};

struct spec;

struct operation {
	const char *name;
	const char *help; /* for --help, as an option's */

	/* Its own options; NULL and 0: none. Offsets are into struct spec, made by OPERATION_FIELD;
	 * `groups` has the operation's bit, `heading` is its name. */
	const struct option_row *rows;
	size_t row_count;

	/* All that its options and the command must satisfy, called when the spec has the operation
	 * and the common part was found good. NULL: anything. VEGA_USAGE. */
	int (*check)(const struct spec *spec, struct vega_error *err);

	bool writes;        /* files, below spec.out, which check() demands */
	bool computes;      /* rather than waits for a disk: a thread per processor is best */
	bool counts_below;  /* what lies deeper than --max-depth, too: it shows nothing of it. Only
	                       where it neither reads content nor has rounds */
	bool takes_command; /* what follows "--" is a command, not roots */

	struct record_schema schema; /* what it puts out; schema.name is its name, too */
};

extern const struct operation *const operations[]; /* NULL-terminated, by operation_index */

/* The schemas of all, NULL-terminated, in the same order: for struct format_options. */
extern const struct record_schema *const operation_schemas[];

/* The offset in struct spec of a member of an operation's options. To be used where spec/spec.h is
 * included, in lib/spec/NAME.c. */
#define OPERATION_FIELD(NAME, type, member) \
	.offset = offsetof(struct spec, own[OPERATION_##NAME]) + offsetof(type, member)

/* NAME_options(spec), and NAME_options_of(spec) to change them: the options, typed. For
 * lib/spec/NAME.h. */
#define OPERATION_OPTIONS(NAME, name) \
	_Static_assert(sizeof(struct name##_options) <= OPERATION_OPTIONS_MAX, \
	        "raise OPERATION_OPTIONS_MAX"); \
	static inline const struct name##_options *name##_options(const struct spec *spec) \
	{ \
		return (const void *)&spec->own[OPERATION_##NAME]; \
	} \
	static inline struct name##_options *name##_options_of(struct spec *spec) \
	{ \
		return (void *)&spec->own[OPERATION_##NAME]; \
	}

#endif
