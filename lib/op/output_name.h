/* How the outputs of transform are called. */
#ifndef VEGA_OP_OUTPUT_NAME_H
#define VEGA_OP_OUTPUT_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "spec/spec.h"

/*
 * Add the name of the output of a file of that name: --to zstd and gzip add their ending, none
 * takes .gz, .zst or .zstd off (a name without one, or of nothing else, stays), a filter's is made
 * by --output-name.
 */
void output_name_add(struct buf *out, const struct spec *spec, const char *name, size_t len);

/* Why an output cannot have this name (it must be one plain component), or NULL. */
const char *output_name_fault(const char *name, size_t len);

/* Do two files of different names in one directory never get one output name? */
bool output_name_unique(const struct spec *spec);

#endif
