/* Output files: the directory each belongs in, its temporary form, and the order of syncing and
 * naming that makes it durable before it is visible. */
#include "fs/output.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/killpoint.h"
#include "fs/backend.h"
#include "fs/output_internal.h"

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC)
#define TEMPORARY_TRIES 64
#define SYNC_WHOLE_MIN 4 /* files at once, from which on syncfs is cheaper than fsync of each */

struct output_root {
	int anchor;     /* the deepest directory that existed */
	char *missing;  /* what was missing below it; NULL when the anchor is the root */
	atomic_int dir; /* the root; -1 until it exists */
	pthread_mutex_t creating;
	bool unnamed; /* /proc is there, so that an unnamed file can be given its name */
};

static int fail(int fd, int error)
{
	if (fd >= 0) {
		close(fd);
	}
	return error;
}

bool output_syncs_as_a_whole(int fd)
{
	struct statfs fs;
	if (fstatfs(fd, &fs) != 0) {
		return false;
	}
	switch ((unsigned long)fs.f_type) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case F2FS_SUPER_MAGIC:
	case TMPFS_MAGIC:
		return true;
	default:
		return false;
	}
}

/* --- Directories ------------------------------------------------------------------------------ */

static int open_here(int dir, const char *name)
{
	int fd = openat(dir, name, OPEN_DIRECTORY | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

/* 0; 1: somebody was faster; or -errno. */
static int make_here(int dir, const char *name, mode_t mode)
{
	if (mkdirat(dir, name, mode) != 0) {
		return errno == EEXIST ? 1 : -errno;
	}
	bool failed = !output_syncs_as_a_whole(dir) && fsync(dir) != 0 && errno != EINVAL;
	return failed ? -errno : 0;
}

static int open_component(int dir, const char *name, mode_t mode, bool create)
{
	int fd = open_here(dir, name);
	if (fd != -ENOENT || !create) {
		return fd;
	}
	int made = make_here(dir, name, mode);
	return made < 0 ? made : open_here(dir, name);
}

/* The same for the directory at `path`, which gets the permissions that `modes` tells. */
static int open_alike(int dir, const char *name, const char *path, const struct output_modes *modes)
{
	int fd = open_here(dir, name);
	if (fd != -ENOENT) {
		return fd;
	}
	mode_t told = modes->mode(modes->context, path);
	bool exact = told != OUTPUT_UMASK;
	mode_t mode = exact ? (told & 0777) | 0700 : 0777;
	int made = make_here(dir, name, mode);
	fd = made < 0 ? made : open_here(dir, name);
	struct stat st;
	if (fd >= 0 && made == 0 && exact && fstat(fd, &st) == 0 && (st.st_mode & 0777) != mode) {
		/* Where there are no such modes, what mkdir made of it stays. */
		(void)!fchmod(fd, (st.st_mode & 07000) | mode);
	}
	return fd;
}

/* modes: NULL to create nothing. */
static int open_each_component(int base, const char *path, const struct output_modes *modes)
{
	char *way = strdup(path);
	int dir = way ? fcntl(base, F_DUPFD_CLOEXEC, 0) : -1;
	int error = !way ? -ENOMEM : dir < 0 ? -errno : 0;
	char *name = way;
	while (!error && *name) {
		char *end = strchrnul(name, '/');
		bool last = !*end;
		*end = '\0';
		int next = modes ? open_alike(dir, name, way, modes)
		                 : open_component(dir, name, 0, false);
		close(dir);
		dir = next;
		error = next < 0 ? next : 0;
		*end = last ? '\0' : '/';
		name = last ? end : end + 1;
	}
	free(way);
	return error ? error : dir;
}

static mode_t by_umask(void *context, const char *relative)
{
	(void)context, (void)relative;
	return OUTPUT_UMASK;
}

static const struct output_modes output_by_umask = {.mode = by_umask};

static const struct output_modes *umask_if(bool create)
{
	return create ? &output_by_umask : NULL;
}

/* The directory at path ("" is base) below base, no link on the way followed. */
static int open_below(int base, const char *path, const struct output_modes *modes)
{
	struct open_how how = {
	        .flags = OPEN_DIRECTORY,
	        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	/* One call when all is there; whatever it refuses, the slow way answers with its own. */
	long fd = syscall(SYS_openat2, base, *path ? path : ".", &how, sizeof how);
	return fd >= 0 ? (int)fd : open_each_component(base, path, modes);
}

/* Is dir, or a directory that it lies in, the one that `what` describes? 1, 0 or -errno. */
static int lies_in(int dir, const struct stat *what)
{
	struct stat here, up;
	if (fstat(dir, &here) != 0) {
		return -errno;
	}
	int at = -1;
	for (;;) {
		if (here.st_dev == what->st_dev && here.st_ino == what->st_ino) {
			return fail(at, 1);
		}
		int parent = openat(at < 0 ? dir : at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		int error = parent < 0 || fstat(parent, &up) != 0 ? -errno : 0;
		if (at >= 0) {
			close(at);
		}
		at = parent;
		if (error) {
			return fail(at, error);
		}
		if (up.st_dev == here.st_dev && up.st_ino == here.st_ino) {
			return fail(at, 0);
		}
		here = up;
	}
}

int output_root_inside(const struct output_root *root, const char *path)
{
	struct stat what;
	if (stat(path, &what) != 0) {
		return -errno;
	}
	return S_ISDIR(what.st_mode) ? lies_in(root->anchor, &what) : 0;
}

int output_root_contains(const struct output_root *root, const char *path)
{
	struct stat what;
	if (root->missing) {
		return 0;
	}
	if (fstat(root->anchor, &what) != 0) {
		return -errno;
	}
	int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		return errno == ENOTDIR ? 0 : -errno;
	}
	return fail(dir, lies_in(dir, &what));
}

/* --- The root --------------------------------------------------------------------------------- */

/* Is this what one may append to a directory (see the header)? */
static bool relative_valid(const char *path)
{
	for (;;) {
		size_t len = strcspn(path, "/");
		if (len == 0 || (len == 1 && path[0] == '.') ||
		        (len == 2 && path[0] == '.' && path[1] == '.')) {
			return false;
		}
		if (!path[len]) {
			return true;
		}
		path += len + 1;
	}
}

/* "a//b/./c/" as "a/b/c", in place. */
static void squeeze(char *path)
{
	char *to = path;
	for (const char *from = path; *from;) {
		size_t len = strcspn(from, "/");
		bool drop = len == 0 || (len == 1 && from[0] == '.');
		if (!drop) {
			if (to != path) {
				*to++ = '/';
			}
			memmove(to, from, len);
			to += len;
		}
		from += len + (from[len] == '/');
	}
	*to = '\0';
}

/* Open the deepest directory of path that exists; *missing is set to what remains, or NULL. */
static int open_deepest(const char *path, char **missing)
{
	*missing = NULL;
	char *prefix = strdup(path);
	if (!prefix) {
		return -ENOMEM;
	}
	size_t cut = strlen(prefix);
	int fd;
	for (;;) {
		fd = open(cut ? prefix : ".", OPEN_DIRECTORY);
		if (fd >= 0 || errno != ENOENT || cut == 0) {
			break;
		}
		while (cut > 0 && prefix[cut - 1] == '/') {
			cut--;
		}
		while (cut > 0 && prefix[cut - 1] != '/') {
			cut--;
		}
		prefix[cut] = '\0';
	}
	int error = fd < 0 ? -errno : 0;
	free(prefix);
	if (error || !path[cut]) {
		return error ? error : fd;
	}
	*missing = strdup(path + cut);
	if (!*missing) {
		return fail(fd, -ENOMEM);
	}
	squeeze(*missing);
	if (!relative_valid(*missing)) { /* ".." below what does not exist */
		free(*missing);
		*missing = NULL;
		return fail(fd, -ENOENT);
	}
	return fd;
}

static int check_allowed(int dir, const struct strlist *allowed)
{
	int result = allowed && allowed->count ? -EPERM : 0;
	for (size_t i = 0; result && i < allowed->count; i++) {
		struct stat what;
		if (stat(allowed->items[i], &what) == 0 && lies_in(dir, &what) == 1) {
			result = 0;
		}
	}
	return result;
}

/* Takes over both, also on failure: NULL. */
static struct output_root *new_root(int anchor, char *missing)
{
	struct output_root *root = malloc(sizeof *root);
	if (!root) {
		free(missing);
		close(anchor);
		return NULL;
	}
	root->anchor = anchor;
	root->missing = missing;
	atomic_init(&root->dir, missing ? -1 : anchor);
	pthread_mutex_init(&root->creating, NULL);
	root->unnamed = access("/proc/self/fd", F_OK) == 0;
	return root;
}

int output_root_open(const char *dir, const struct strlist *allowed, struct output_root **out,
        struct vega_error *err)
{
	*out = NULL;
	if (!*dir) {
		return vega_fail(err, VEGA_USAGE, "the output directory has no name");
	}
	char *missing;
	int anchor = open_deepest(dir, &missing);
	if (anchor == -ENOTDIR) {
		return vega_fail(err, VEGA_FATAL, "%s: not a directory; output needs one", dir);
	}
	if (anchor < 0) {
		return vega_fail_errno(err, VEGA_FATAL, -anchor, "output directory %s", dir);
	}
	int code = 0;
	if (check_allowed(anchor, allowed) != 0) {
		code = vega_fail(err, VEGA_FATAL,
		        "%s: the output directory lies outside the allowed directories", dir);
	} else if (faccessat(anchor, ".", W_OK | X_OK, AT_EACCESS) != 0) {
		code = vega_fail_errno(err, VEGA_FATAL, errno, "output directory %s", dir);
	}
	if (code) {
		free(missing);
		return fail(anchor, code);
	}
	*out = new_root(anchor, missing);
	return *out ? 0 : vega_fail_nomem(err);
}

void output_root_close(struct output_root *root)
{
	if (!root) {
		return;
	}
	int dir = atomic_load(&root->dir);
	if (dir >= 0 && dir != root->anchor) {
		close(dir);
	}
	close(root->anchor);
	pthread_mutex_destroy(&root->creating);
	free(root->missing);
	free(root);
}

/* The root's descriptor (borrowed), or -errno. */
static int root_dir(struct output_root *root, bool create)
{
	int dir = atomic_load_explicit(&root->dir, memory_order_acquire);
	if (dir >= 0) {
		return dir;
	}
	pthread_mutex_lock(&root->creating);
	dir = atomic_load_explicit(&root->dir, memory_order_relaxed);
	if (dir < 0) {
		dir = open_below(root->anchor, root->missing, umask_if(create));
		if (dir >= 0) {
			atomic_store_explicit(&root->dir, dir, memory_order_release);
		}
	}
	pthread_mutex_unlock(&root->creating);
	return dir;
}

int output_root_dir(struct output_root *root, const char *relative, bool create)
{
	int base = root_dir(root, create);
	if (*relative && !relative_valid(relative)) {
		return -EINVAL;
	}
	return base < 0 ? base : open_below(base, relative, umask_if(create));
}

int output_root_enter(
        struct output_root *root, const char *name, bool create, struct output_root **out)
{
	*out = NULL;
	int base = root_dir(root, create);
	int dir = base < 0 ? base : open_component(base, name, 0700, create);
	if (dir >= 0 && create && fsync(base) != 0 && errno != EINVAL) {
		return fail(dir, -errno);
	}
	if (dir >= 0) {
		*out = new_root(dir, NULL);
	}
	return dir < 0 ? dir : *out ? 0 : -ENOMEM;
}

int output_directories(
        struct output_root *root, const char *relative, const struct output_modes *modes)
{
	int base = root_dir(root, true);
	if (*relative && !relative_valid(relative)) {
		return -EINVAL;
	}
	int dir = base < 0 ? base : open_below(base, relative, modes);
	if (dir < 0) {
		return dir;
	}
	close(dir);
	return 0;
}

/* The directory that holds the relative path, and the last component. */
static int open_holder(struct output_root *root, const char *relative, bool create, char **name)
{
	*name = NULL;
	if (!relative_valid(relative)) {
		return -EINVAL;
	}
	int base = root_dir(root, create);
	if (base < 0) {
		return base;
	}
	const char *slash = strrchr(relative, '/');
	char *dir = strndup(relative, slash ? (size_t)(slash - relative) : 0);
	*name = strdup(slash ? slash + 1 : relative);
	int fd = dir && *name ? open_below(base, dir, umask_if(create)) : -ENOMEM;
	free(dir);
	if (fd < 0) {
		free(*name);
		*name = NULL;
	}
	return fd;
}

/* --- Files ------------------------------------------------------------------------------------ */

int output_stat(struct output_root *root, const char *relative, struct file_meta *meta)
{
	char *name;
	int dir = open_holder(root, relative, false, &name);
	if (dir < 0) {
		return dir;
	}
	struct fs_entry entry = {.name = name};
	fs_local.stat(&fs_local_tree, dir, &entry, meta, 0, 1, META_ALL);
	free(name);
	return fail(dir, -entry.error);
}

int output_open(struct output_root *root, const char *relative, struct file_meta *meta)
{
	char *name;
	int dir = open_holder(root, relative, false, &name);
	if (dir < 0) {
		return dir;
	}
	int fd = fs_local.open_file(&fs_local_tree, dir, name, meta);
	free(name);
	return fail(dir, fd);
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
	for (unsigned try = 0; try < TEMPORARY_TRIES; try++) {
		char path[64];
		snprintf(path, sizeof path, ".vega-%016llx-%u", hash, try);
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
			return got == fd ? -ENOMEM : fail(got, -ENOMEM);
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
	*file = (struct output_file){.fd = -1, .dir = -1};
	file->dir = open_holder(root, relative, true, &file->name);
	if (file->dir < 0) {
		return file->dir;
	}
	if (root->unnamed) {
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

int output_seal(struct output_file *file, const struct file_meta *meta)
{
	struct timespec times[2] = {
	        {.tv_nsec = UTIME_OMIT},
	        {.tv_sec = meta->mtime.sec, .tv_nsec = (long)meta->mtime.nsec},
	};
	if (fchmod(file->fd, meta->mode & 0777) != 0 || futimens(file->fd, times) != 0) {
		int error = -errno;
		output_discard(file);
		return error;
	}
	return 0;
}

/* Name a file that has none. */
static int link_file(struct output_file *file, bool overwrite)
{
	int error = link_unnamed(file->fd, file->dir, file->name);
	if (error != -EEXIST || !overwrite) {
		return error;
	}
	int fd = take_temporary(file->dir, file->name, file->fd, &file->temporary);
	if (fd < 0) {
		return fd;
	}
	file->replaced = true;
	return renameat(file->dir, file->temporary, file->dir, file->name) == 0 ? 0 : -errno;
}

int output_rename(int from, const char *old, int to, const char *name)
{
	if (renameat2(from, old, to, name, RENAME_NOREPLACE) == 0) {
		return 0;
	}
	if (errno != EINVAL && errno != ENOSYS) {
		return -errno;
	}
	/* a file system without that flag */
	if (linkat(from, old, to, name, 0) != 0) {
		return -errno;
	}
	unlinkat(from, old, 0);
	return 0;
}

static int rename_file(struct output_file *file, bool overwrite)
{
	int dir = file->dir;
	int error = output_rename(dir, file->temporary, dir, file->name);
	if (error != -EEXIST || !overwrite) {
		return error;
	}
	file->replaced = true;
	return renameat(dir, file->temporary, dir, file->name) == 0 ? 0 : -errno;
}

/* Did writing the file fail since it was opened? syncfs tells of an error only once, to one. */
static int write_error(int fd)
{
	return sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE) == 0 ? 0 : -errno;
}

/* Sync the files, or the directories that hold them, where results[i] is still 0. */
static void sync_all(struct output_file *const *files, int *results, size_t count, bool dirs)
{
	bool tried = false, whole = false;
	dev_t device = 0;
	for (size_t i = 0; i < count; i++) {
		int fd = dirs ? files[i]->dir : files[i]->fd;
		struct stat st;
		if (results[i] != 0) {
			continue;
		}
		if (count >= SYNC_WHOLE_MIN && fstat(fd, &st) == 0 &&
		        (!tried || st.st_dev != device)) {
			tried = true;
			device = st.st_dev;
			whole = output_syncs_as_a_whole(fd) && syncfs(fd) == 0;
		}
		if (whole) {
			results[i] = dirs ? 0 : write_error(fd);
		} else if (fsync(fd) != 0 && !(dirs && errno == EINVAL)) {
			results[i] = -errno;
		}
	}
}

void output_publish(struct output_file *const *files, int *results, size_t count, bool overwrite)
{
	memset(results, 0, count * sizeof *results);
	sync_all(files, results, count, false);
	KILL_POINT(output_synced);
	for (size_t i = 0; i < count; i++) {
		struct output_file *file = files[i];
		if (results[i] == 0) {
			results[i] = file->temporary ? rename_file(file, overwrite)
			                             : link_file(file, overwrite);
		}
		if (results[i] != 0) {
			output_discard(file);
			continue;
		}
		free(file->temporary);
		file->temporary = NULL;
		KILL_POINT(output_named);
	}
	sync_all(files, results, count, true);
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
		output_publish(&file, &result, 1, overwrite);
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
