/*
 * The way to a trusted file, one component at a time and following links by hand: what the kernel
 * would follow in one step could pass through a directory or a link of somebody else.
 */
#include "base/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#define LINKS_MAX 40

/* Where the way has come to: a directory, and what is still to come. */
struct way {
	int at;
	struct buf rest;    /* NUL-terminated */
	struct buf *passed; /* the path up to here, for a message */
	unsigned links;
};

static bool owned(const struct stat *st)
{
	return st->st_uid == 0 || st->st_uid == geteuid();
}

bool trust_is_ours(const struct stat *st)
{
	return owned(st) && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static bool passable(const struct stat *st)
{
	return S_ISLNK(st->st_mode) || (S_ISDIR(st->st_mode) && st->st_mode & S_ISVTX)
	               ? owned(st)
	               : trust_is_ours(st);
}

/* From now on at the directory `fd`. */
static void step_to(struct way *way, int fd)
{
	close(way->at);
	way->at = fd;
}

static int set_rest(struct way *way, const char *first, const char *then)
{
	struct buf rest = BUF_INIT;
	buf_printf(&rest, "%s/%s", first, then);
	if (!buf_cstr(&rest)) {
		return -ENOMEM;
	}
	buf_release(&way->rest);
	way->rest = rest;
	return 0;
}

/* Cuts the next component off the rest; NULL: there is none. */
static const char *next_name(struct way *way, char name[NAME_MAX + 1], const char **then)
{
	const char *begin = way->rest.data + strspn(way->rest.data, "/");
	size_t len = strcspn(begin, "/");
	if (!len || len > NAME_MAX) {
		return NULL;
	}
	memcpy(name, begin, len);
	name[len] = '\0';
	*then = begin + len + strspn(begin + len, "/");
	return name;
}

static int follow(struct way *way, int link, const char *then)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(link, "", target, sizeof target - 1);
	if (len < 0 || ++way->links > LINKS_MAX) {
		return len < 0 ? -errno : -ELOOP;
	}
	target[len] = '\0';
	if (*target == '/') {
		int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (root < 0) {
			return -errno;
		}
		step_to(way, root);
		buf_clear(way->passed);
	}
	return set_rest(way, target, then);
}

/* One component further. 1: `*found` is the file, and open. */
static int advance(struct way *way, int *found)
{
	char name[NAME_MAX + 1];
	struct stat st;
	const char *then = NULL;
	if (!next_name(way, name, &then)) {
		return -EISDIR;
	}
	int fd = openat(way->at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0) {
		int error = -errno;
		if (fd >= 0) {
			close(fd);
		}
		return error;
	}
	size_t before = way->passed->len;
	buf_printf(way->passed, "/%s", name);
	int result = passable(&st) ? 0 : -EPERM;
	if (result == 0 && S_ISLNK(st.st_mode)) {
		way->passed->len = before;
		result = follow(way, fd, then);
	} else if (result == 0 && (S_ISDIR(st.st_mode) || *then)) {
		step_to(way, fd);
		return set_rest(way, "", then);
	} else if (result == 0) {
		*found = openat(way->at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		result = *found < 0 ? -errno : 1;
	}
	close(fd);
	return result;
}

/* 1: `*found` is the file, and open; -EISDIR: the way ends at the directory way->at. */
static int go(struct way *way, const char *path, int *found)
{
	*way = (struct way){
	        .at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), .passed = way->passed};
	int result = way->at < 0 ? -errno : 0;
	char *here = *path == '/' ? strdup("") : getcwd(NULL, 0);
	buf_clear(way->passed);
	if (result == 0) {
		result = here ? set_rest(way, here, path) : -errno;
	}
	while (result == 0) {
		result = advance(way, found);
	}
	free(here);
	buf_release(&way->rest);
	return result;
}

static void arrive(struct way *way)
{
	if (way->at >= 0) {
		close(way->at);
	}
}

int trust_open(const char *path, struct buf *culprit)
{
	struct way way = {.passed = culprit};
	int found = -1, result = go(&way, path, &found);
	arrive(&way);
	return result == 1 ? found : result;
}

int trust_directory(const char *path, struct buf *culprit)
{
	struct way way = {.passed = culprit};
	struct stat st;
	int found = -1, result = go(&way, path, &found);
	if (result == 1) {
		close(found);
		result = -ENOTDIR;
	} else if (result == -EISDIR) {
		result = fstat(way.at, &st) != 0 ? -errno : trust_is_ours(&st) ? 0 : -EPERM;
	}
	arrive(&way);
	return result;
}
