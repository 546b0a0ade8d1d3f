/* The specifications of jobs to submit, as canonical JSON: one that was parsed, or those of a file.
 */
#ifndef VEGA_STORE_SUBMIT_SPEC_H
#define VEGA_STORE_SUBMIT_SPEC_H

#include "base/strlist.h"
#include "spec/spec.h"

#define SUBMIT_BATCH_MAX 100000 /* what a store takes in one call, well within its deadline */

struct submit_rules {
	const struct strlist *roots; /* as given; empty: those of VEGA_ROOTS, if any */
	/* The engine's checks, which the job wing does not know; `allowed` is NULL where anything
	 * is. */
	int (*check)(
	        const struct spec *spec, const struct strlist *allowed, struct vega_error *err);
};

/* Judges all that can be judged here and now (the worker's engine judges again), with paths made
 * absolute and beneath one of the roots where there are any, and adds the JSON to `texts`. */
int submit_add_spec(struct spec *spec, const struct submit_rules *rules, struct strlist *texts,
        struct vega_error *err);

/* Does so for each line of a file ("-": standard input), each as --dry-run prints them. An error
 * names the line. */
int submit_read_batch(const char *path, const struct submit_rules *rules, struct strlist *texts,
        struct vega_error *err);

#endif
