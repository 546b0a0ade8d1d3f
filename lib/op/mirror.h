/*
 * A mirrored tree of output files below --out: what any operation needs that makes a file from
 * each input. Names and directories, the modes of both, outputs that are current already, two
 * inputs that would give one output, a job's stage, and files that are complete and published
 * together.
 *
 * An operation puts a `struct mirror` into its `self`, a `struct mirror_thread` into
 * each accumulator, and MIRROR_DIR_SIZE into op.dir_size, and calls these from its slots. It writes
 * each file's bytes itself, to mirror_fd().
 *
 * Records: the path is the input's; the fields are `output` (the path written), `status`
 * ("written", or "current": it was there, and made from this input in the same way, as far as is
 * known: see mirror_made.c), `input_bytes` and `output_bytes`. The text format
 * prints the path of each output that was written.
 */
#ifndef VEGA_OP_MIRROR_H
#define VEGA_OP_MIRROR_H

#include "op/op.h"

/* What operations do differently; const, and the same for the whole run. */
struct mirror_kind {
	const char *op; /* the operation's name, for records and errors */

	/* Add the output's name for an input of that name. */
	void (*name)(struct buf *out, const struct spec *spec, const char *name, size_t len);

	/* Do two files of different names in one directory never get one output name? */
	bool (*unique)(const struct spec *spec);

	/* Add all that makes one output differ from another of the same input: codec and level, or
	 * command. */
	void (*recipe)(struct buf *out, const struct spec *spec);

	/* May the output open at fd, `size` bytes long, have been made from `input_size` bytes?
	 * NULL: nothing can be said. */
	bool (*made_from)(const struct spec *spec, int fd, uint64_t size, uint64_t input_size);
};

struct mirror;

/*
 * Opens --out (beneath what is allowed, apart from all roots) and the job's stage in it. VEGA_FATAL
 * or VEGA_NOMEM. `kind` and `spec` are borrowed.
 */
int mirror_open(const struct mirror_kind *kind, const struct spec *spec,
        const struct op_output *output, struct mirror **out, struct vega_error *err);
void mirror_close(struct mirror *mirror); /* discards what is not published; NULL is fine */

/* Of the files of this thread, or of all after mirror_merge(); bytes: of those written. */
struct mirror_counts {
	uint64_t written, current, failed, input_bytes, output_bytes;
};

struct mirror_thread;

/* NULL: no memory. op_thread outlives it. */
struct mirror_thread *mirror_thread_new(struct mirror *mirror, struct op_thread *thread);
void mirror_thread_free(struct mirror_thread *thread); /* discards an open file; NULL is fine */

struct mirror_counts *mirror_counts(struct mirror_thread *thread);
void mirror_merge(struct mirror_counts *into, const struct mirror_counts *from);
/* {"written":N,"current":N,"failed":N,"input_bytes":N,"output_bytes":N} */
void mirror_json(const struct mirror_counts *counts, struct json *json);

/* As the slots of struct op of these names. */
#define MIRROR_DIR_SIZE 16
void mirror_enter(const struct walk_dir *dir, int dir_handle, void *mine);
bool mirror_plan_needed(const struct mirror *mirror);
void mirror_plan(struct mirror_thread *thread, const struct walk_entry *entry);
int mirror_plan_end(struct mirror *mirror, struct vega_error *err);

/* Publish what waited long enough, if anything. From chunk() and batch_end(): cheap. */
void mirror_turn(struct mirror_thread *thread);
/* Publish all that is complete. From settle(). */
void mirror_settle(struct mirror_thread *thread);

/*
 * One file. mirror_begin() answers as op.begin_file does: after 1 its output is open, until one of
 * mirror_seal(), mirror_discard() and mirror_refuse*(), and no other may begin; after 0 the output
 * is current, and was reported; negative: it was refused, counted and reported.
 */
int mirror_begin(
        struct mirror_thread *thread, const struct walk_entry *entry, const struct file_meta *meta);

int mirror_fd(const struct mirror_thread *thread); /* write here */
/* The input's path as printed; valid while the file is open. */
const char *mirror_input(const struct mirror_thread *thread, size_t *len);

/* All `bytes` bytes are written: give it mode and mtime of the input, and to be published. 0; or
 * negative: it is gone, counted as failed and reported. */
int mirror_seal(struct mirror_thread *thread, const struct walk_entry *entry,
        const struct file_meta *meta, uint64_t bytes);

/* Nothing comes of it: counted as failed, not reported. */
void mirror_discard(struct mirror_thread *thread);

/* The same, and reported: errnum as in a record, and what is wrong; mirror_refuse_output() names
 * the output, too. Return -1. */
int mirror_refuse(struct mirror_thread *thread, const struct walk_entry *entry, int errnum,
        const char *message);
int mirror_refuse_output(struct mirror_thread *thread, const struct walk_entry *entry, int errnum);

#endif
