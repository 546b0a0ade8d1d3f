/* What a tree lies on, as far as that decides how many threads should read it. */
#ifndef VEGA_FS_MEDIUM_H
#define VEGA_FS_MEDIUM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum medium {
	MEDIUM_LOCAL,    /* flash, memory, or what is not known */
	MEDIUM_SPINNING, /* a disk that seeks */
	MEDIUM_NETWORK,
	MEDIUM_FUSE, /* a process serves it, often over a network */
};

/* One statfs, and for a disk a look into /sys. What cannot be asked is MEDIUM_LOCAL. */
enum medium medium_of(const char *path);

/* Appends the name of the file system that a path lies in, or that it is unknown. */
void medium_name(const char *path, struct buf *name);

/*
 * The inodes in use of the file system that is mounted at a path, for how many entries there are:
 * an entry is one, but for further names of hard links. 0 when that says nothing: no whole file
 * system of this machine is mounted there; others are mounted below it, unless one_file_system says
 * that they do not matter; it does not count (btrfs has no table of inodes, overlayfs shows the
 * count of its upper layer).
 */
uint64_t medium_inodes(const char *path, bool one_file_system);

/* How many threads, to begin with, and when they are found to wait for it. The reasons for the
 * numbers are in medium.c. */
unsigned medium_threads(enum medium medium, unsigned processors);
unsigned medium_threads_waiting(enum medium medium, unsigned processors);

/*
 * Does the block device seek? `sys` is "/sys". What a partition, a volume or an array lies on is
 * asked. A virtual machine's disk does not, whatever it says: it says that it rotates when its host
 * told it nothing.
 */
bool medium_spins(const char *sys, unsigned major, unsigned minor);

#endif
