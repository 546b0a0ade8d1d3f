/*
 * Output files that wait for the job's commit.
 *
 * An attempt of a job writes its files below OUT/.vega-stage.ID.SEQ, a directory of mode 0700, each
 * complete and durable and at the relative path at which it will appear in OUT; ID is the job, and
 * SEQ the number of the lease, so that no two attempts share a stage. stage_publish() renames them
 * into place. It may be killed and run again, or run twice at once: every file is published once.
 * The empty stage stays, which is how a later run tells a stage that was published from one that is
 * not there at all, on another host say; stage_discard() removes it when the job is over.
 *
 * OUT may be writable by others. So a stage is used only if it is a directory of this process's
 * user that nobody else may enter (where a file system keeps no owners or modes: that looks as if
 * it were), and only regular files of that user's, with one name, are published from it. All else
 * is somebody's who knew the stage's name: -EPERM.
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

/* Create it, durably, and open it for output_begin(). 0 or -errno (-EPERM: what has the name is not
 * ours, or open to others). */
int stage_create(struct output_root *root, const struct stage *stage, struct output_root **staged);

struct stage_publication {
	bool overwrite;
	const atomic_int *stop; /* non-zero: leave the rest for another time; may be NULL */

	/* A file that stays in the stage because of what stands in its place or on its way (EEXIST:
	 * something else; EACCES, ENOTDIR, EXDEV, …), or of what it is (EPERM, EMLINK). `dir` is
	 * relative, "" or ending in '/'. */
	void (*refused)(void *context, const char *dir, const char *name, int errnum);
	void *context;
};

/*
 * Publish what the stage holds, durably: 0; 1: there is no such stage; -EINTR: stopped; or -errno
 * for what may be better later (a full disk). After all but 0 files may be left in the stage. A
 * file that exists already with the same size and mtime counts as published, unless all are to be
 * replaced.
 */
int stage_publish(
        struct output_root *root, const struct stage *stage, const struct stage_publication *how);

/* How many of the job's stages are there, from this one down to that of lease 1; or -errno. */
int stage_count(struct output_root *root, const struct stage *stage);

/* Remove the job's stages from this one down to that of lease 1, with what is in them. 0 or -errno
 * of the first that could not be removed (ESTALE: somebody moves its directories about; EPERM: it,
 * or a directory in it, is another user's; root may remove one that is one user's throughout). */
int stage_discard(struct output_root *root, const struct stage *stage);

#endif
