/* The visit of a stage: depth first, without recursion, by descriptors; no link is followed, and a
 * directory that was moved, or is not ours, ends it. */
#include "fs/stage_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/strlist.h"

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

/* A directory on the way down to the one at hand. */
struct level {
	struct strlist below; /* its directories */
	size_t next;          /* the one to visit then */
	size_t path;          /* the length of its own path */
	dev_t dev;            /* what it is, since ".." may lead elsewhere when it was moved */
	ino_t ino;
};

struct tree {
	const struct stage_visit *visit;
	int dir;     /* at hand */
	uid_t owner; /* of all directories */
	struct buf path;
	struct level *levels;
	size_t depth, room;
};

static bool is_directory(int dir, const struct dirent *entry)
{
	struct stat st;
	if (entry->d_type != DT_UNKNOWN) {
		return entry->d_type == DT_DIR;
	}
	return fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static int visit_entry(struct tree *tree, struct level *level, const struct dirent *entry)
{
	const char *name = entry->d_name;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		return 0;
	}
	if (is_directory(tree->dir, entry)) {
		return strlist_add(&level->below, name) ? 0 : -ENOMEM;
	}
	const char *path = buf_cstr(&tree->path);
	return path ? tree->visit->file(tree->visit->context, tree->dir, path, name) : -ENOMEM;
}

/* Visit the files of the directory at hand, and note its directories. */
static int visit_files(struct tree *tree, struct level *level)
{
	int fd = openat(tree->dir, ".", OPEN_DIRECTORY);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	if (!stream) {
		int failed = errno;
		if (fd >= 0) {
			close(fd);
		}
		return -failed;
	}
	const struct dirent *entry;
	int error = 0;
	while (!error && (errno = 0, entry = readdir(stream))) {
		error = visit_entry(tree, level, entry);
	}
	error = error || entry ? error : -errno;
	closedir(stream);
	int ended = tree->visit->files_end ? tree->visit->files_end(tree->visit->context) : 0;
	return error ? error : ended;
}

/* Go into the directory that is open as dir (taken over). */
static int descend(struct tree *tree, int dir, size_t path)
{
	if (tree->depth == tree->room) {
		size_t room = tree->room ? tree->room * 2 : 16;
		struct level *levels = realloc(tree->levels, room * sizeof *levels);
		if (!levels) {
			close(dir);
			return -ENOMEM;
		}
		tree->levels = levels;
		tree->room = room;
	}
	struct stat st;
	if (fstat(dir, &st) != 0) {
		int error = -errno;
		close(dir);
		return error;
	}
	CHECK(tree->depth < tree->room);
	if (tree->depth == 0) {
		tree->owner = st.st_uid;
	} else if (st.st_uid != tree->owner) {
		close(dir);
		return -EPERM;
	}
	struct level *level = &tree->levels[tree->depth++];
	*level = (struct level){.path = path, .dev = st.st_dev, .ino = st.st_ino};
	if (tree->dir >= 0) {
		close(tree->dir);
	}
	tree->dir = dir;
	return visit_files(tree, level);
}

static int descend_to(struct tree *tree, const char *name)
{
	int dir = openat(tree->dir, name, OPEN_DIRECTORY);
	if (dir < 0) {
		return errno == ENOENT ? 0 : -errno; /* another process is publishing, too */
	}
	if (tree->path.len) {
		buf_add_char(&tree->path, '/');
	}
	buf_add_str(&tree->path, name);
	return descend(tree, dir, tree->path.len);
}

static int ascend(struct tree *tree)
{
	CHECK(tree->depth > 0);
	strlist_release(&tree->levels[--tree->depth].below);
	if (tree->depth == 0) {
		return 0;
	}
	const struct level *up = &tree->levels[tree->depth - 1];
	struct stat st;
	int dir = openat(tree->dir, "..", OPEN_DIRECTORY);
	if (dir < 0) {
		return -errno;
	}
	if (fstat(dir, &st) != 0 || st.st_dev != up->dev || st.st_ino != up->ino) {
		close(dir);
		return -ESTALE;
	}
	close(tree->dir);
	tree->dir = dir;
	tree->path.len = up->path;
	return tree->visit->leave(tree->visit->context, dir, up->below.items[up->next - 1]);
}

int stage_visit(int top, const struct stage_visit *visit)
{
	struct tree tree = {.visit = visit, .dir = -1};
	int error = descend(&tree, top, 0);
	while (!error && tree.depth) {
		struct level *level = &tree.levels[tree.depth - 1];
		error = level->next < level->below.count
		                ? descend_to(&tree, level->below.items[level->next++])
		                : ascend(&tree);
	}
	while (tree.depth) {
		strlist_release(&tree.levels[--tree.depth].below);
	}
	if (tree.dir >= 0) {
		close(tree.dir);
	}
	buf_release(&tree.path);
	free(tree.levels);
	return error;
}
