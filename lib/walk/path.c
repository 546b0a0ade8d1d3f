/* Paths of live directories and of their entries: built only when asked for. */
#include "walk/walk_internal.h"

#include <stdlib.h>

static bool grow_chain(struct path_cache *paths, size_t depth)
{
	if (depth < paths->chain_cap) {
		return true;
	}
	size_t cap = depth * 2 + 16;
	uint64_t *chain = reallocarray(paths->chain, cap, sizeof *chain);
	if (!chain) {
		return false;
	}
	paths->chain = chain;
	paths->chain_cap = cap;
	return true;
}

/*
 * The path is kept from call to call: only what differs from the last directory's is written, from
 * the end, walking up to the nearest common ancestor. Depth first, that is a component or two.
 */
const char *path_of_dir(struct path_cache *paths, const struct walk_dir *dir, size_t *len)
{
	*len = dir->path_len;
	if (dir->depth < paths->chain_len && paths->chain[dir->depth] == dir->serial) {
		paths->chain_len = dir->depth + 1;
		paths->path.len = dir->path_len;
		return paths->path.data;
	}
	buf_clear(&paths->path);
	if (!grow_chain(paths, dir->depth) || !buf_reserve(&paths->path, dir->path_len)) {
		paths->chain_len = 0;
		return NULL;
	}
	for (const struct walk_dir *d = dir; d; d = d->parent) {
		if (d->depth < paths->chain_len && paths->chain[d->depth] == d->serial) {
			break;
		}
		size_t start = d->parent ? d->parent->path_len : 0;
		memcpy(paths->path.data + start, walk_dir_name(d), d->name_len);
		paths->path.data[d->path_len - 1] = '/';
		paths->chain[d->depth] = d->serial;
	}
	CHECK(paths->path.data[dir->path_len - 1] == '/');
	paths->chain_len = dir->depth + 1;
	paths->path.len = dir->path_len;
	return paths->path.data;
}

void path_cache_release(struct path_cache *paths)
{
	buf_release(&paths->path);
	free(paths->chain);
}

const char *walk_dir_path(struct walk_thread *t, const struct walk_dir *dir, size_t *len)
{
	return path_of_dir(&t->paths, dir, len);
}

bool walk_entry_path(const struct walk_entry *entry, const char **dir, size_t *dir_len,
        const char **name, size_t *name_len)
{
	if (entry->is_root) {
		*dir = "";
		*dir_len = 0;
		*name = walk_dir_name(entry->dir);
		*name_len = entry->dir->name_len;
		return true;
	}
	*name = entry->name;
	*name_len = entry->name_len;
	*dir = walk_dir_path(entry->thread, entry->dir, dir_len);
	return *dir != NULL;
}

const char *walk_whole_path(const struct walk_entry *entry, size_t *len)
{
	struct walk_thread *t = entry->thread;
	if (entry->is_root) {
		*len = entry->dir->name_len;
		return walk_dir_name(entry->dir);
	}
	size_t dir_len;
	if (!walk_dir_path(t, entry->dir, &dir_len)) {
		return NULL;
	}
	t->paths.path.len = dir_len;
	buf_add(&t->paths.path, entry->name, entry->name_len);
	*len = t->paths.path.len;
	return buf_cstr(&t->paths.path);
}

static size_t root_prefix(const struct walk_dir *dir)
{
	while (dir->parent) {
		dir = dir->parent;
	}
	return dir->path_len;
}

const char *walk_entry_relative(const struct walk_entry *entry, size_t *len)
{
	if (entry->is_root) {
		const char *name = entry->dir->is_file_root ? entry->name : "";
		*len = strlen(name);
		return name;
	}
	const char *path = walk_whole_path(entry, len);
	if (!path) {
		return NULL;
	}
	size_t prefix = root_prefix(entry->dir);
	*len -= prefix;
	return path + prefix;
}

/* One component against another: a directory's is followed by '/', a last one by nothing. */
static int compare_component(const char *a, bool a_last, const char *b, bool b_last)
{
	size_t at = 0;
	while (a[at] && a[at] == b[at]) {
		at++;
	}
	int x = a[at] ? (unsigned char)a[at] : a_last ? -1 : '/';
	int y = b[at] ? (unsigned char)b[at] : b_last ? -1 : '/';
	return x - y;
}

/* A path as it is printed, byte by byte. */
struct spelling {
	const struct walk_dir *dir;
	const char *name;
	uint32_t level; /* of the component that `at` is in: a root's is 0 */
	const char *at;
};

/* NULL: behind the last one. A root that is a file is printed as it was given. */
static const char *component(const struct spelling *s, uint32_t level)
{
	const struct walk_dir *dir = s->dir;
	if (level > dir->depth) {
		return level == dir->depth + 1 && !dir->is_file_root ? s->name : NULL;
	}
	while (dir->depth > level) {
		dir = dir->parent;
	}
	return walk_dir_name(dir);
}

static struct spelling spell(const struct walk_dir *dir, const char *name)
{
	struct spelling s = {.dir = dir, .name = name};
	s.at = component(&s, 0);
	return s;
}

/* The next byte, or -1 at the end. */
static int next_byte(struct spelling *s)
{
	if (*s->at) {
		return (unsigned char)*s->at++;
	}
	const char *start = component(s, s->level), *next = component(s, s->level + 1);
	if (!next) {
		return -1;
	}
	bool closed = s->at > start && s->at[-1] == '/'; /* a root that was given with a '/' */
	s->at = next;
	s->level++;
	return closed ? (unsigned char)*s->at++ : '/';
}

static int compare_spelling(struct spelling a, struct spelling b)
{
	int x, y;
	do {
		x = next_byte(&a);
		y = next_byte(&b);
	} while (x == y && x >= 0);
	return x - y;
}

int walk_path_compare(const struct walk_dir *a_dir, const char *a_name,
        const struct walk_dir *b_dir, const char *b_name)
{
	const struct walk_dir *a = a_dir, *b = b_dir;
	const char *a_leaf = a_name, *b_leaf = b_name;
	bool a_last = true, b_last = true;
	while (a != b) {
		bool up_a = !b || (a && a->depth >= b->depth);
		bool up_b = !a || (b && b->depth >= a->depth);
		if (up_a) {
			a_name = walk_dir_name(a);
			a = a->parent;
			a_last = false;
		}
		if (up_b) {
			b_name = walk_dir_name(b);
			b = b->parent;
			b_last = false;
		}
	}
	/* Roots may lie in each other, and end in '/'. */
	return a ? compare_component(a_name, a_last, b_name, b_last)
	         : compare_spelling(spell(a_dir, a_leaf), spell(b_dir, b_leaf));
}

const char *walk_base_name(const char *path, size_t *len)
{
	size_t end = strlen(path);
	while (end > 1 && path[end - 1] == '/') {
		end--;
	}
	size_t start = end;
	while (start > 0 && path[start - 1] != '/') {
		start--;
	}
	if (start == end) {
		start = end ? end - 1 : 0;
	}
	*len = end - start;
	return path + start;
}
