/*
 * Pruning a store: the stages of jobs that have ended, the jobs with their spooled files, spooled
 * files of no job, workers not seen for a day; in this order, so that no file outlives the job that
 * names it unseen.
 */
#ifndef VEGA_WORKER_PRUNE_H
#define VEGA_WORKER_PRUNE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strlist.h"
#include "store/store.h"

/* The stages of jobs, which only the engine wing can reach. `spec` is the job's; attempts up to
 * lease_seq may have left one each. */
struct prune_stages {
	/* How many there are; 0 also when that cannot be seen. */
	unsigned (*count)(const char *id, uint64_t lease_seq, const char *spec, void *context);
	/* Remove them; a negative code, and the reason. */
	int (*discard)(const char *id, uint64_t lease_seq, const char *spec, void *context,
	        struct vega_error *err);
};

struct prune_options {
	uint64_t older_ms;
	uint32_t states; /* bits 1 << enum job_state; 0: all that have ended */
	const char *queue, *label;
	const char *spool;                 /* a real path; NULL: there is none */
	bool spool_shared;                 /* other stores may keep files there, too */
	const struct strlist *forgotten;   /* hosts whose spooled files count as gone */
	const struct prune_stages *stages; /* NULL: they are not looked for */
	unsigned batch;                    /* jobs per transaction */
	bool dry_run;
	void (*trouble)(const struct vega_error *err, void *context); /* what cannot be removed */
	void *context;                                                /* of this and of stages */
};

/* What was removed, or in a dry run would be, and what was left. */
struct prune_counts {
	uint64_t jobs, spooled, spooled_bytes, strays, stray_bytes, stages, workers;
	uint64_t elsewhere; /* jobs whose records are on another host, or not in `spool` */
	uint64_t kept;      /* jobs of which something could not be removed */
	uint64_t unknown;   /* files of jobs that the store does not know */
};

/* VEGA_PARTIAL: trouble() was called, and what it was about is left. *counts is right also after a
 * failure. */
int prune_store(struct store *store, const struct prune_options *options,
        struct prune_counts *counts, struct vega_error *err);

#endif
