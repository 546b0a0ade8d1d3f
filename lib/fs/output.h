/*
 * Safe creation of output files below a directory: each is complete or absent, and never replaces
 * anything unless asked.
 *
 * A file is written to an unnamed inode (O_TMPFILE; where the file system has none, an O_EXCL
 * temporary name), given its mode and mtime through the descriptor (setuid and setgid are never
 * carried over), synced, then linked under its name: linkat / RENAME_NOREPLACE, so EEXIST means
 * that somebody was first; where there is neither, a look and a rename. Every directory on the way
 * is created and opened beneath the output root without following links. A failed fsync is never
 * retried: the file is discarded.
 *
 * A process that is killed leaves nothing behind, except where a temporary name is needed: without
 * O_TMPFILE, and for the instant in which one file replaces another. That is ".vega-HASH-N", HASH
 * being of the final name, and locked (flock) by its writer; whoever needs a temporary name for the
 * same file next removes those that nobody holds. Where 64 of them are taken, N is random, and that
 * is not found again. Nor are the empty files by which the file system is tried, for an instant and
 * once per run (".vega-link.UUID", "time", "Name").
 */
#ifndef VEGA_FS_OUTPUT_H
#define VEGA_FS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/strlist.h"
#include "record/meta.h"

struct output_root;

/*
 * Opens DIR for writing below it. DIR need not exist: the deepest directory on its way that does is
 * opened and judged now, and the rest is created with the first file, so that a check alone leaves
 * no trace. `allowed` (may be NULL or empty): directories beneath one of which it must lie (or be),
 * decided on what was opened. VEGA_FATAL names DIR.
 */
int output_root_open(const char *dir, const struct strlist *allowed, struct output_root **out,
        struct vega_error *err);
void output_root_close(struct output_root *root);

/*
 * Does the output root lie in (or is it) the directory `path`? Does the directory `path` lie in (or
 * is it) the output root? 1, 0 (also when path is no directory) or -errno. By walking up and
 * comparing (dev, ino).
 */
int output_root_inside(const struct output_root *root, const char *path);
int output_root_contains(const struct output_root *root, const char *path);

/*
 * Where the file system lacks something, what matters more is done all the same: a file without its
 * permissions or its time, or named by a rename that would replace what another process puts there
 * in that instant. Which of these happened since the root was opened?
 */
enum output_lack {
	OUTPUT_LACKS_MODES = 1,
	OUTPUT_LACKS_TIMES = 2,
	OUTPUT_LACKS_EXCLUSIVE = 4, /* neither hard links nor renames that replace nothing */
};
unsigned output_lacks(struct output_root *root); /* bits; thread-safe, as all that follows */

/* Is `there` the time that the file system keeps of one that was set to `wanted`? NTFS keeps 100
 * ns, FAT 2 s and nothing before 1980: that is tried once, with a file of no name or for an
 * instant. */
bool output_time_kept(struct output_root *root, struct vega_time wanted, struct vega_time there);

/*
 * Names that differ in their case or Unicode form may be one to the file system. What exists at the
 * relative path, has it that very name? OUTPUT_NAMED: yes, or nothing is folded there.
 * OUTPUT_NAMED_OTHERWISE: no. OUTPUT_NAMED_ANYHOW: the file system folds names, and lists them
 * otherwise than they were given, so that nobody can tell. Or -errno. `listing` (zeroed first,
 * released in the end) remembers the names of the last directory asked for.
 */
enum output_named { OUTPUT_NAMED, OUTPUT_NAMED_OTHERWISE, OUTPUT_NAMED_ANYHOW };
struct output_listing {
	char *dir;      /* NULL: of none */
	uint64_t *name; /* hashes, sorted */
	size_t count;
};
int output_named(struct output_root *root, const char *relative, struct output_listing *listing);
void output_listing_release(struct output_listing *listing);

/* The name that it has there, for the caller to free; NULL: it cannot be told. */
char *output_name_there(struct output_root *root, const char *relative);

struct output_file {
	int fd;  /* write here */
	int dir; /* the open directory it will appear in */
	struct output_root *root;
	char *temporary; /* NULL with O_TMPFILE */
	char *name;
	bool may_replace; /* what has the name when it is published; the caller's to set */
	bool replaced;    /* it took the name from another */
};

/*
 * Relative paths: components joined by single slashes, none of them empty, "." or ".."; anything
 * else is -EINVAL.
 */

/* META_ALL of what stands at the relative path; 0, -ENOENT or -errno. Links are not followed, on
 * the way or at the end. Thread-safe. */
int output_stat(struct output_root *root, const char *relative, struct file_meta *meta);

/* The same of a regular file, opened for reading: its descriptor; -EINVAL when it is none. */
int output_open(struct output_root *root, const char *relative, struct file_meta *meta);

/*
 * Create the directory at the relative path, and those on the way to it, where they are missing.
 * mode() tells the permissions of each, or OUTPUT_UMASK: these are given to it, whatever the umask,
 * and its owner always has rwx, or the next file could not be written into it. Set-ID and sticky
 * bits are not given, but what the file system lets it inherit stays. One that exists keeps its
 * own. 0 or -errno.
 */
#define OUTPUT_UMASK ((mode_t)-1)
struct output_modes {
	mode_t (*mode)(void *context, const char *relative);
	void *context;
};
int output_directories(
        struct output_root *root, const char *relative, const struct output_modes *modes);

/* 0 or -errno; directories that are missing get the umask. Thread-safe: several files may be open
 * at once. */
int output_begin(struct output_root *root, const char *relative, struct output_file *file);

/*
 * A few bytes of the writer's beside an output's content ("user.vega.made", an extended attribute,
 * which tools carry along that carry those). output_note(): false where the file system keeps none.
 * output_noted(): how many bytes there are of it, of an open file; 0: none.
 */
#define OUTPUT_NOTE_MAX 64
bool output_note(struct output_file *file, const void *note, size_t len);
size_t output_noted(int fd, uint8_t note[static OUTPUT_NOTE_MAX]);

/* The file is written: set mode & 0777 and mtime, as far as they can be. It is neither durable nor
 * visible yet. 0; -errno: it is gone. */
int output_seal(struct output_file *file, const struct file_meta *meta);

/*
 * Make sealed files durable, then visible, then their names durable. results[i]: 0, -EEXIST when
 * the name is taken and may not be replaced, or -errno; all are closed, and those that failed are
 * gone (but for one that replaced another before the directory could not be synced).
 *
 * Many at once cost little more than one: where syncfs is known to be as good as fsync, the file
 * system is synced as a whole, and each file is asked for its own write errors.
 */
void output_publish(struct output_file *const *files, int *results, size_t count);

/* Both, for one file. */
int output_commit(struct output_file *file, const struct file_meta *meta, bool overwrite);

/* Close and forget; nothing becomes visible. */
void output_discard(struct output_file *file);

#endif
