/*
 * Backends: where entries come from. One file a backend, one table (backends[]).
 *
 * Everything is called per batch, never per entry: the local backend keeps its own getdents and
 * statx loops. A handle is a small non-negative int that names an open directory or file (for
 * local: a descriptor); negative results are -errno. Every slot may be called by any thread at
 * once, on the same handle too, except that list() on one directory is serial. No slot follows a
 * symbolic link unless it says so.
 */
#ifndef VEGA_FS_BACKEND_H
#define VEGA_FS_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/strlist.h"
#include "record/meta.h"

struct fs_entry {
	const char *name; /* NUL-terminated; in the cursor's buffer */
	uint64_t ino;     /* as the listing said (a mount point's is the covered one) */
	uint16_t name_len;
	uint8_t type;  /* enum file_type; FILE_UNKNOWN until stat() where the listing is silent */
	uint8_t flags; /* the walker's; 0 from list() */
	int32_t error; /* errno of a failed stat(), else 0; FS_SKIP_STAT: stat() passes it over */
};

#define FS_SKIP_STAT (-1)

#define FS_BATCH 256

/* One listing step. The names live until the next list() on the same cursor. */
struct fs_batch {
	unsigned count;
	bool end; /* nothing follows */
	struct fs_entry entry[FS_BATCH];
	struct file_meta meta[FS_BATCH]; /* meta[i] belongs to entry[i]; valid fields in `have` */
};

/* A thread's reading position; `buffer` is reused from directory to directory. */
#define FS_CURSOR_BUFFER ((size_t)64 << 10)
struct fs_cursor {
	char *buffer; /* FS_CURSOR_BUFFER bytes, 16-aligned, the caller's */
	size_t at, filled;
};

enum fs_caps {
	FS_HAS_TYPES = 1,   /* listings carry types */
	FS_RANDOM_READ = 2, /* read() at any offset is cheap */
	FS_ORDERED = 4,     /* listings are in bytewise order */
};

struct backend {
	const char *scheme; /* "file" */
	unsigned caps;

	/*
	 * Open a root. A symbolic link that is itself the root is followed (as du -D and find -H
	 * do). `allowed` (may be NULL) lists directories, resolved: unless the root is one of them
	 * or beneath one, -EPERM; decided on what was really opened, with no window in which a
	 * rename could lead elsewhere. Fills *meta (META_ALL). A directory: returns its handle and
	 * stores NULL in *name. Anything else (a link that leads nowhere too): returns the handle
	 * of its directory, and *name is its name in there, for the caller to free.
	 */
	int (*open_root)(const char *path, const struct strlist *allowed, struct file_meta *meta,
	        char **name);

	/* Open a directory below parent for listing. META_ALL of it in *meta when that is not
	 * NULL. */
	int (*open_dir)(int parent, const char *name, struct file_meta *meta);

	/*
	 * Fill the batch with the next entries, without "." and "..", names only (type and ino
	 * where known). Never mixes two reads: when the cursor has entries left they come first. 0,
	 * or -errno (what was listed before it stays valid).
	 */
	int (*list)(int dir, struct fs_cursor *cursor, struct fs_batch *batch);

	/* Fill meta for entries [from, to), the fields in `want`, and the type; failures go to
	 * entry.error. */
	void (*stat)(int dir, struct fs_entry *entry, struct file_meta *meta, unsigned from,
	        unsigned to, unsigned want);

	/* Open a regular file for reading; META_ALL of what was really opened. -EINVAL when it is
	 * no regular file. Never blocks on a FIFO. */
	int (*open_file)(int dir, const char *name, struct file_meta *meta);

	/* Bytes read (0 at the end), or -errno. */
	ssize_t (*read)(int file, void *bytes, size_t len, uint64_t offset);

	/*
	 * Names the file system that an open directory lies in, for the keys of caches: the same
	 * after a remount or a reboot where that can be had. 0; or 1 where another file system
	 * could come to have the same name, so that a ctime without a fraction of a second (one
	 * that an image's maker made up) proves nothing; or -ENOTSUP where content may change
	 * without its ctime (FAT, FUSE, images), so that nothing read from there may be kept. The
	 * slot is NULL where that holds for all of the backend.
	 */
	int (*identity)(int dir, uint64_t id[2]);

	/* META_ALL of an open file or directory, now. */
	int (*stat_handle)(int handle, struct file_meta *meta);

	void (*close)(int handle);
};

extern const struct backend fs_local;
extern const struct backend *const backends[]; /* NULL-terminated */

/* By the root's scheme; what has none is local. VEGA_USAGE for an unknown scheme. */
int backend_for(const char *root, const struct backend **backend, struct vega_error *err);

#endif
