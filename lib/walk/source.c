/*
 * The second way into a walk: a tree (FS_STREAM) that tells all that lies below a root in one
 * stream of paths with metadata, as an archive, a flat object listing, a saved scan or an inventory
 * does.
 *
 * A stack holds the directories on the way to the last entry, opened and pinned like those that a
 * thread lists, so the visitor sees what it would see of a walk: each directory's entry, enter(),
 * its entries, and leave(). A path that does not lie in the directory on top ends that one.
 * Directories between the top and the path that were not named are made up: nothing is known of
 * them but their names. A directory that a walk would not enter (excluded, too deep, on another
 * file system) is on the stack without a walk_dir, and all below it is passed over.
 *
 * One call of list() is one step, an item of work like the rest of a listing (ITEM_SOURCE), so a
 * stream can be put off while there is a backlog and others join the team. Entries next to each
 * other in one directory are looked at together and may be handed to other threads, unless the
 * stream has their content only now (FS_ONCE).
 */
#include "walk/walk_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

struct level {
	struct walk_dir *dir; /* listed; NULL: not entered, and what is below is passed over */
	int handle;
	size_t end; /* of its path in source.path, with the '/' */
};

struct source {
	struct fs_tree *tree;
	struct fs_cursor cursor;
	struct buf path; /* of the directory on top, below the root, ending in '/' */
	struct buf name; /* of a directory that is made up */
	struct level *level;
	size_t depth, cap; /* level[0] is the root */
};

static struct level *top(const struct source *s)
{
	return &s->level[s->depth - 1];
}

static void pop(struct walk_thread *t, struct source *s)
{
	struct walk_dir *dir = top(s)->dir;
	CHECK(s->depth > 0);
	s->depth--;
	s->path.len = s->depth ? top(s)->end : 0;
	if (dir) {
		dir_unpin(dir);
		dir_unneed(t, dir);
		walk_dir_drop(t, dir);
	}
}

void source_free(struct walk_thread *t, struct source *s)
{
	while (s->depth > 0) {
		pop(t, s);
	}
	free(s->level);
	free(s->cursor.buffer);
	buf_release(&s->path);
	buf_release(&s->name);
	free(s);
}

/* One level more; false: no memory, and nothing has changed. */
static bool push(struct source *s, struct walk_dir *dir, int handle, const char *name, size_t len)
{
	if (s->depth == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 16;
		struct level *level = reallocarray(s->level, cap, sizeof *level);
		if (!level) {
			return false;
		}
		s->level = level;
		s->cap = cap;
	}
	size_t end = s->path.len + (s->depth ? len + 1 : 0);
	if (!buf_reserve(&s->path, end + 1)) {
		return false;
	}
	if (s->depth) {
		buf_add(&s->path, name, len);
		buf_add_char(&s->path, '/');
	}
	CHECK(s->path.len == end);
	s->level[s->depth++] = (struct level){dir, handle, end};
	return true;
}

struct source *source_new(struct walk_thread *t, struct walk_dir *root)
{
	struct source *s = calloc(1, sizeof *s);
	if (!s) {
		return NULL;
	}
	s->tree = root->tree;
	s->path = s->name = (struct buf)BUF_INIT;
	s->cursor.buffer = aligned_alloc(16, FS_CURSOR_BUFFER);
	int handle = dir_pin(t, root);
	CHECK(handle >= 0); /* a root's is never closed early */
	if (!s->cursor.buffer || !push(s, root, handle, "", 0)) {
		dir_unpin(root);
		source_free(t, s);
		return NULL;
	}
	return s;
}

/* Open a directory whose entry was shown, as open_and_run() does; false: it is not entered. */
static bool enter(struct walk_thread *t, struct walk_dir *dir, int *handle)
{
	int error = dir_open(t, dir);
	dir_unneed(t, dir->parent);
	*handle = error ? error : dir_pin(t, dir);
	if (*handle < 0) {
		if (error != -EXDEV) {
			walk_unlisted(t, dir, "open", -*handle);
		} else {
			tally_add(&t->tallies.unentered, 1);
		}
		dir_unneed(t, dir);
		walk_dir_drop(t, dir);
		return false;
	}
	if (t->walk->config.visitor->enter) {
		t->walk->config.visitor->enter(t->context, dir, *handle);
	}
	return true;
}

/* A directory on top of the stack, named by the stream or made up. False: no memory. */
static bool descend(
        struct walk_thread *t, struct source *s, struct fs_entry *e, struct file_meta *meta)
{
	struct walk_dir *child = NULL;
	int handle = -1;
	if (top(s)->dir) {
		child = walk_offer(t, top(s)->dir, top(s)->handle, e, meta);
	}
	if (child && !enter(t, child, &handle)) {
		child = NULL;
	}
	if (push(s, child, handle, e->name, e->name_len)) {
		return true;
	}
	if (child) {
		walk_unlisted(t, child, "list", ENOMEM);
		dir_unpin(child);
		dir_unneed(t, child);
		walk_dir_drop(t, child);
	}
	return false;
}

static bool make_up(struct walk_thread *t, struct source *s, const char *name, size_t len)
{
	struct file_meta meta = {.have = 0, .mode = S_IFDIR};
	buf_clear(&s->name);
	buf_add(&s->name, name, len);
	struct fs_entry e = {
	        .name = buf_cstr(&s->name), .name_len = (uint16_t)len, .type = FILE_DIRECTORY};
	return e.name && descend(t, s, &e, &meta);
}

/* Does the directory on top hold what has that path, at whatever depth? */
static bool holds(const struct source *s, const char *path, size_t len)
{
	size_t end = top(s)->end;
	return end <= len && memcmp(path, s->path.data, end) == 0;
}

/* A directory that was made up, and is named only now that its entries have come? */
static bool named_late(const struct source *s, const char *path, size_t len)
{
	for (size_t i = 1; i < s->depth; i++) {
		if (s->level[i].end == len + 1 && memcmp(path, s->path.data, len) == 0) {
			return true;
		}
	}
	return false;
}

/* Make the directory that the path lies in the one on top. Returns the path's last component; NULL:
 * no memory. */
static const char *lead_to(struct walk_thread *t, struct source *s, const struct fs_entry *e)
{
	const char *path = e->name;
	while (!holds(s, path, e->name_len)) {
		pop(t, s);
	}
	const char *name = path + top(s)->end;
	for (const char *slash; (slash = strchr(name, '/')); name = slash + 1) {
		if (!make_up(t, s, name, (size_t)(slash - name))) {
			return NULL;
		}
	}
	return name;
}

/* So many entries from the first on, which is no directory, lie in the directory on top; their
 * names are made relative to it. */
static unsigned take_run(const struct source *s, struct fs_entry *entry, unsigned count)
{
	unsigned run = 0;
	size_t end = top(s)->end;
	for (; run < count; run++) {
		struct fs_entry *e = &entry[run];
		if (e->type == FILE_DIRECTORY || !holds(s, e->name, e->name_len) ||
		        strchr(e->name + end, '/')) {
			break;
		}
		e->name += end;
		e->name_len = (uint16_t)(e->name_len - end);
	}
	return run;
}

static void lose(struct walk_thread *t, const struct fs_entry *e)
{
	const struct record error = {.type = RECORD_ERROR,
	        .op = "list",
	        .dir = "",
	        .name = e->name,
	        .name_len = e->name_len,
	        .errnum = ENOMEM};
	walk_unread(t, &error);
}

/* The first of these entries, and those that are best looked at with it; returns how many. */
static unsigned process(struct walk_thread *t, struct source *s, struct fs_entry *e,
        struct file_meta *meta, unsigned count)
{
	if (e->type == FILE_DIRECTORY && named_late(s, e->name, e->name_len)) {
		return 1;
	}
	const char *name = lead_to(t, s, e);
	if (!name) {
		lose(t, e);
		return 1;
	}
	if (e->type == FILE_DIRECTORY) {
		e->name_len = (uint16_t)(e->name_len - (name - e->name));
		e->name = name;
		descend(t, s, e, meta);
		return 1;
	}
	unsigned run = take_run(s, e, count);
	CHECK(run > 0);
	if (top(s)->dir) {
		walk_spread(t, top(s)->dir, top(s)->handle, e, meta, run);
	}
	return run;
}

bool source_step(struct walk_thread *t, struct source *s)
{
	const struct level *root = &s->level[0];
	struct fs_batch *batch = t->listing.batch;
	int error = s->tree->backend->list(s->tree, root->handle, &s->cursor, batch);
	if (error) {
		walk_unlisted(t, root->dir, "list", -error);
		return false;
	}
	for (unsigned at = 0; at < batch->count && !walk_stopping(t->walk);) {
		at += process(t, s, &batch->entry[at], &batch->meta[at], batch->count - at);
	}
	t->walk->config.visitor->breathe(t->context);
	return !batch->end && !walk_stopping(t->walk);
}
