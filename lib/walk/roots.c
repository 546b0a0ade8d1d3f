/* Which of the roots given are walked, each but once. */
#include "walk/walk_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NONE SIZE_MAX

struct candidate {
	char *real; /* resolved, ending in '/'; NULL: it cannot be (the walk will say why) */
	struct fs_tree *tree;
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

static bool lies_in(const struct candidate *inner, const struct candidate *outer)
{
	return inner->tree == outer->tree && inner->real && outer->real &&
	       strncmp(inner->real, outer->real, strlen(outer->real)) == 0;
}

/* The handle of a directory by its resolved path, or -ENOTDIR or another -errno. */
static int open_resolved(struct fs_tree *tree, const char *path, struct file_meta *meta)
{
	char *name = NULL;
	int handle = tree->backend->open_root(tree, path, NULL, meta, &name);
	if (handle >= 0 && name) {
		tree->backend->close(tree, handle);
		handle = -ENOTDIR;
	}
	free(name);
	return handle;
}

/* Where devices are not known, there is one. */
static uint64_t device_of(const struct file_meta *meta)
{
	return meta->have & META_IDENTITY ? meta->dev : 0;
}

/* Would the walk of another root, `prefix` bytes of whose path lead here, show what is at `path`,
 * and enter it? Both are resolved. */
static bool shows(const struct walk *walk, struct fs_tree *tree, const char *path, size_t prefix,
        uint64_t dev)
{
	const struct spec *spec = walk->spec;
	const char *name = strrchr(path, '/') + 1, *relative = path + prefix;
	struct file_meta meta;
	int handle = open_resolved(tree, path, &meta);
	bool is_dir = handle != -ENOTDIR;
	bool shown = !(spec->skip_hidden && *name == '.') &&
	             !(walk->ignore && ignore_match(walk->ignore, relative, strlen(relative),
	                                       (size_t)(name - relative), is_dir));
	if (handle < 0) {
		return shown && !is_dir;
	}
	shown = shown && !(spec->one_file_system && device_of(&meta) != dev) &&
	        !(spec->exclude_caches && walk_tagged_cache(tree, handle, "."));
	tree->backend->close(tree, handle);
	return shown;
}

/*
 * Does the walk of `outer` show all that is in `inner`, which lies in it? Not where its
 * descent is limited, which ends it sooner: what both of them show is then shown twice.
 */
static bool covers(
        const struct walk *walk, struct fs_tree *tree, const char *outer, const char *inner)
{
	const struct spec *spec = walk->spec;
	size_t prefix = strlen(outer);
	bool leaves_out = walk->ignore || spec->skip_hidden || spec->exclude_caches ||
	                  spec->one_file_system || walk->descent != UINT64_MAX;
	if (inner[prefix] == '\0' || !leaves_out) {
		return true;
	}
	struct file_meta meta;
	int handle = walk->descent != UINT64_MAX ? -1 : open_resolved(tree, outer, &meta);
	char *path = handle < 0 ? NULL : strdup(inner);
	bool covered = path != NULL;
	for (char *end = path ? path + prefix : NULL; covered && (end = strchr(end, '/'));
	        *end++ = '/') {
		*end = '\0';
		covered = shows(walk, tree, path, prefix, device_of(&meta));
	}
	if (handle >= 0) {
		tree->backend->close(tree, handle);
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
		while (outer != NONE && !lies_in(&next, &list[outer])) {
			outer = list[outer].outer;
		}
		next.outer = outer;
		while (outer != NONE && !covers(walk, next.tree, list[outer].real, next.real)) {
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
		list[i].tree = fs_tree_at(walk->config.trees, i);
		list[i].real =
		        count > 1 ? list[i].tree->backend->resolve(list[i].tree, given->items[i])
		                  : NULL;
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
