/* The trees of a run: a backend for each root by its scheme, and the ceiling in front of its tree.
 */
#include "fs/backend.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "fs/limited.h"

const struct backend *const backends[] = {&fs_local, NULL};

struct fs_trees {
	struct fs_tree *given;
	size_t count;
	struct fs_tree **behind;    /* of each root */
	struct fs_tree **asked;     /* of each root: the same, or the front of it */
	struct fs_ceiling *ceiling; /* NULL: none */
	struct fs_tree **front;     /* one for each tree behind */
	size_t front_count;
};

/* By the root's scheme; what has none is local. VEGA_USAGE for an unknown scheme. */
static int backend_for(const char *root, const struct backend **backend, struct vega_error *err)
{
	size_t scheme = strspn(root, "abcdefghijklmnopqrstuvwxyz0123456789+.-");
	*backend = &fs_local;
	if (scheme == 0 || strncmp(root + scheme, "://", 3) != 0) {
		return 0;
	}
	for (size_t i = 0; backends[i]; i++) {
		if (strlen(backends[i]->scheme) == scheme &&
		        strncmp(backends[i]->scheme, root, scheme) == 0) {
			*backend = backends[i];
			return 0;
		}
	}
	return vega_fail(err, VEGA_USAGE,
	        "%s: this VegaFS reads local paths only; write ./%s for a file of that name", root,
	        root);
}

static int make_tree(
        struct fs_trees *trees, const char *root, struct fs_tree **tree, struct vega_error *err)
{
	const struct backend *backend;
	if (trees->given) {
		*tree = trees->given;
		return 0;
	}
	int code = backend_for(root, &backend, err);
	return code ? code : backend->tree_new(root, tree, err);
}

/* The tree in front of that one, which roots that share the one behind share, too. */
static struct fs_tree *front_of(struct fs_trees *trees, struct fs_tree *behind)
{
	for (size_t i = 0; i < trees->front_count; i++) {
		if (fs_limited_behind(trees->front[i]) == behind) {
			return trees->front[i];
		}
	}
	struct fs_tree *front = fs_limited_new(behind, trees->ceiling);
	if (front) {
		trees->front[trees->front_count++] = front;
	}
	return front;
}

static int add_tree(struct fs_trees *trees, const char *root, struct vega_error *err)
{
	struct fs_tree *tree = NULL;
	int code = make_tree(trees, root, &tree, err);
	if (code) {
		return code;
	}
	size_t index = trees->count++;
	trees->behind[index] = tree;
	trees->asked[index] = trees->ceiling ? front_of(trees, tree) : tree;
	return trees->asked[index] ? 0 : vega_fail_nomem(err);
}

int fs_trees_new(const struct fs_setting *setting, struct fs_trees **out, struct vega_error *err)
{
	struct fs_trees *trees = calloc(1, sizeof *trees);
	if (!trees) {
		return vega_fail_nomem(err);
	}
	size_t most = setting->roots->count + 1;
	trees->given = setting->given;
	trees->behind = calloc(most, sizeof(struct fs_tree *));
	trees->asked = calloc(most, sizeof(struct fs_tree *));
	bool ready = trees->behind && trees->asked;
	if (setting->max_iops) {
		trees->ceiling = fs_ceiling_new(setting->max_iops, setting->stop);
		trees->front = calloc(most, sizeof(struct fs_tree *));
		ready = ready && trees->ceiling && trees->front;
	}
	int code = ready ? 0 : vega_fail_nomem(err);
	for (size_t i = 0; i < setting->roots->count && !code; i++) {
		code = add_tree(trees, setting->roots->items[i], err);
	}
	if (code) {
		fs_trees_free(trees);
		return code;
	}
	*out = trees;
	return 0;
}

void fs_trees_free(struct fs_trees *trees)
{
	if (!trees) {
		return;
	}
	for (size_t i = 0; i < trees->front_count; i++) {
		fs_limited_free(trees->front[i]);
	}
	for (size_t i = 0; i < trees->count && !trees->given; i++) {
		trees->behind[i]->backend->tree_free(trees->behind[i]);
	}
	fs_ceiling_free(trees->ceiling);
	free(trees->front);
	free(trees->behind);
	free(trees->asked);
	free(trees);
}

struct fs_tree *fs_tree_at(const struct fs_trees *trees, size_t root)
{
	CHECK(root < trees->count);
	return trees->asked[root];
}
