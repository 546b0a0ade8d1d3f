/* Which of the roots given are walked, each but once. */
#include "walk/walk_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/limited.h"

#define NONE SIZE_MAX

struct candidate {
	char *real; /* resolved, ending in '/'; NULL: it cannot be (the walk will say why) */
	unsigned index;
	size_t outer; /* among the kept ones: the nearest that it lies in, or NONE */
};

static int by_path(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int order = strcmp(x->real ? x->real : "", y->real ? y->real : "");
	return order ? order : (x->index > y->index) - (x->index < y->index);
}

static int by_index(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	return (x->index > y->index) - (x->index < y->index);
}

static char *resolve(const char *path)
{
	char *real = realpath(path, NULL);
	char *closed = NULL;
	if (real && asprintf(&closed, strcmp(real, "/") ? "%s/" : "%s", real) < 0) {
		closed = NULL;
	}
	free(real);
	return closed;
}

static bool lies_in(const char *inner, const char *outer)
{
	return inner && outer && strncmp(inner, outer, strlen(outer)) == 0;
}

/* Would the walk of another root, `prefix` bytes of whose path lead here, show what is at `path`,
 * and enter it? Both are resolved. */
static bool shows(const struct walk *walk, const char *path, size_t prefix, uint64_t dev)
{
	const struct spec *spec = walk->spec;
	const struct backend *fs = fs_here();
	const char *name = strrchr(path, '/') + 1, *relative = path + prefix;
	struct file_meta meta;
	int handle = fs->open_dir(AT_FDCWD, path, &meta);
	bool is_dir = handle != -ENOTDIR;
	bool shown = !(spec->skip_hidden && *name == '.') &&
	             !(walk->ignore && ignore_match(walk->ignore, relative, strlen(relative),
	                                       (size_t)(name - relative), is_dir));
	if (handle < 0) {
		return shown && !is_dir;
	}
	shown = shown && !(spec->one_file_system && meta.dev != dev) &&
	        !(spec->exclude_caches && walk_tagged_cache(fs, handle, "."));
	fs->close(handle);
	return shown;
}

/*
 * Does the walk of `outer` show all that is in `inner`, which lies in it? Not with --max-depth,
 * which ends it sooner: what both of them show is then shown twice.
 */
static bool covers(const struct walk *walk, const char *outer, const char *inner)
{
	const struct spec *spec = walk->spec;
	const struct backend *fs = fs_here();
	size_t prefix = strlen(outer);
	bool leaves_out = walk->ignore || spec->skip_hidden || spec->exclude_caches ||
	                  spec->one_file_system || spec->max_depth.set;
	if (inner[prefix] == '\0' || !leaves_out) {
		return true;
	}
	struct file_meta meta;
	int handle = spec->max_depth.set ? -1 : fs->open_dir(AT_FDCWD, outer, &meta);
	char *path = handle < 0 ? NULL : strdup(inner);
	bool covered = path != NULL;
	for (char *end = path ? path + prefix : NULL; covered && (end = strchr(end, '/'));
	        *end++ = '/') {
		*end = '\0';
		covered = shows(walk, path, prefix, meta.dev);
	}
	if (handle >= 0) {
		fs->close(handle);
	}
	free(path);
	return covered;
}

/* In bytewise order a directory comes before all that lies in it, and that before anything else. */
static size_t drop_covered(const struct walk *walk, struct candidate *list, size_t count)
{
	qsort(list, count, sizeof *list, by_path);
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		struct candidate next = list[i];
		size_t outer = kept ? kept - 1 : NONE;
		while (outer != NONE && !lies_in(next.real, list[outer].real)) {
			outer = list[outer].outer;
		}
		next.outer = outer;
		while (outer != NONE && !covers(walk, list[outer].real, next.real)) {
			outer = list[outer].outer;
		}
		if (outer == NONE) {
			list[kept++] = next;
		} else {
			free(next.real);
		}
	}
	qsort(list, kept, sizeof *list, by_index);
	return kept;
}

int walk_choose_roots(struct walk *walk, struct vega_error *err)
{
	const struct strlist *given = &walk->spec->roots;
	struct candidate *list = calloc(given->count + 1, sizeof *list);
	walk->root_index = calloc(given->count + 1, sizeof *walk->root_index);
	if (!list || !walk->root_index) {
		free(list);
		return vega_fail_nomem(err);
	}
	size_t count = given->count;
	for (size_t i = 0; i < count; i++) {
		list[i].index = (unsigned)i;
		list[i].real = count > 1 ? resolve(given->items[i]) : NULL;
	}
	if (count > 1) {
		count = drop_covered(walk, list, count);
	}
	bool copied = true;
	for (size_t i = 0; i < count; i++) {
		walk->root_index[i] = list[i].index;
		copied = copied && strlist_add(&walk->roots, given->items[list[i].index]);
		free(list[i].real);
	}
	free(list);
	return copied ? 0 : vega_fail_nomem(err);
}
