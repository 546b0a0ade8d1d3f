/* The parts of output*.c and stage*.c that others of them use. All return 0 (or a descriptor) or
 * -errno. */
#ifndef VEGA_FS_OUTPUT_INTERNAL_H
#define VEGA_FS_OUTPUT_INTERNAL_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "fs/output.h"

/* What was found out about the file system of a root, each once and when it is first needed. */
struct output_traits {
	atomic_uint lacks;    /* enum output_lack */
	atomic_int names;     /* enum output_names_kind */
	atomic_int linking;   /* of unnamed files: 0 unknown, 1 yes, -1 no */
	pthread_mutex_t lock; /* of what follows */
	bool times_known, times_kept;
	int64_t least, most; /* seconds: others become these */
	uint64_t step;       /* ns */
};

struct output_traits *output_root_traits(struct output_root *root);
void output_lack(struct output_root *root, enum output_lack lack);

/* Does it refuse such a thing, or know no such call, for good? */
static inline bool output_is_unsupported(int errnum)
{
	return errnum == EINVAL || errnum == ENOSYS || errnum == EOPNOTSUPP || errnum == EPERM ||
	       errnum == EACCES || errnum == ENOTTY;
}

/* Can an unnamed file of dir, below the root, be given a name? */
bool output_links(struct output_root *root, int dir);

/* The directory at the relative path ("": the root itself), for the caller to close. No link on the
 * way is followed; what is missing is created, if asked. */
int output_root_dir(struct output_root *root, const char *relative, bool create);

/* The directory `name` of the root as a root of its own; created with mode 0700, and durably, if
 * asked. */
int output_root_enter(
        struct output_root *root, const char *name, bool create, struct output_root **out);

/* The directory that holds the relative path, and the last component, for the caller to free. */
int output_open_holder(struct output_root *root, const char *relative, bool create, char **name);

/* Can an unnamed file be given its name? (/proc is there.) */
bool output_root_unnamed(const struct output_root *root);

/* Is this a relative path as output.h wants it? */
bool output_relative_valid(const char *path);

#define OUTPUT_OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC)

/* The directory at path ("" is base) below base, no link on the way followed. modes: NULL to create
 * nothing. */
int output_open_below(int base, const char *path, const struct output_modes *modes);

/* The directory `name` in dir; made with this mode, if asked. */
int output_open_component(int dir, const char *name, mode_t mode, bool create);

/* Modes by the umask, or NULL, to create nothing. */
const struct output_modes *output_umask_if(bool create);

/* Is dir, or a directory that it lies in, the one that `what` describes? 1, 0 or -errno. */
int output_lies_in(int dir, const struct stat *what);

/* Closes fd, unless it is negative, and returns the error. */
int output_fail(int fd, int error);

/* Rename below the root without replacing anything: -EEXIST. */
int output_rename(struct output_root *root, int from, const char *old, int to, const char *name);

/*
 * Is fd on a file system whose syncfs writes all that fsync would and tells when it could not, and
 * which brings a new directory to the disk with what is synced in it? Others may not pass it on.
 */
bool output_syncs_as_a_whole(int fd);

/* Sync the files, or the directories that hold them, where results[i] is still 0. */
void output_sync(struct output_file *const *files, int *results, size_t count, bool dirs);

#endif
