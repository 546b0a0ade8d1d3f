/*
 * Inodes that a part of a walk has not seen all names of: nothing of them is charged before the
 * parts are merged, when each is charged to the bytewise-least of its names in any part.
 *
 * An inode is known by its file system and its number. A file system is named by bytes that mean
 * the same in every part (file_system_key()); inodes hold an index into the list of them.
 */
#ifndef VEGA_OP_UNCHARGED_H
#define VEGA_OP_UNCHARGED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pack.h"

struct uncharged_inode {
	uint64_t ino;
	uint64_t nlink, seen;
	uint64_t size, allocated; /* these and the rest: as read with its least name */
	struct vega_time mtime;
	uint32_t file_system; /* index */
	uint32_t uid;
	uint32_t root; /* index in spec.roots */
	bool is_root;  /* a root that is a file: path is the root as given */
	/* The least path as it is printed, and the name behind its last '/'; a root's may have
	 * another name where it lies. */
	char *path, *name;
	size_t path_len, name_len;
};

/* Zeroed is empty. */
struct uncharged {
	struct uncharged_inode *inodes;
	size_t count, cap;
	uint32_t *slots; /* a hash table of index + 1 */
	size_t slot_count;
	struct file_system {
		char *key;
		size_t len;
	} * file_systems;
	size_t file_system_count;
};

/*
 * The key of the file system of a device. Today that is st_dev, so the parts must be walked on one
 * host since it booted; parts of several hosts need a key that does not depend on the host, such as
 * the path at which the walk entered the file system.
 */
void file_system_key(uint64_t dev, struct buf *key);

/* The index of a file system, new or not; negative: no memory. */
int64_t uncharged_file_system(struct uncharged *u, const void *key, size_t len);

/* Names of an inode; path and name are copied. False: no memory. */
bool uncharged_add(struct uncharged *u, const struct uncharged_inode *inode);
bool uncharged_merge(struct uncharged *into, const struct uncharged *from);

void uncharged_pack(const struct uncharged *u, struct buf *out);
/* Adds what it reads, whose roots are below `roots`. False: no memory. */
bool uncharged_unpack(struct uncharged *u, struct unpack *in, size_t roots);

void uncharged_release(struct uncharged *u);

#endif
