/*
 * Which output belongs to which input: finds two inputs that would give one output, before anything
 * is written.
 *
 * Each output path is kept as a 128-bit hash with the inode of its input: 24 bytes a path, at most
 * 48 with the table's room to grow. The hash is not cryptographic: two paths that were made to
 * collide get a run refused, and nothing worse.
 */
#ifndef VEGA_OP_CLAIMS_H
#define VEGA_OP_CLAIMS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "spec/spec.h"

struct claims;

/* name(): adds the output's name for an input of that name. NULL: no memory. */
struct claims *claims_new(
        void (*name)(struct buf *out, const struct spec *spec, const char *name, size_t len));
void claims_free(struct claims *claims);

/* Claim the output (its path below --out) for an input: 0, 1 when another input has it, or -ENOMEM.
 * Threads add at once. */
int claims_add(struct claims *claims, const char *output, size_t len, uint64_t input_inode);

/* Tell of a claim that was refused, with the input's path. */
void claims_refused(struct claims *claims, const char *output, const char *input);

/*
 * When no more is claimed: VEGA_FATAL if any claim was refused, naming both inputs of the bytewise
 * first output. The one that came first is looked for by its inode in the directories that are
 * mirrored there; if it is not found any more, only the other is named. VEGA_NOMEM if memory ran
 * out in between.
 */
int claims_check(struct claims *claims, const struct spec *spec, struct vega_error *err);

#endif
