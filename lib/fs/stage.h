/*
 * Output files that wait for the job's commit.
 *
 * An attempt of a job writes its files below OUT/.vega-stage.ID.SEQ, a directory of mode 0700, each
 * complete and durable and at the relative path at which it will appear in OUT; ID is the job, and
 * SEQ the number of the lease, so that no two attempts share a stage. stage_publish() renames them
 * into place. It may be killed and run again, or run twice at once: every file is published once.
 * The empty stage stays, which is how a later run tells a stage that was published from one that is
 * not there at all, on another host say; stage_discard() removes it when the job is over.
 */
#ifndef VEGA_FS_STAGE_H
#define VEGA_FS_STAGE_H

#include <stdatomic.h>

#include "base/uuid.h"
#include "fs/output.h"

struct stage {
	char id[UUID_TEXT];
	uint64_t seq; /* > 0 */
};

#define STAGE_NAME_MAX 80

bool stage_parse(struct stage *stage, const char *text); /* "ID.SEQ" */
void stage_name(const struct stage *stage, char name[STAGE_NAME_MAX]);

/* Create it, durably, and open it for output_begin(). 0 or -errno. */
int stage_create(struct output_root *root, const struct stage *stage, struct output_root **staged);

struct stage_publication {
	bool overwrite;
	const atomic_int *stop; /* non-zero: leave the rest for another time; may be NULL */

	/* A file that stays in the stage because of what stands in its place or on its way (EEXIST:
	 * something else; EACCES, ENOTDIR, EXDEV, …). `dir` is relative, "" or ending in '/'. */
	void (*refused)(void *context, const char *dir, const char *name, int errnum);
	void *context;
};

/*
 * Publish what the stage holds, durably: 0; 1: there is no such stage; -EINTR: stopped; or -errno
 * for what may be better later (a full disk). After all but 0 files may be left in the stage. A
 * file that exists already with the same size and mtime counts as published.
 */
int stage_publish(
        struct output_root *root, const struct stage *stage, const struct stage_publication *how);

/* How many of the job's stages are there, from this one down to that of lease 1; or -errno. */
int stage_count(struct output_root *root, const struct stage *stage);

/* Remove the job's stages from this one down to that of lease 1, with what is in them. 0 or -errno
 * of the first that could not be removed (ESTALE: somebody moves its directories about). */
int stage_discard(struct output_root *root, const struct stage *stage);

#endif
