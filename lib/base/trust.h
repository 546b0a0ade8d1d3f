/*
 * Files that decide over others' rights, opened as ssh opens its own: only when nobody but root and
 * this process's user could have changed or exchanged them.
 */
#ifndef VEGA_BASE_TRUST_H
#define VEGA_BASE_TRUST_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/buf.h"

/* Does it belong to root or to our effective user, and may nobody else write to it? An access list
 * counts: the group's bits are its mask. */
bool trust_is_ours(const struct stat *st);

/*
 * Open a file for reading, to which that applies; and to each directory on the way (one with the
 * sticky bit may be open to all), and each symbolic link on it belongs to root or us. The
 * descriptor, or -errno; -EPERM: `culprit` is the path of the one that others could change.
 */
int trust_open(const char *path, struct buf *culprit);

/* May nobody but root and us make, remove or exchange files in this directory? The same for the way
 * to it, but it may not be open to all even with the sticky bit. 0, or -errno, as above. */
int trust_directory(const char *path, struct buf *culprit);

#endif
