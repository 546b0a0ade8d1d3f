/*
 * One part of a walk that is split, as data: the places where it begins and those where it is cut,
 * in the order of their components. walk/part_begin.c opens the beginnings.
 */
#include "walk/walk_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"

/* In the order of components: what is below a directory follows it at once. */
static int by_place(const void *a, const void *b)
{
	const struct walk_place *x = &((const struct part_place *)a)->at;
	const struct walk_place *y = &((const struct part_place *)b)->at;
	const unsigned char *one = (const unsigned char *)x->path;
	const unsigned char *other = (const unsigned char *)y->path;
	if (x->root != y->root) {
		return x->root < y->root ? -1 : 1;
	}
	while (*one && *one == *other) {
		one++;
		other++;
	}
	int rank = *one == '/' ? 1 : *one ? *one + 1 : 0;
	return rank - (*other == '/' ? 1 : *other ? *other + 1 : 0);
}

/* Components that are names, as a listing gives them. */
static bool is_relative(const char *path)
{
	while (*path) {
		size_t len = strcspn(path, "/");
		bool dots = path[0] == '.' && (len == 1 || (len == 2 && path[1] == '.'));
		if (len == 0 || dots || (path[len] && !path[len + 1])) {
			return false;
		}
		path += len + (path[len] != 0);
	}
	return true;
}

/* Copies the places in order, each but once; the paths stay the caller's. */
static int copy_places(const struct walk *walk, const struct walk_place *from, size_t *count,
        struct part_place **to, struct vega_error *err)
{
	*to = calloc(*count + 1, sizeof **to);
	if (!*to) {
		return vega_fail_nomem(err);
	}
	for (size_t i = 0; i < *count; i++) {
		(*to)[i] = (struct part_place){from[i], i};
		if (from[i].root >= walk->spec->roots.count || !is_relative(from[i].path)) {
			return vega_fail(err, VEGA_USAGE, "a part of the walk has no such place");
		}
	}
	qsort(*to, *count, sizeof **to, by_place);
	for (size_t i = 1; i < *count; i++) {
		if (by_place(&(*to)[i - 1], &(*to)[i]) == 0) {
			return vega_fail(err, VEGA_USAGE, "a part of the walk names a place twice");
		}
	}
	return 0;
}

static bool begins_at_root(const struct part *part, uint32_t root)
{
	const struct part_place sought = {{root, ""}, 0};
	return bsearch(&sought, part->begin, part->begin_count, sizeof sought, by_place) != NULL;
}

/* Of the roots of the whole walk, those that the part begins at. */
static int choose_roots(struct walk *walk, struct vega_error *err)
{
	struct strlist kept = {0};
	bool copied = true;
	for (size_t i = 0; i < walk->roots.count; i++) {
		uint32_t root = walk->root_index[i];
		walk->root_chosen[root] = true;
		if (begins_at_root(walk->part, root)) {
			walk->root_index[kept.count] = root;
			copied = copied && strlist_add(&kept, walk->roots.items[i]);
		}
	}
	walk->roots_chosen = walk->roots.count;
	strlist_release(&walk->roots);
	walk->roots = kept;
	return copied ? 0 : vega_fail_nomem(err);
}

int part_new(struct walk *walk, struct vega_error *err)
{
	const struct walk_part *wanted = walk->config.part;
	walk->root_chosen = calloc(walk->spec->roots.count + 1, sizeof *walk->root_chosen);
	walk->part = calloc(1, sizeof *walk->part);
	if (!walk->root_chosen || !walk->part) {
		return vega_fail_nomem(err);
	}
	struct part *part = walk->part;
	part->begin_count = wanted->begin_count;
	part->cut_count = wanted->cut_count;
	part->met = calloc(part->cut_count + 1, sizeof *part->met);
	int code = part->met ? 0 : vega_fail_nomem(err);
	code = code ? code
	            : copy_places(walk, wanted->begin, &part->begin_count, &part->begin, err);
	code = code ? code : copy_places(walk, wanted->cut, &part->cut_count, &part->cut, err);
	return code ? code : choose_roots(walk, err);
}

void part_free(struct part *part)
{
	if (part) {
		free(part->begin);
		free(part->cut);
		free(part->met);
		free(part);
	}
}

size_t walk_roots_chosen(const struct walk *walk)
{
	return walk->roots_chosen;
}

bool walk_root_chosen(const struct walk *walk, uint32_t root)
{
	return walk->root_chosen[root];
}

bool walk_part_met(const struct walk *walk, size_t cut)
{
	return atomic_load_explicit(&walk->part->met[cut], memory_order_relaxed);
}

bool part_cuts(struct walk_thread *t, const struct walk_entry *entry)
{
	struct part *part = t->walk->part;
	size_t len;
	if (entry->dir->tree->caps & FS_STREAM) {
		return false; /* a stream has one beginning */
	}
	const char *path = part->cut_count ? walk_entry_relative(entry, &len) : "";
	if (!path) {
		walk_unlisted(t, entry->self, "list", ENOMEM);
		queue_abandon(t, entry->self);
		return true;
	}
	const struct part_place sought = {{entry->dir->root, path}, 0};
	const struct part_place *cut =
	        bsearch(&sought, part->cut, part->cut_count, sizeof sought, by_place);
	if (cut) {
		atomic_store_explicit(&part->met[cut->index], true, memory_order_relaxed);
		entry->self->is_shared = true;
		queue_abandon(t, entry->self);
	}
	return cut != NULL;
}
