/* The metadata of one file system entry: the hall's word for it, filled by fs/, read by everyone.
 */
#ifndef VEGA_RECORD_META_H
#define VEGA_RECORD_META_H

#include <stdint.h>

#include "base/parse.h"

/* What an entry is. FILE_UNKNOWN: the directory did not say (DT_UNKNOWN) and it was not stat'ed
 * yet. */
enum file_type {
	FILE_UNKNOWN,
	FILE_REGULAR,
	FILE_DIRECTORY,
	FILE_SYMLINK,
	FILE_FIFO,
	FILE_SOCKET,
	FILE_BLOCK,
	FILE_CHAR,
};

/* find's letter: f d l p s b c, and '?' for unknown. */
static inline char file_type_letter(enum file_type type)
{
	return "?fdlpsbc"[type];
}

/* By the type bits of a mode (inode(7)); shifted down by 12 they are the DT_ values of a listing.
 */
static inline enum file_type file_type_of_mode(uint32_t mode)
{
	static const uint8_t types[16] = {
	        [1] = FILE_FIFO,
	        [2] = FILE_CHAR,
	        [4] = FILE_DIRECTORY,
	        [6] = FILE_BLOCK,
	        [8] = FILE_REGULAR,
	        [10] = FILE_SYMLINK,
	        [12] = FILE_SOCKET,
	};
	return (enum file_type)types[mode >> 12 & 15];
}

/* Groups of fields; they are also what a caller asks a backend to fill. */
enum meta_fields {
	META_SIZE = 1, /* size, allocated */
	META_MTIME = 2,
	META_CTIME = 4,
	META_ATIME = 8,
	META_OWNER = 16, /* uid, gid */
	META_MODE = 32,
	META_IDENTITY = 64, /* dev, ino, nlink */
	META_ALL = 127,
};

struct file_meta {
	uint32_t have; /* meta_fields that are valid */
	uint32_t mode; /* with the type bits */
	uint32_t uid, gid;
	uint32_t nlink;
	uint64_t dev, ino;
	uint64_t size;      /* apparent bytes */
	uint64_t allocated; /* bytes: st_blocks × 512 */
	struct vega_time mtime, ctime, atime;
};

#endif
