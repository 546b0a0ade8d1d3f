/* The specifications that vega-submit stores, as canonical JSON: that of the command line, or those
 * of a file. */
#ifndef VEGA_CMD_SUBMIT_SPEC_H
#define VEGA_CMD_SUBMIT_SPEC_H

#include "base/strlist.h"
#include "spec/spec.h"

#define SUBMIT_BATCH_MAX 100000 /* what a store takes in one call, well within its deadline */

/* Judges all that can be judged here and now (the worker's engine judges again), with paths made
 * absolute and beneath one of `roots` where there are any, and adds the JSON to `texts`. */
int submit_add_spec(struct spec *spec, const struct strlist *roots, struct strlist *texts,
        struct vega_error *err);

/* Does so for each line of a file ("-": standard input), each as --dry-run prints them. An error
 * names the line. */
int submit_read_batch(const char *path, const struct strlist *roots, struct strlist *texts,
        struct vega_error *err);

#endif
