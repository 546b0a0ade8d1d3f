/*
 * Trees: where entries come from. A backend is the code for one kind (one file per backend, one
 * table, backends[]); a tree is an instance of it, which every slot is given first. What a tree
 * knows (connections, credentials, an open archive) is behind its struct fs_tree.
 *
 * Everything is called per batch, never per entry: the local backend keeps its own getdents and
 * statx loops. A handle is a small non-negative int that names an open directory or file of its
 * tree (for local: a descriptor); negative results are -errno. Every slot may be called by any
 * thread at once, on the same handle too, except that list() on one directory is serial. No slot
 * follows a symbolic link unless it says so. Slots that may be NULL say so.
 *
 * A thing that a tree cannot know is absent, never zero: each file_meta that a slot fills has in
 * `have` the fields that it holds, META_ALL or fewer, and the others are unset.
 */
#ifndef VEGA_FS_BACKEND_H
#define VEGA_FS_BACKEND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/strlist.h"
#include "fs/medium.h"
#include "record/meta.h"

struct fs_entry {
	const char
	        *name; /* NUL-terminated; of one component; the tree's, or in the cursor's buffer */
	uint64_t ino;  /* as the listing said (a mount point's is the covered one); 0: unknown */
	uint16_t name_len;
	uint8_t type;  /* enum file_type; FILE_UNKNOWN until stat() where the listing is silent */
	uint8_t flags; /* the walker's; 0 from list() */
	int32_t error; /* errno of a failed stat(), else 0; FS_SKIP_STAT: stat() passes it over */
};

#define FS_SKIP_STAT (-1)

#define FS_BATCH 256

/*
 * One listing step. The names live until the next list() on the same cursor: in its buffer, or,
 * when a page of the tree's does not fit there, in memory of the tree's that it finds again by the
 * directory's handle and frees with it.
 */
struct fs_batch {
	unsigned count;
	bool end; /* nothing follows */
	struct fs_entry entry[FS_BATCH];
	struct file_meta meta[FS_BATCH]; /* meta[i] belongs to entry[i]; `have` is always set */
};

/* A thread's reading position; `buffer` is reused from directory to directory. Entries are left of
 * the last read while at < filled. */
#define FS_CURSOR_BUFFER ((size_t)64 << 10)
struct fs_cursor {
	char *buffer; /* FS_CURSOR_BUFFER bytes, 16-aligned, the caller's */
	size_t at, filled;
};

/* Entries of one directory that came later: the tree's memory, until page_free(). */
struct fs_page {
	struct fs_entry *entry; /* the walker's to change meanwhile */
	struct file_meta *meta;
	unsigned count;
	bool end;  /* nothing follows */
	int error; /* -errno: behind these entries, the listing failed, and ends; or 0 */
};

/* Where a page is wanted. */
struct fs_sink {
	/* By any thread, which holds no lock that a slot of the tree takes. */
	void (*deliver)(struct fs_sink *sink, struct fs_page *page);
};

enum fs_caps {
	FS_ASYNC = 1,      /* whole directories are listed by list_start() */
	FS_FRONT_ONLY = 2, /* read() goes through a file once, from the front */

	/*
	 * A root is one stream: list() on its handle (that of open_root()) gives all that lies
	 * below it, each with the path from there as its name (components joined by '/'; they may
	 * be empty), its type, and in meta what is known. A directory that is named comes before
	 * what lies in it, and what lies in it comes together. open_dir() asks nobody, and takes
	 * names that the stream does not name. list() on what it opened (for --empty) is a plain
	 * listing, or -ENOTSUP.
	 */
	FS_STREAM = 4,

	/* The content of an entry can be read only between the list() that gave it and the next,
	 * by the same thread. Such a batch is of one entry. */
	FS_ONCE = 8,
};

struct backend;

struct fs_tree {
	const struct backend *backend;
	unsigned caps; /* enum fs_caps */

	/* The meta_fields that it can tell: stat() is not asked for others. Where META_IDENTITY is
	 * not among them, all is one file system, and a handle that was closed is opened again
	 * without a look at what it was. */
	unsigned fields;
};

struct backend {
	const char *scheme; /* "file" */

	/*
	 * The tree that a root lies in, for one run: cheap, nothing is opened and nobody is asked.
	 * Roots may share one; each call is matched by one of tree_free(). 0 or a negative code.
	 */
	int (*tree_new)(const char *root, struct fs_tree **out, struct vega_error *err);
	void (*tree_free)(struct fs_tree *tree);

	/*
	 * The root's path in a form, ending in '/', with which the path of whatever lies in it
	 * begins: for local, resolved. open_root() takes that and what it begins with up to a '/',
	 * too. NULL when there is none (the root cannot be reached: opening it says why), else for
	 * the caller to free.
	 */
	char *(*resolve)(struct fs_tree *tree, const char *root);

	/* What the root lies on. Appends the name of that ("ext4") to `name`, unless it is NULL. */
	enum medium (*medium)(struct fs_tree *tree, const char *root, struct buf *name);

	/*
	 * About how many entries a walk of the root sees that leaves nothing out but, with
	 * one_file_system, other file systems; 0: not known.
	 */
	uint64_t (*expect)(struct fs_tree *tree, const char *root, bool one_file_system);

	/*
	 * Open a root. A symbolic link that is itself the root is followed (as du -D and find -H
	 * do). `allowed` (may be NULL) lists directories, resolved: unless the root is one of them
	 * or beneath one, -EPERM; decided on what was really opened, with no window in which a
	 * rename could lead elsewhere. Fills *meta, with the type in its mode whatever `have` says.
	 * A directory: returns its handle and stores NULL in *name. Anything else (a link that
	 * leads nowhere too): returns the handle of its directory, and *name is its name in there,
	 * for the caller to free.
	 */
	int (*open_root)(struct fs_tree *tree, const char *path, const struct strlist *allowed,
	        struct file_meta *meta, char **name);

	/* Open a directory for listing, from its beginning: `name` in `parent`, or "." for parent
	 * itself. Fills *meta when that is not NULL. */
	int (*open_dir)(struct fs_tree *tree, int parent, const char *name, struct file_meta *meta);

	/*
	 * Open the directory that holds `dir`, wherever that is by now. Fills *meta when that is
	 * not NULL. The slot is NULL where nothing leads upwards: what was closed is then opened
	 * again from above alone.
	 */
	int (*open_parent)(struct fs_tree *tree, int dir, struct file_meta *meta);

	/*
	 * Fill the batch with the next entries, without "." and "..": names, type and ino where
	 * known, and in meta whatever the listing says. Never mixes two reads: when the cursor has
	 * entries left they come first. 0, or -errno (what was listed before it stays valid).
	 */
	int (*list)(
	        struct fs_tree *tree, int dir, struct fs_cursor *cursor, struct fs_batch *batch);

	/*
	 * With FS_ASYNC, how the walk lists directories, so that many listings are under way while
	 * no thread of its waits for one (list() remains, for a look at the first entries): ask for
	 * the next page of a directory, of which no other is asked for. 0: the page is delivered to
	 * the sink, once, from any thread, maybe before this returns. -EBUSY: others that were
	 * asked for are as many as the tree takes at once; when one has come there is room. Or
	 * another -errno. The handle stays open until the page has come.
	 */
	int (*list_start)(struct fs_tree *tree, int dir, struct fs_sink *sink);

	/* The walk is stopping: all pages that are asked for are delivered soon, however empty. */
	void (*list_cancel)(struct fs_tree *tree);
	void (*page_free)(struct fs_tree *tree, struct fs_page *page);

	/*
	 * Of the entries [from, to) but those with FS_SKIP_STAT: fill what `want` says (fields of
	 * tree->fields alone) and meta.have lacks, and the type. What cannot be known of one stays
	 * absent. Failures go to entry.error, which is 0 otherwise.
	 */
	void (*stat)(struct fs_tree *tree, int dir, struct fs_entry *entry, struct file_meta *meta,
	        unsigned from, unsigned to, unsigned want);

	/*
	 * Open a regular file for reading; *meta is of what was really opened. `name` is that of an
	 * entry of dir, or "NAME/FILE" for one in a directory in dir (NAME may be ".", too), of
	 * which then nothing needs to have been opened. -EINVAL when it is no regular file. Never
	 * blocks on a FIFO.
	 */
	int (*open_file)(struct fs_tree *tree, int dir, const char *name, struct file_meta *meta);

	/* Bytes read (0 at the end), or -errno. With FS_FRONT_ONLY, each offset is where the read
	 * before ended. */
	ssize_t (*read)(struct fs_tree *tree, int file, void *bytes, size_t len, uint64_t offset);

	/*
	 * Names the file system that an open directory lies in, for the keys of caches: the same
	 * after a remount or a reboot where that can be had. 0; or 1 where another file system
	 * could come to have the same name, so that a ctime without a fraction of a second (one
	 * that an image's maker made up) proves nothing; or -ENOTSUP where content may change
	 * without its ctime (FAT, FUSE, images), so that nothing read from there may be kept. The
	 * slot is NULL where that holds for all of the backend.
	 */
	int (*identity)(struct fs_tree *tree, int dir, uint64_t id[2]);

	/* Of an open file or directory, now. */
	int (*stat_handle)(struct fs_tree *tree, int handle, struct file_meta *meta);

	/*
	 * What the owning group may do with an open file or directory (0 to 7), where an access
	 * control list says so, and 7 where there is none: the group bits of the mode are then the
	 * most that anybody in the list may. 0 when it cannot be asked. The slot is NULL where
	 * there are no such lists.
	 */
	unsigned (*group_rights)(struct fs_tree *tree, int handle);

	void (*close)(struct fs_tree *tree, int handle);
};

extern const struct backend fs_local;
extern const struct backend *const backends[]; /* NULL-terminated */

/* The file system of this machine: it keeps nothing, so there is one. */
extern struct fs_tree fs_local_tree;

/* The trees of one run's roots. Read by all threads. */
struct fs_trees;

struct fs_setting {
	const struct strlist *roots;
	struct fs_tree *given; /* the tree of all roots, whatever they are; NULL: each by its
	                          scheme, and local where there is none */
	uint64_t max_iops; /* a ceiling on their calls, taken together (fs/limited.h); 0: none */
	const atomic_int *stop; /* non-zero ends waiting for it; may be NULL */
};

/* Opens nothing. VEGA_USAGE for an unknown scheme. */
int fs_trees_new(const struct fs_setting *setting, struct fs_trees **out, struct vega_error *err);
void fs_trees_free(struct fs_trees *trees);

/* Of the root of that index. */
struct fs_tree *fs_tree_at(const struct fs_trees *trees, size_t root);

#endif
