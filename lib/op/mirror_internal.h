/* What the files of a mirrored tree share: mirror.c, mirror_place.c, mirror_publish.c and
 * mirror_file.c. */
#ifndef VEGA_OP_MIRROR_INTERNAL_H
#define VEGA_OP_MIRROR_INTERNAL_H

#include "fs/output.h"
#include "op/claims.h"
#include "op/mirror.h"
#include "op/pending.h"
#include "op/taken.h"

struct mirror {
	const struct mirror_kind *kind;
	const struct spec *spec;
	struct output_root *root;
	struct output_root *target; /* where files are written: the root, or a job's stage in it */
	struct pending *pending;
	struct claims *claims;                /* while planning */
	uint64_t recipe;                      /* a hash of how outputs are made */
	atomic_uint_fast64_t untold, touched; /* see mirror_made.c */
	struct taken *taken;                  /* where names are listed otherwise than given */
	void (*message)(void *context, const char *line); /* of the run as a whole */
	void *message_context;
};

/* A thread's part, and the file that it is at. */
struct mirror_thread {
	struct op_thread *thread;
	struct mirror *mirror;
	struct buf output;             /* where it is written, with --out */
	size_t relative;               /* offset in it of what follows --out and '/' */
	struct buf input;              /* its path as printed */
	struct output_file file;       /* open: fd >= 0 */
	uint64_t begun;                /* ns, CLOCK_MONOTONIC */
	bool replaces;                 /* it was seen to be there, and may be replaced */
	struct output_listing listing; /* of the root's directory at hand */
	struct mirror_counts counts;
};

/* The output's path below --out; after mirror_find_output(). */
static inline const char *mirror_relative(const struct mirror_thread *t)
{
	return t->output.data + t->relative;
}

/* MADE_OTHERWISE: by another command, codec or level. FOLDED: another name's, which the file system
 * takes for the same. */
enum mirror_existing { ABSENT, CURRENT, SAME_FILE, DIFFERENT, MADE_OTHERWISE, FOLDED, UNREADABLE };

/* mirror_place.c */

/* Set t->output for an entry. NULL, or why there is none. */
const char *mirror_find_output(struct mirror_thread *t, const struct walk_entry *entry);

/* Set t->input; false when there is no memory. */
bool mirror_find_input(struct mirror_thread *t, const struct walk_entry *entry);

/* Make the directory that t->output lies in, like that of the entry. 0 or -errno. */
int mirror_make_directory(struct mirror_thread *t, const struct walk_entry *entry);

/* Has each directory on the way to the output its very name below the root? ABSENT, when not all
 * are there yet; CURRENT; or FOLDED, and which, as a relative path. */
enum mirror_existing mirror_look_at_way(struct mirror_thread *t, const struct walk_entry *entry,
        struct output_root *root, struct buf *folded);

/* That the output gets, of an input as it was opened. */
mode_t mirror_mode(const struct walk_entry *entry, const struct file_meta *meta);

/* mirror_publish.c */

struct mirror_outcome {
	const char *dir, *name; /* of the input, as in a record */
	size_t dir_len, name_len;
	const char *output;
	bool written; /* else it is current */
	uint64_t input_bytes, output_bytes;
};

void mirror_report(struct mirror_thread *t, const struct mirror_outcome *outcome);

/* Adds the output's path and what is wrong with it: text, or else errnum's. */
void mirror_describe(struct buf *message, const char *output, int errnum, const char *text);

/* What stands where the output goes. *there is valid unless ABSENT; *error is set if UNREADABLE. */
enum mirror_existing mirror_look(struct mirror *mirror, struct output_root *root,
        const char *relative, const struct file_meta *input, struct output_listing *listing,
        struct file_meta *there, int *error);

#define MIRROR_EXISTS ": exists and differs; use --overwrite"
#define MIRROR_OTHERWISE ": exists and was made by another command, codec or level; use --overwrite"

/* mirror_made.c */

/* Hash of spec's recipe; 0: no memory. */
uint64_t mirror_recipe(const struct mirror_kind *kind, const struct spec *spec);

/* Note on the file at hand how it is made, for the next run. */
void mirror_note(struct mirror_thread *t, const struct file_meta *input, uint64_t bytes);

/* Is it noted on the output that it was made under another name? */
bool mirror_noted_otherwise(struct output_root *root, const char *relative);

/* Of an output that has the input's time: was it made from this input, in this way? CURRENT,
 * DIFFERENT, or MADE_OTHERWISE; UNREADABLE sets *error. */
enum mirror_existing mirror_made(struct mirror *mirror, struct output_root *root,
        const char *relative, const struct file_meta *input, int *error);

/* Once: how many outputs were taken for current though little is known of them. */
void mirror_tell_doubts(struct mirror *mirror);

/* mirror_fold.c */

/* Is what exists at the relative path, and is described by `there`, held by that very name? 1; 0:
 * it is another's; or -errno. */
int mirror_is_own(const struct mirror *mirror, struct output_root *root, const char *relative,
        const struct file_meta *there, struct output_listing *listing);

/* The file at hand will be there under its name: for mirror_is_own(). 0 or -ENOMEM. */
int mirror_take(struct mirror_thread *t);

/* Add what is wrong with an output: that the name at `relative` (of it, or of a directory on the
 * way) is FOLDED into another's, and which input has that. */
void mirror_describe_folded(struct buf *message, const struct mirror *mirror,
        struct output_root *root, const char *output, const char *relative);

/* Once, when all is published: what could not be kept. */
void mirror_tell_lacks(struct mirror *mirror);

/* And free it; NULL: nothing to do. */
void mirror_publish(struct mirror_thread *t, struct pending_batch *batch);

#endif
