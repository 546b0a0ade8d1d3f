/* The tree of the largest directories, drawn with branches, shares and bars. */
#include "record/tree.h"

#include <stdlib.h>

#include "base/check.h"
#include "record/line.h"
#include "record/order.h"
#include "record/record_internal.h"

#define TREE_LEVELS 64

struct node {
	char *path;
	size_t len;
	unsigned __int128 bytes, files, directories;
	bool is_root;
	struct node *above;                    /* the directory that it lies in */
	size_t below;                          /* directories that lie in it */
	struct node *only;                     /* the last of them; and then the end of its chain */
	bool joined;                           /* a later one of its chain is drawn */
	struct node *parent, *child, *sibling; /* as drawn: a root has none but the top */
	struct node *last_child;
};

struct tree {
	struct node *nodes;  /* in path order */
	struct node **order; /* the largest first */
	size_t count;
	struct node top; /* whose children are the roots */
};

static int compare_paths(const void *left, const void *right)
{
	const struct node *a = left, *b = right;
	return path_order(a->path, a->len, b->path, b->len);
}

static int compare_bytes(const void *left, const void *right)
{
	const struct node *a = *(struct node *const *)left, *b = *(struct node *const *)right;
	if (a->bytes != b->bytes) {
		return a->bytes < b->bytes ? 1 : -1;
	}
	return (a > b) - (a < b);
}

static int larger_first(const void *left, const void *right)
{
	const struct node *a = left, *b = right;
	if (a->is_root != b->is_root) {
		return a->is_root ? -1 : 1;
	}
	return a->bytes != b->bytes ? (a->bytes < b->bytes ? 1 : -1) : compare_paths(a, b);
}

static bool beneath(const struct node *node, const struct node *parent)
{
	return node->len > parent->len && memcmp(node->path, parent->path, parent->len) == 0 &&
	       (parent->path[parent->len - 1] == '/' || node->path[parent->len] == '/');
}

static size_t count_items(struct scan_value array)
{
	struct scan_value item;
	size_t count = 0;
	for (size_t offset = 0; scan_item(array, &offset, &item);) {
		count++;
	}
	return count;
}

static void read_node(struct node *node, struct scan_value item, const struct measure *measure)
{
	const char *const keys[] = {"depth", measure->bytes, measure->count, "directories"};
	struct scan_value values[4];
	struct buf path = BUF_INIT;
	scan_members(item, keys, 4, values);
	record_add_path(&path, item, "path");
	node->len = path.len;
	node->path = buf_detach(&path);
	node->is_root = values[0].len == 1 && *values[0].at == '0';
	node->bytes = scan_count(values[1]);
	node->files = scan_count(values[2]);
	node->directories = scan_count(values[3]);
}

static bool read_nodes(
        struct tree *tree, struct scan_value directories, const struct measure *measure)
{
	struct scan_value item;
	size_t count = count_items(directories);
	tree->nodes = calloc(count, sizeof *tree->nodes);
	tree->order = calloc(count, sizeof *tree->order);
	if (!tree->nodes || !tree->order) {
		return false;
	}
	for (size_t offset = 0; scan_item(directories, &offset, &item);) {
		CHECK(tree->count < count);
		struct node *node = &tree->nodes[tree->count];
		read_node(node, item, measure);
		if (!node->path) {
			return false;
		}
		if (node->len) {
			tree->count++;
		} else {
			free(node->path);
		}
	}
	return true;
}

static void add_child(struct node *parent, struct node *child)
{
	child->sibling = NULL;
	if (parent->last_child) {
		parent->last_child->sibling = child;
	} else {
		parent->child = child;
	}
	parent->last_child = child;
}

/* Keep the roots and the largest. A directory is no smaller than what is in it, and comes before
 * it.
 */
static void keep_largest(struct tree *tree, size_t limit)
{
	qsort(tree->nodes, tree->count, sizeof *tree->nodes, larger_first);
	while (tree->count > limit) {
		free(tree->nodes[--tree->count].path);
	}
}

/* The directory that each lies in. */
static void find_above(struct tree *tree)
{
	struct node *before = &tree->top;
	qsort(tree->nodes, tree->count, sizeof *tree->nodes, compare_paths);
	for (size_t i = 0; i < tree->count; i++) {
		struct node *node = &tree->nodes[i], *above = before;
		while (above != &tree->top && !beneath(node, above)) {
			above = above->above;
		}
		node->above = above;
		before = node;
	}
}

/* Is there nothing to see in the directory but the one in it? */
static bool only_holds(const struct node *node, const struct node *inner)
{
	return node->bytes == inner->bytes ||
	       (node->files == inner->files && inner->directories > 0 &&
	               node->directories == inner->directories + 1);
}

/* Of each chain, keep the last directory, with the numbers of the first. */
static void join_chains(struct tree *tree)
{
	size_t kept = 0;
	find_above(tree);
	for (size_t i = 0; i < tree->count; i++) {
		struct node *node = &tree->nodes[i];
		if (!node->is_root) {
			node->above->below++;
			node->above->only = node;
		}
	}
	for (size_t i = tree->count; i-- > 0;) {
		struct node *node = &tree->nodes[i], *inner = node->only;
		if (node->below != 1 || !only_holds(node, inner)) {
			continue;
		}
		struct node *end = inner->joined ? inner->only : inner;
		end->bytes = node->bytes;
		end->files = node->files;
		end->is_root = node->is_root;
		node->only = end;
		node->joined = true;
	}
	for (size_t i = 0; i < tree->count; i++) {
		if (tree->nodes[i].joined) {
			free(tree->nodes[i].path);
		} else {
			tree->nodes[kept++] = tree->nodes[i];
		}
	}
	tree->count = kept;
}

static void link_nodes(struct tree *tree)
{
	find_above(tree);
	for (size_t i = 0; i < tree->count; i++) {
		struct node *node = &tree->nodes[i], *above = node->above;
		node->parent = node->is_root ? &tree->top : above;
		tree->order[i] = node;
	}
	qsort(tree->order, tree->count, sizeof(struct node *), compare_bytes);
	for (size_t i = 0; i < tree->count; i++) {
		add_child(tree->order[i]->parent, tree->order[i]);
	}
	for (struct node *root = tree->top.child; root; root = root->sibling) {
		tree->top.bytes += root->bytes;
	}
}

static struct node *next_node(const struct node *node)
{
	if (node->child) {
		return node->child;
	}
	while (node && !node->sibling) {
		node = node->parent;
	}
	return node ? node->sibling : NULL;
}

/* The part of the path that the parent does not show. */
static const char *node_name(const struct node *node, size_t *len)
{
	const char *name = node->path;
	*len = node->len;
	if (node->parent->path) {
		name += node->parent->len;
		*len -= node->parent->len;
		while (*len > 1 && *name == '/') {
			name++;
			(*len)--;
		}
	}
	return name;
}

static size_t node_level(const struct node *node)
{
	size_t level = 0;
	for (; node->parent->path; node = node->parent) {
		level++;
	}
	return level;
}

/* Columns of the parts of each line; a part of no columns is left out. */
struct layout {
	size_t share, files, name, bar;
	size_t step;   /* of the branches: 3, or 1 where there is only room to indent */
	size_t levels; /* most branches before a name */
};

#define GAP 2

/* Columns of the branches before a name; where some are cut off, that takes one step more. */
static size_t branch_columns(size_t level, const struct layout *layout)
{
	return layout->step * (level > layout->levels ? layout->levels + 1 : level);
}

/* Names get what they need, up to three fifths of the room; the bars get the rest. */
static struct layout lay_out(const struct tree *tree, const struct format_options *options)
{
	struct layout layout = {0};
	size_t width = options->width, wanted = 0;
	layout.share = width >= NARROW ? 5 : 0;
	layout.files = width >= 96 ? 12 : 0;
	size_t before = SIZE_COLUMNS + layout.share + layout.files + GAP;
	size_t room = width > before + 4 ? width - before : 4;
	size_t most = width >= 50 ? room * 3 / 5 : room;
	layout.step = width >= NARROW ? 3 : 1;
	layout.levels = most / (2 * layout.step);
	layout.levels = layout.levels < TREE_LEVELS ? layout.levels : TREE_LEVELS;
	for (size_t i = 0; i < tree->count; i++) {
		size_t len;
		const char *name = node_name(&tree->nodes[i], &len);
		size_t columns = branch_columns(node_level(&tree->nodes[i]), &layout) +
		                 name_columns(options, name, len);
		wanted = columns > wanted ? columns : wanted;
	}
	layout.name = wanted < most ? wanted : most;
	layout.bar = width >= 50 ? room - layout.name - GAP : 0;
	return layout;
}

static void draw_heading(struct buf *out, const struct format_options *options,
        const struct layout *layout, const char *title, const struct measure *measure)
{
	struct line line = {.text = BUF_INIT};
	if (layout->share) {
		line_add_right(&line, options, STYLE_TITLE, measure->bytes_title, SIZE_COLUMNS);
		line_pad(&line, SIZE_COLUMNS + layout->share);
	}
	if (layout->files) {
		line_add_right(&line, options, STYLE_TITLE, measure->count_title, layout->files);
	}
	if (line.columns) {
		line_pad(&line, line.columns + GAP);
	}
	line_add(&line, options, STYLE_TITLE, title);
	line_end(&line, out);
	buf_release(&line.text);
}

/* The branches before a name. Those of a deep node are cut on the left. */
static void add_branches(struct line *line, const struct format_options *options,
        const struct node *node, const struct layout *layout)
{
	if (layout->step == 1) {
		line_pad(line, line->columns + branch_columns(node_level(node), layout));
		return;
	}
	bool later[TREE_LEVELS]; /* from the node up: does a sibling follow? */
	size_t count = 0;
	for (; node->parent->path && count < layout->levels; node = node->parent) {
		later[count++] = node->sibling;
	}
	if (node->parent->path) {
		line_add(line, options, STYLE_DIM, options->utf8 ? "…  " : "~  ");
	}
	while (count-- > 0) {
		const char *drawn, *plain;
		if (count == 0) {
			drawn = later[0] ? "├─ " : "└─ ";
			plain = later[0] ? "|- " : "`- ";
		} else {
			drawn = later[count] ? "│  " : "   ";
			plain = later[count] ? "|  " : "   ";
		}
		line_add(line, options, STYLE_DIM, options->utf8 ? drawn : plain);
	}
}

static void draw_node(struct line *line, const struct format_options *options,
        const struct node *node, const struct layout *layout, unsigned __int128 total)
{
	double share = share_of(node->bytes, total);
	double whole = node->parent->path ? share_of(node->parent->bytes, total) : 0;
	size_t len;
	const char *name = node_name(node, &len);
	line_add_size(line, options, node->bytes, SIZE_COLUMNS);
	if (layout->share) {
		line_pad(line, line->columns + 1);
		line_add_share(line, options, share);
	}
	if (layout->files) {
		line_add_count(line, options, node->files, layout->files);
	}
	line_pad(line, line->columns + GAP);
	size_t start = line->columns;
	add_branches(line, options, node, layout);
	size_t used = line->columns - start;
	line_add_name(line, options, STYLE_NAME, name, len,
	        layout->name > used ? layout->name - used : 1, 0.5);
	if (layout->bar) {
		line_pad(line, start + layout->name + GAP);
		line_add_bar(line, options, share, whole, layout->bar);
	}
}

static void release_tree(struct tree *tree)
{
	for (size_t i = 0; i < tree->count; i++) {
		free(tree->nodes[i].path);
	}
	free(tree->nodes);
	free(tree->order);
}

size_t tree_draw(struct buf *out, const struct format_options *options,
        struct scan_value directories, const char *title, const struct measure *measure,
        unsigned __int128 total, size_t limit)
{
	struct tree tree = {0};
	size_t offset = 0;
	if (!scan_item(directories, &offset, &(struct scan_value){0})) {
		return 0;
	}
	if (!read_nodes(&tree, directories, measure)) {
		out->failed = true;
		release_tree(&tree);
		return 0;
	}
	join_chains(&tree);
	keep_largest(&tree, limit);
	link_nodes(&tree);
	tree.top.bytes = tree.top.bytes < total ? total : tree.top.bytes;
	struct layout layout = lay_out(&tree, options);
	draw_heading(out, options, &layout, title, measure);
	struct line line = {.text = BUF_INIT};
	for (const struct node *node = tree.top.child; node; node = next_node(node)) {
		draw_node(&line, options, node, &layout, tree.top.bytes);
		line_end(&line, out);
	}
	size_t rows = tree.count;
	buf_release(&line.text);
	release_tree(&tree);
	return rows;
}
