/* What a tree lies on, as far as that decides how many threads should read it. */
#ifndef VEGA_FS_MEDIUM_H
#define VEGA_FS_MEDIUM_H

#include <stdbool.h>

enum medium {
	MEDIUM_LOCAL,    /* flash, memory, or what is not known */
	MEDIUM_SPINNING, /* a disk that seeks */
	MEDIUM_NETWORK,
	MEDIUM_FUSE, /* a process serves it, often over a network */
};

/* One statfs, and for a disk a look into /sys. What cannot be asked is MEDIUM_LOCAL. */
enum medium medium_of(const char *path);

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
