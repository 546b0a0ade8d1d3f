/* Directories on the way to an output file: opened and made beneath another directory, component by
 * component where openat2(2) cannot answer, and no link is followed. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/output_internal.h"

int output_fail(int fd, int error)
{
	if (fd >= 0) {
		close(fd);
	}
	return error;
}

bool output_relative_valid(const char *path)
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

static int open_here(int dir, const char *name)
{
	int fd = openat(dir, name, OUTPUT_OPEN_DIRECTORY | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

/* 0; 1: somebody was faster; or -errno. */
static int make_here(int dir, const char *name, mode_t mode)
{
	if (mkdirat(dir, name, mode) != 0) {
		return errno == EEXIST ? 1 : -errno;
	}
	bool failed =
	        !output_syncs_as_a_whole(dir) && fsync(dir) != 0 && !output_is_unsupported(errno);
	return failed ? -errno : 0;
}

int output_open_component(int dir, const char *name, mode_t mode, bool create)
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
		                 : output_open_component(dir, name, 0, false);
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

const struct output_modes *output_umask_if(bool create)
{
	return create ? &output_by_umask : NULL;
}

int output_open_below(int base, const char *path, const struct output_modes *modes)
{
	struct open_how how = {
	        .flags = OUTPUT_OPEN_DIRECTORY,
	        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	/* One call when all is there; whatever it refuses, the slow way answers with its own. */
	long fd = syscall(SYS_openat2, base, *path ? path : ".", &how, sizeof how);
	return fd >= 0 ? (int)fd : open_each_component(base, path, modes);
}

int output_lies_in(int dir, const struct stat *what)
{
	struct stat here, up;
	if (fstat(dir, &here) != 0) {
		return -errno;
	}
	int at = -1;
	for (;;) {
		if (here.st_dev == what->st_dev && here.st_ino == what->st_ino) {
			return output_fail(at, 1);
		}
		int parent = openat(at < 0 ? dir : at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		int error = parent < 0 || fstat(parent, &up) != 0 ? -errno : 0;
		if (at >= 0) {
			close(at);
		}
		at = parent;
		if (error) {
			return output_fail(at, error);
		}
		if (up.st_dev == here.st_dev && up.st_ino == here.st_ino) {
			return output_fail(at, 0);
		}
		here = up;
	}
}
