/* The checks of a run without the run. */
#include "engine/run_internal.h"

#include <stdlib.h>

static int open_and_close_root(const struct spec *spec, const struct fs_trees *trees, size_t index,
        const struct strlist *allowed, struct vega_error *err)
{
	struct fs_tree *tree = fs_tree_at(trees, index);
	const char *root = spec->roots.items[index];
	struct file_meta meta;
	char *name = NULL;
	int handle = tree->backend->open_root(tree, root, allowed, &meta, &name);
	free(name);
	if (handle < 0) {
		return vega_fail_errno(err, VEGA_USAGE, -handle, "%s", root);
	}
	tree->backend->close(tree, handle);
	return 0;
}

int engine_check(const struct spec *spec, const struct strlist *allowed, struct vega_error *err)
{
	struct fs_trees *trees = NULL;
	const struct fs_setting setting = {.roots = &spec->roots};
	int code = fs_trees_new(&setting, &trees, err);
	if (code) {
		return code;
	}
	const struct walk_config config = {.spec = spec,
	        .trees = trees,
	        .allowed = allowed,
	        .threads = 1,
	        .visitor = &run_visitor};
	struct walk *walk = NULL;
	code = walk_new(&config, &walk, err);
	walk_free(walk);
	for (size_t i = 0; i < spec->roots.count && !code; i++) {
		code = open_and_close_root(spec, trees, i, allowed, err);
	}
	fs_trees_free(trees);
	return code;
}
