/* vega-admin prune: remove what has ended, and what workers that were lost left behind. */
#ifndef VEGA_CMD_PRUNE_H
#define VEGA_CMD_PRUNE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strlist.h"
#include "store/store.h"

struct prune_options {
	uint64_t older_ms;
	uint32_t states; /* bits 1 << enum job_state; 0: all that have ended */
	const char *queue, *label;
	const char *spool;               /* NULL: the default */
	const struct strlist *forgotten; /* hosts whose spooled files count as gone */
	const struct strlist *roots;     /* stages are looked for beneath these; empty: anywhere */
	bool stages;                     /* look for them at all */
	unsigned batch;
	bool dry_run, json;
};

/*
 * In this order: the stages of jobs that have ended, the jobs with their spooled files, spooled
 * files of no job, workers not seen for a day. What cannot be removed is told on stderr, and left;
 * then VEGA_PARTIAL. Prints what was removed, also when it fails on the way.
 */
int prune(struct store *store, const struct prune_options *options, struct vega_error *err);

#endif
