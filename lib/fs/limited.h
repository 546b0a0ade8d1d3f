/*
 * A ceiling on the calls to trees, for all threads of a run: a tree in front of a tree, whose every
 * call waits for its turn and goes to the tree behind. A run without a ceiling has no such tree in
 * the way, and pays nothing.
 *
 * What counts, named by what the local tree does, is each getdents64, open, statx, fstatfs and
 * read, those that fail and the last, empty ones too: opening a file is two (open and statx), and
 * so is a root. Closing is free, and so is what is asked of a root's path alone.
 *
 * A thread takes the turns of a batch at once, and at a high rate some on loan for the next calls
 * (10 ms' worth, at most LIMITED_LOAN), so the word that all threads share is not on the way of
 * each call. Waiting ends within 20 ms of a stop; then nothing waits any more.
 */
#ifndef VEGA_FS_LIMITED_H
#define VEGA_FS_LIMITED_H

#include <stdatomic.h>
#include <stdint.h>

#include "fs/backend.h"

#define LIMITED_LOAN 64

/* One rate, which any number of trees share. */
struct fs_ceiling;

/* `stop` may be NULL. NULL: no memory. To be freed after the trees that share it. */
struct fs_ceiling *fs_ceiling_new(uint64_t per_second, const atomic_int *stop);
void fs_ceiling_free(struct fs_ceiling *ceiling);

/* A tree in front of `behind`, which stays the caller's. NULL: no memory. */
struct fs_tree *fs_limited_new(struct fs_tree *behind, struct fs_ceiling *ceiling);
void fs_limited_free(struct fs_tree *tree);

/* The tree behind. */
struct fs_tree *fs_limited_behind(const struct fs_tree *tree);

#endif
