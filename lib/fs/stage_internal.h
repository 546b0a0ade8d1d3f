/* The parts of stage*.c that others of them use. */
#ifndef VEGA_FS_STAGE_INTERNAL_H
#define VEGA_FS_STAGE_INTERNAL_H

#include <sys/stat.h>

#include "fs/stage.h"

#define STAGE_PREFIX ".vega-stage."

/* A stage's directory, or -errno. */
int stage_open(struct output_root *root, const struct stage *stage);

/* Is the directory ours, as far as base can tell, and, if asked, closed to others? 0 and what it
 * is, or -errno (-EPERM: it is not). */
int stage_check_own(int base, int dir, bool closed, struct stat *st);

bool stage_is_there(int dir, const char *name);

/* All return 0, or -errno, which ends the visit. */
struct stage_visit {
	/* Everything but a directory. path: of the directory, "" or "a/b" */
	int (*file)(void *context, int dir, const char *path, const char *name);
	int (*files_end)(void *context); /* of one directory; may be NULL */
	int (*leave)(void *context, int parent, const char *name); /* all below it was visited */
	void *context;
};

/* Each directory's files, then the directories below it. Takes over `top`. 0; -errno, of a slot or
 * of its own (-ESTALE: a directory was moved; -EPERM: one has another owner than `top`, so that it
 * was moved there). */
int stage_visit(int top, const struct stage_visit *visit);

#endif
