/*
 * Directories whose totals a part of a walk does not know yet:
 *
 *  - shared ones, whose subtree lies in several parts: those at which a part was cut, those at
 *    which it began, and all above them. Their sums leave out the shared directories in them, and
 *    are added up by path when the parts are merged;
 *  - those that hold, at any depth, the least name of an uncharged inode (op/uncharged.h): their
 *    total ends between `sums.allocated` and that + `uncharged`.
 *
 * All others are whole when the walk leaves them. A total only ever rises by a charge, so among
 * those with uncharged inodes only such are kept as can still be among the largest, or are wanted
 * whatever their size (--depth).
 */
#ifndef VEGA_OP_UNFINISHED_H
#define VEGA_OP_UNFINISHED_H

#include "op/tables.h"

/* Of a directory and what is below it. */
struct unfinished_sums {
	uint64_t files, directories;
	sum128 apparent, allocated;
};

struct unfinished_dir {
	char *path; /* as it is printed, with the '/' at its end */
	size_t path_len;
	uint32_t root; /* index in spec.roots */
	uint32_t depth;
	bool shared;
	struct unfinished_sums sums;
	uint64_t uncharged; /* allocated bytes of inodes that may be charged to it, and one more for
	                       each (some have none); saturates */
};

/* Zeroed is empty. */
struct unfinished {
	struct unfinished_dir *dirs;
	size_t count, cap;
	uint32_t *slots; /* a hash table of index + 1 */
	size_t slot_count;
};

/* Adds to the sums of that directory; the path is copied. False: no memory. */
bool unfinished_add(struct unfinished *u, const struct unfinished_dir *dir);
bool unfinished_merge(struct unfinished *into, const struct unfinished *from);

/* NULL: it is not there. */
struct unfinished_dir *unfinished_find(
        const struct unfinished *u, uint32_t root, const char *path, size_t len);

/* The directory that contains it; NULL: it is not there, or this is a root. */
struct unfinished_dir *unfinished_parent(
        const struct unfinished *u, const struct unfinished_dir *dir);

/* Can a directory become one of the largest, or is it at most that deep? */
static inline bool unfinished_wanted(
        const struct unfinished_dir *dir, const struct top *largest, uint64_t depth)
{
	return dir->shared || dir->depth <= depth || dir->uncharged == UINT64_MAX ||
	       top_wants(largest, dir->sums.allocated + dir->uncharged);
}

/* Drop those of which neither is true. */
void unfinished_prune(struct unfinished *u, const struct top *largest, uint64_t depth);

/* All parts are there: the sums of the shared ones become those of their whole subtrees. */
bool unfinished_fold(struct unfinished *u);

void unfinished_pack(const struct unfinished *u, struct buf *out);
/* Adds what it reads. root_len[i] is how long the path of root i is, with the '/' at its end.
 * False: no memory. */
bool unfinished_unpack(
        struct unfinished *u, struct unpack *in, const size_t *root_len, size_t roots);

void unfinished_release(struct unfinished *u);

#endif
