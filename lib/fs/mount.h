/* What /proc/self/mountinfo (proc(5)) says of the mount that a path lies in. */
#ifndef VEGA_FS_MOUNT_H
#define VEGA_FS_MOUNT_H

#include <stdbool.h>

#include "base/buf.h"

struct mount {
	struct buf table; /* which the texts point into */
	const char *type, *source;
	bool whole; /* the path is where a file system is mounted from its root on */
	bool alone; /* and nothing is mounted below that */
};

/* Links are followed. 0 or -errno (-ENOENT: it is in no mount that is visible here); always to be
 * released. */
int mount_find(const char *path, struct mount *mount);
void mount_release(struct mount *mount);

#endif
