/* Output files: written without a name or under a temporary one, sealed, synced, and then named;
 * the order that makes a file durable before it is visible is output_publish()'s. */
#include "fs/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/check.h"
#include "base/killpoint.h"
#include "fs/backend.h"
#include "fs/output_internal.h"

#define TEMPORARY_TRIES 64
#define UNGUESSED_TRIES 8 /* two random numbers of 64 bits are not the same */

int output_stat(struct output_root *root, const char *relative, struct file_meta *meta)
{
	char *name;
	int dir = output_open_holder(root, relative, false, &name);
	if (dir < 0) {
		return dir;
	}
	struct fs_entry entry = {.name = name};
	fs_local.stat(&fs_local_tree, dir, &entry, meta, 0, 1, META_ALL);
	free(name);
	return output_fail(dir, -entry.error);
}

int output_open(struct output_root *root, const char *relative, struct file_meta *meta)
{
	char *name;
	int dir = output_open_holder(root, relative, false, &name);
	if (dir < 0) {
		return dir;
	}
	int fd = fs_local.open_file(&fs_local_tree, dir, name, meta);
	free(name);
	return output_fail(dir, fd);
}

/* Remove a temporary file that no living process holds. */
static void remove_leftover(int dir, const char *temporary)
{
	struct stat held, named;
	int fd = openat(dir, temporary, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		return;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &held) == 0 && S_ISREG(held.st_mode) &&
	        fstatat(dir, temporary, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	        held.st_dev == named.st_dev && held.st_ino == named.st_ino) {
		unlinkat(dir, temporary, 0);
	}
	close(fd);
}

/* Lock a new temporary file. False when another process took it for a leftover meanwhile. */
static bool lock_temporary(int fd)
{
	struct stat st;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		return errno != EWOULDBLOCK; /* no locks here: then nobody removes leftovers */
	}
	return fstat(fd, &st) == 0 && st.st_nlink > 0;
}

/* Give an unnamed file its name: 0 or -errno. */
static int link_unnamed(int fd, int dir, const char *name)
{
	char path[32];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, path, dir, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : -errno;
}

/* Somebody may have taken all that can be known beforehand: the last ones are random. */
static bool temporary_name(unsigned long long hash, unsigned try, char path[static 64])
{
	unsigned long long number = try;
	if (try >= TEMPORARY_TRIES && getrandom(&number, sizeof number, 0) != sizeof number) {
		return false;
	}
	snprintf(path, 64, try < TEMPORARY_TRIES ? ".vega-%016llx-%llu" : ".vega-%016llx-%016llx",
	        hash, number);
	return true;
}

/*
 * A temporary name for `name` in dir: of a new file (fd < 0), or a name for the unnamed file fd.
 * Returns the descriptor or -errno.
 */
static int take_temporary(int dir, const char *name, int fd, char **temporary)
{
	unsigned long long hash = XXH3_64bits(name, strlen(name));
	if (fd >= 0) {
		flock(fd, LOCK_EX | LOCK_NB);
	}
	for (unsigned try = 0; try < TEMPORARY_TRIES + UNGUESSED_TRIES; try++) {
		char path[64];
		if (!temporary_name(hash, try, path)) {
			return -errno;
		}
		remove_leftover(dir, path);
		int got = fd;
		if (fd < 0) {
			got = openat(dir, path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
			got = got < 0 ? -errno : got;
		} else {
			int error = link_unnamed(fd, dir, path);
			got = error ? error : fd;
		}
		if (got >= 0 && (got == fd || lock_temporary(got))) {
			*temporary = strdup(path);
			if (*temporary) {
				return got;
			}
			unlinkat(dir, path, 0);
			return got == fd ? -ENOMEM : output_fail(got, -ENOMEM);
		}
		if (got >= 0) {
			close(got);
		} else if (got != -EEXIST) {
			return got;
		}
	}
	return -EBUSY;
}

int output_begin(struct output_root *root, const char *relative, struct output_file *file)
{
	*file = (struct output_file){.fd = -1, .dir = -1, .root = root};
	file->dir = output_open_holder(root, relative, true, &file->name);
	if (file->dir < 0) {
		return file->dir;
	}
	if (output_links(root, file->dir)) {
		file->fd = openat(file->dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	}
	if (file->fd < 0) {
		file->fd = take_temporary(file->dir, file->name, -1, &file->temporary);
	}
	if (file->fd < 0) {
		int error = file->fd;
		output_discard(file);
		return error;
	}
	KILL_POINT(output_made);
	return 0;
}

#define NOTE "user.vega.made"

bool output_note(struct output_file *file, const void *note, size_t len)
{
	CHECK(len > 0 && len <= OUTPUT_NOTE_MAX);
	return fsetxattr(file->fd, NOTE, note, len, 0) == 0;
}

size_t output_noted(int fd, uint8_t note[static OUTPUT_NOTE_MAX])
{
	ssize_t len = fgetxattr(fd, NOTE, note, OUTPUT_NOTE_MAX);
	return len < 0 ? 0 : (size_t)len;
}

static bool is_kept(struct output_root *root, const struct stat *st, struct vega_time wanted)
{
	struct vega_time there = {st->st_mtim.tv_sec, (uint32_t)st->st_mtim.tv_nsec};
	return vega_time_compare(there, wanted) == 0 || output_time_kept(root, wanted, there);
}

/* Mode and time: what is not supported is noted, and else an -errno. */
static int dress(struct output_file *file, mode_t mode, struct vega_time mtime)
{
	struct timespec times[2] = {
	        {.tv_nsec = UTIME_OMIT},
	        {.tv_sec = mtime.sec, .tv_nsec = (long)mtime.nsec},
	};
	struct stat st;
	bool moded = fchmod(file->fd, mode) == 0;
	if (!moded && !output_is_unsupported(errno)) {
		return -errno;
	}
	bool timed = futimens(file->fd, times) == 0;
	if (!timed && !output_is_unsupported(errno)) {
		return -errno;
	}
	/* Some say that they did it. */
	if (fstat(file->fd, &st) != 0) {
		return -errno;
	}
	if (!moded || (st.st_mode & 0777) != mode) {
		output_lack(file->root, OUTPUT_LACKS_MODES);
	}
	if (!timed || !is_kept(file->root, &st, mtime)) {
		output_lack(file->root, OUTPUT_LACKS_TIMES);
	}
	return 0;
}

int output_seal(struct output_file *file, const struct file_meta *meta)
{
	CHECK(file->fd >= 0 && file->dir >= 0 && file->name);
	int error = dress(file, meta->mode & 0777, meta->mtime);
	if (error) {
		output_discard(file);
	}
	return error;
}

/* Name a file that has none. */
static int link_file(struct output_file *file)
{
	int error = link_unnamed(file->fd, file->dir, file->name);
	if (error != -EEXIST || !file->may_replace) {
		return error;
	}
	int fd = take_temporary(file->dir, file->name, file->fd, &file->temporary);
	if (fd < 0) {
		return fd;
	}
	file->replaced = true;
	return renameat(file->dir, file->temporary, file->dir, file->name) == 0 ? 0 : -errno;
}

/* Servers of FUSE file systems have their own answers to what they cannot do. */
static bool cannot_link(int errnum)
{
	return output_is_unsupported(errnum) || errnum == EIO || errnum == EMLINK;
}

int output_rename(struct output_root *root, int from, const char *old, int to, const char *name)
{
	if (renameat2(from, old, to, name, RENAME_NOREPLACE) == 0) {
		return 0;
	}
	if (!output_is_unsupported(errno)) {
		return -errno;
	}
	/* a file system without that flag */
	if (linkat(from, old, to, name, 0) == 0) {
		unlinkat(from, old, 0);
		return 0;
	}
	if (!cannot_link(errno)) {
		return -errno;
	}
	/* A name that is taken first by an empty file would outlive a kill: so look, and hope. */
	if (faccessat(to, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		return -EEXIST;
	}
	if (errno != ENOENT || renameat(from, old, to, name) != 0) {
		return -errno;
	}
	output_lack(root, OUTPUT_LACKS_EXCLUSIVE);
	return 0;
}

static int rename_file(struct output_file *file)
{
	int dir = file->dir;
	int error = output_rename(file->root, dir, file->temporary, dir, file->name);
	if (error != -EEXIST || !file->may_replace) {
		return error;
	}
	file->replaced = true;
	return renameat(dir, file->temporary, dir, file->name) == 0 ? 0 : -errno;
}

void output_publish(struct output_file *const *files, int *results, size_t count)
{
	memset(results, 0, count * sizeof *results);
	output_sync(files, results, count, false);
	KILL_POINT(output_synced);
	for (size_t i = 0; i < count; i++) {
		struct output_file *file = files[i];
		CHECK(file->fd >= 0 && !file->replaced);
		if (results[i] == 0) {
			results[i] = file->temporary ? rename_file(file) : link_file(file);
		}
		if (results[i] != 0) {
			output_discard(file);
			continue;
		}
		free(file->temporary);
		file->temporary = NULL;
		KILL_POINT(output_named);
	}
	output_sync(files, results, count, true);
	KILL_POINT(output_durable);
	for (size_t i = 0; i < count; i++) {
		struct output_file *file = files[i];
		/* Absent, so that the next run writes it again; unless that would lose both. */
		if (results[i] != 0 && file->dir >= 0 && !file->replaced) {
			unlinkat(file->dir, file->name, 0);
		}
		output_discard(file);
	}
}

int output_commit(struct output_file *file, const struct file_meta *meta, bool overwrite)
{
	int result = output_seal(file, meta);
	if (result == 0) {
		file->may_replace = overwrite;
		output_publish(&file, &result, 1);
	}
	return result;
}

void output_discard(struct output_file *file)
{
	if (file->temporary) {
		unlinkat(file->dir, file->temporary, 0);
	}
	if (file->fd >= 0) {
		close(file->fd);
	}
	if (file->dir >= 0) {
		close(file->dir);
	}
	free(file->temporary);
	free(file->name);
	*file = (struct output_file){.fd = -1, .dir = -1};
}
