/*
 * Partial results: the outcome of one part of a split walk (struct walk_part), as bytes, and the
 * summary of all of them. run_part() (engine/engine.h) makes one; merging them, in any order, in
 * any process, in one step or in several, gives the same bytes of the summary as one walk, but
 * what it cost: elapsed_ns is the time that all parts took together, and content counts a file with
 * several names once per part that reads it.
 *
 * The bytes are the same on every machine: a magic, a version, a digest of the spec (partial
 * results of different specs are refused), the time from which ages count, where the part began
 * and where it was cut, the ledger, the receipt, what was read, one section per operation, which
 * has a version of its own, and a checksum. Beginnings and cuts are set against each other: a part
 * that is missing, or given twice, is an error, not a wrong sum.
 *
 * Not yet: parts that were walked on different hosts (or across a reboot), where they hold inodes
 * with several names: see file_system_key() in op/uncharged.h. A file system that is mounted twice
 * within the roots may count such inodes twice: a part that has seen as many names of an inode as
 * it has takes it for done.
 */
#ifndef VEGA_ENGINE_PARTIAL_H
#define VEGA_ENGINE_PARTIAL_H

#include "engine/outcome.h"

/* Partial results merged so far. One thread at a time. */
struct partial;

/* The spec is borrowed. VEGA_USAGE for one with an operation that has no partial results. */
int partial_new(const struct spec *spec, struct partial **out, struct vega_error *err);

/*
 * Merge one more. VEGA_FATAL for bytes that are damaged, of another version, of another spec or
 * time, or of a part that was given before; VEGA_NOMEM. After a failure `partial` is only to be
 * freed.
 */
int partial_add(struct partial *partial, const void *bytes, size_t len, struct vega_error *err);

/* All that was merged, as one partial result. VEGA_NOMEM. */
int partial_write(struct partial *partial, struct buf *out, struct vega_error *err);

/*
 * The summary, appended, once all parts are there: VEGA_FATAL, and nothing, when one is missing.
 * Else as run_spec(): 0, VEGA_PARTIAL (some entries could not be read), VEGA_INTERRUPTED (a part
 * was stopped), VEGA_FATAL (no root could be read), each with the summary written; VEGA_NOMEM.
 * To be called once, at the end.
 */
int partial_summary(struct partial *partial, struct buf *json, struct vega_error *err);

void partial_free(struct partial *partial);

/* Does each operation of the spec have partial results? VEGA_USAGE names one that has none. */
int partial_check(const struct spec *spec, struct vega_error *err);

/* For run_part(): what a part came to. False: an accumulator is not whole, or no memory. */
bool partial_pack(const struct outcome *outcome, const struct walk *walk,
        const struct walk_part *part, struct vega_time now, struct buf *out);

#endif
