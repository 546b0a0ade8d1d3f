/*
 * Inodes with several names: each is charged once, to its bytewise-least path, so that the answer
 * is the same for any number of threads. Sharded by (dev, ino); a lock is taken only for entries
 * with nlink > 1.
 *
 * An inode costs some 25 bytes and its name, and 6 to 9 bytes of a table. A remembered name holds
 * its directory (walk_dir_hold): the directory's total waits for the end of the walk, when
 * links_settle() charges each inode.
 */
#ifndef VEGA_OP_LINKS_H
#define VEGA_OP_LINKS_H

#include "walk/walk.h"

/* An inode with the least of its names, and what was read with that name: a view, valid only during
 * the call. */
struct link {
	uint64_t dev, ino;
	uint32_t nlink, seen; /* how many names it has, and how many of them were added: where these
	                         are counted */
	uint32_t uid;
	struct walk_dir *dir;
	const char *name;
	uint64_t size, allocated;
	struct vega_time mtime;
};

struct links;

/* `counts`: links_settle() says how many names were added. NULL: no memory. */
struct links *links_new(bool counts);

/* 1: the first name of this inode; 0: a further one; negative: no memory. Any thread. */
int links_add(struct links *links, const struct walk_entry *entry);

/* Calls charge() for every inode with its least name, then drops the holds. After the walk, one
 * thread. */
void links_settle(struct links *links, struct walk_thread *first,
        void (*charge)(void *context, struct walk_thread *first, const struct link *link),
        void *context);

void links_free(struct links *links);

#endif
