/*
 * Safe creation of output files below a directory: each is complete or absent, and never replaces
 * anything unless asked.
 *
 * A file is written to an unnamed inode (O_TMPFILE; where the file system has none, an O_EXCL
 * temporary name), synced, given its mode and mtime through the descriptor (setuid and setgid are
 * never carried over), then linked under its name: linkat / RENAME_NOREPLACE, so EEXIST means that
 * somebody was first. Every directory on the way is created and opened beneath the output root
 * without following links. A failed fsync is never retried: the file is discarded.
 */
#ifndef VEGA_FS_OUTPUT_H
#define VEGA_FS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/strlist.h"
#include "record/meta.h"

struct output_root;

/* Opens DIR, creating it (and missing parents) first. `allowed` (may be NULL): directories beneath
 * one of which it must lie. */
int output_root_open(const char *dir, const struct strlist *allowed, struct output_root **out,
        struct vega_error *err);
void output_root_close(struct output_root *root);

/* Does the output root lie in (or is it) the directory `path`? 1, 0 or -errno. By walking up and
 * comparing (dev, ino). */
int output_root_inside(const struct output_root *root, const char *path);

struct output_file {
	int fd;          /* write here */
	int dir;         /* the open directory it will appear in */
	char *temporary; /* NULL with O_TMPFILE */
	char *name;
};

/* META_ALL of what stands at the relative path; 0, -ENOENT or -errno. Links are not followed, on
 * the way or at the end. */
int output_stat(struct output_root *root, const char *relative, struct file_meta *meta);

/* 0 or -errno. Thread-safe: several files may be open at once. */
int output_begin(struct output_root *root, const char *relative, struct output_file *file);

/* Set mode & 0777 and mtime, fsync, publish. 0; -EEXIST when the name is taken and !overwrite;
 * -errno. The file is closed and, on failure, gone. */
int output_commit(struct output_file *file, const struct file_meta *meta, bool overwrite);

void output_discard(struct output_file *file);

#endif
