/*
 * The outcome of a walk, or of a part of one: the accumulators of its operations, folded into one
 * per operation, and the sums beside them. From a run (run_outcome()), or from partial results
 * (engine/partial.h): the summary is written from it in either case.
 */
#ifndef VEGA_ENGINE_OUTCOME_H
#define VEGA_ENGINE_OUTCOME_H

#include "engine/content.h"

#define OPS_MAX CONTENT_OPS_MAX

struct outcome {
	const struct spec *spec;
	const struct op *op[OPS_MAX];
	const struct operation *operation[OPS_MAX];
	void *self[OPS_MAX], *accumulator[OPS_MAX]; /* borrowed */
	unsigned op_count;
	bool complete;    /* neither stopped nor out of memory */
	bool has_receipt; /* it was made */
	unsigned __int128 receipt;
	uint64_t elapsed_ns; /* of several parts: together */
	struct walk_ledger ledger;
	uint64_t unwritten; /* errors of operations that write */
	struct content_stats content;
};

/* The sums of another part; not the accumulators. */
void outcome_add(struct outcome *to, const struct outcome *part);

/* The summary object. False when an operation's part is not whole. Finishes the accumulators. */
bool outcome_json(const struct outcome *outcome, struct buf *out);

/* The code that the outcome has, and its error: 0, VEGA_INTERRUPTED, VEGA_FATAL or VEGA_PARTIAL.
 * first_error: a line, or NULL. */
int outcome_code(const struct outcome *outcome, const char *first_error, struct vega_error *err);

#endif
