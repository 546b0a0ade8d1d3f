/* What output.c and stage.c share. All return 0 (or a descriptor) or -errno. */
#ifndef VEGA_FS_OUTPUT_INTERNAL_H
#define VEGA_FS_OUTPUT_INTERNAL_H

#include "fs/output.h"

/* The directory at the relative path ("": the root itself), for the caller to close. No link on the
 * way is followed; what is missing is created, if asked. */
int output_root_dir(struct output_root *root, const char *relative, bool create);

/* The directory `name` of the root as a root of its own; created with mode 0700, and durably, if
 * asked. */
int output_root_enter(
        struct output_root *root, const char *name, bool create, struct output_root **out);

/* Rename without replacing anything: -EEXIST. */
int output_rename(int from, const char *old, int to, const char *name);

/*
 * Is fd on a file system whose syncfs writes all that fsync would and tells when it could not, and
 * which brings a new directory to the disk with what is synced in it? Others may not pass it on.
 */
bool output_syncs_as_a_whole(int fd);

#endif
