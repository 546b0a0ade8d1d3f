/* The output root: the deepest directory of its path that exists is opened and judged at once, and
 * the rest is made with the first file. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/output_internal.h"

struct output_root {
	int anchor;     /* the deepest directory that existed */
	char *missing;  /* what was missing below it; NULL when the anchor is the root */
	atomic_int dir; /* the root; -1 until it exists */
	pthread_mutex_t creating;
	bool unnamed; /* /proc is there, so that an unnamed file can be given its name */
	struct output_traits traits;
};

int output_root_inside(const struct output_root *root, const char *path)
{
	struct stat what;
	if (stat(path, &what) != 0) {
		return -errno;
	}
	return S_ISDIR(what.st_mode) ? output_lies_in(root->anchor, &what) : 0;
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
	return output_fail(dir, output_lies_in(dir, &what));
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
		fd = open(cut ? prefix : ".", OUTPUT_OPEN_DIRECTORY);
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
		return output_fail(fd, -ENOMEM);
	}
	squeeze(*missing);
	if (!output_relative_valid(*missing)) { /* ".." below what does not exist */
		free(*missing);
		*missing = NULL;
		return output_fail(fd, -ENOENT);
	}
	return fd;
}

static int check_allowed(int dir, const struct strlist *allowed)
{
	int result = allowed && allowed->count ? -EPERM : 0;
	for (size_t i = 0; result && i < allowed->count; i++) {
		struct stat what;
		if (stat(allowed->items[i], &what) == 0 && output_lies_in(dir, &what) == 1) {
			result = 0;
		}
	}
	return result;
}

/* Takes over both, also on failure: NULL. */
static struct output_root *new_root(int anchor, char *missing)
{
	struct output_root *root = calloc(1, sizeof *root);
	if (!root) {
		free(missing);
		close(anchor);
		return NULL;
	}
	root->anchor = anchor;
	root->missing = missing;
	atomic_init(&root->dir, missing ? -1 : anchor);
	pthread_mutex_init(&root->creating, NULL);
	pthread_mutex_init(&root->traits.lock, NULL);
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
		return output_fail(anchor, code);
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
	pthread_mutex_destroy(&root->traits.lock);
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
		dir = output_open_below(root->anchor, root->missing, output_umask_if(create));
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
	if (*relative && !output_relative_valid(relative)) {
		return -EINVAL;
	}
	return base < 0 ? base : output_open_below(base, relative, output_umask_if(create));
}

int output_root_enter(
        struct output_root *root, const char *name, bool create, struct output_root **out)
{
	*out = NULL;
	int base = root_dir(root, create);
	int dir = base < 0 ? base : output_open_component(base, name, 0700, create);
	if (dir >= 0 && create && fsync(base) != 0 && !output_is_unsupported(errno)) {
		return output_fail(dir, -errno);
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
	if (*relative && !output_relative_valid(relative)) {
		return -EINVAL;
	}
	int dir = base < 0 ? base : output_open_below(base, relative, modes);
	if (dir < 0) {
		return dir;
	}
	close(dir);
	return 0;
}

int output_open_holder(struct output_root *root, const char *relative, bool create, char **name)
{
	*name = NULL;
	if (!output_relative_valid(relative)) {
		return -EINVAL;
	}
	int base = root_dir(root, create);
	if (base < 0) {
		return base;
	}
	const char *slash = strrchr(relative, '/');
	char *dir = strndup(relative, slash ? (size_t)(slash - relative) : 0);
	*name = strdup(slash ? slash + 1 : relative);
	int fd = dir && *name ? output_open_below(base, dir, output_umask_if(create)) : -ENOMEM;
	free(dir);
	if (fd < 0) {
		free(*name);
		*name = NULL;
	}
	return fd;
}

struct output_traits *output_root_traits(struct output_root *root)
{
	return &root->traits;
}

bool output_root_unnamed(const struct output_root *root)
{
	return root->unnamed;
}
