/*
 * Writing that leaves out blocks of zeros, so that a disk image stays as small on the disk as it
 * was: what is not written of a new file reads as zeros. Only of empty regular files, written from
 * their beginning; to all else, and where a process serves the file system (FUSE: some of these
 * take bytes in their order only), zeros are written like other bytes.
 */
#ifndef VEGA_OP_SPARSE_H
#define VEGA_OP_SPARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sparse {
	int fd;
	bool holes;  /* may be left */
	bool open;   /* what came last was left out */
	uint64_t at; /* bytes that came */
};

struct sparse sparse_begin(int fd); /* borrowed */

/* 0 or -errno. */
int sparse_write(struct sparse *sparse, const void *bytes, size_t len);

/* All came: give the file its length. 0 or -errno. */
int sparse_end(struct sparse *sparse);

#endif
