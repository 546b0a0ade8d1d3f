/* From a listed name to the visitor: exclusion, predicates, stat, the ledger. */
#include "walk/walk_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* How many entries are stat'ed together, and the least that are worth handing to an idle thread. */
#define SLICE 64u

/* Entries whose content is read travel in small parcels, so that no thread sits on many of them. */
#define SLOW_CHUNK 16u

enum entry_flags {
	ENTRY_DROPPED = 1, /* excluded, and not entered */
	ENTRY_MATCHED = 2, /* by what could be asked before stat */
	ENTRY_UNTYPED = 4, /* the listing did not say what it is */
};

bool walk_tagged_cache(struct fs_tree *tree, int handle, const char *name)
{
	/* https://bford.info/cachedir/: the file begins with these 43 bytes. */
	static const char signature[] = "Signature: 8a477f597d28d172789f06886806bc55";
	char path[NAME_MAX + sizeof "/CACHEDIR.TAG"], found[sizeof signature - 1];
	struct file_meta meta;
	snprintf(path, sizeof path, "%s/CACHEDIR.TAG", name);
	int file = tree->backend->open_file(tree, handle, path, &meta);
	if (file < 0) {
		return false;
	}
	ssize_t got = tree->backend->read(tree, file, found, sizeof found, 0);
	tree->backend->close(tree, file);
	return got == (ssize_t)sizeof found && memcmp(found, signature, sizeof found) == 0;
}

static bool ignored(struct walk_thread *t, struct walk_dir *dir, const struct fs_entry *e)
{
	const struct ignore *ignore = t->walk->ignore;
	bool is_dir = e->type == FILE_DIRECTORY;
	if (ignore_names_only(ignore)) {
		return ignore_match(ignore, e->name, e->name_len, 0, is_dir);
	}
	struct walk_entry entry = {
	        .thread = t, .dir = dir, .name = e->name, .name_len = e->name_len};
	size_t len;
	const char *path = walk_entry_relative(&entry, &len);
	return path && ignore_match(ignore, path, len, len - e->name_len, is_dir);
}

/* Left out by name, and then not entered either. */
static bool excluded(
        struct walk_thread *t, struct walk_dir *dir, int handle, const struct fs_entry *e)
{
	const struct spec *spec = t->walk->spec;
	if (spec->skip_hidden && e->name[0] == '.') {
		return true;
	}
	if (t->walk->ignore && ignored(t, dir, e)) {
		return true;
	}
	return spec->exclude_caches && e->type == FILE_DIRECTORY &&
	       walk_tagged_cache(dir->tree, handle, e->name);
}

/* What name and type say of an entry. */
static uint8_t judge(
        struct walk_thread *t, struct walk_dir *dir, int handle, const struct fs_entry *e)
{
	const struct walk *walk = t->walk;
	if (excluded(t, dir, handle, e)) {
		return ENTRY_DROPPED;
	}
	bool matched = predicates_match_name(
	        walk->predicates, e->name, e->name_len, (enum file_type)e->type);
	return matched ? ENTRY_MATCHED : 0;
}

/*
 * Before stat: which entries are out, which may be in, and which need to be stat'ed, because the
 * listing left open what can be known and is wanted. Returns whether any does.
 */
static bool preselect(struct walk_thread *t, struct walk_dir *dir, int handle,
        struct fs_entry *entry, const struct file_meta *meta, unsigned count, unsigned want)
{
	const bool filters = t->walk->filters;
	bool any = false;
	for (unsigned i = 0; i < count; i++) {
		struct fs_entry *e = &entry[i];
		e->flags = filters ? judge(t, dir, handle, e) : ENTRY_MATCHED;
		bool stat = want && (e->flags & ENTRY_MATCHED) && (want & ~meta[i].have);
		if (e->type == FILE_UNKNOWN && !(e->flags & ENTRY_DROPPED)) {
			e->flags |= ENTRY_UNTYPED;
			stat = true;
		}
		e->error = stat ? 0 : FS_SKIP_STAT;
		any = any || stat;
	}
	return any;
}

/* What cannot be looked into is an error of the entry. */
static bool empty_directory(struct walk_thread *t, const struct walk_entry *entry)
{
	struct fs_tree *tree = entry->dir->tree;
	if (!t->probe.buffer) {
		t->probe.buffer = malloc(FS_CURSOR_BUFFER);
	}
	struct fs_batch *batch = t->probe.buffer ? malloc(sizeof *batch) : NULL;
	const char *name = entry->is_root ? "." : entry->name;
	int handle = batch ? tree->backend->open_dir(tree, entry->dir_handle, name, NULL) : -ENOMEM;
	int error = handle < 0 ? handle : 0;
	if (handle >= 0) {
		t->probe.at = t->probe.filled = 0;
		do {
			error = tree->backend->list(tree, handle, &t->probe, batch);
		} while (!error && !batch->count && !batch->end);
		tree->backend->close(tree, handle);
	}
	bool empty = !error && !batch->count;
	free(batch);
	if (error) {
		walk_error(entry, "list", -error, NULL);
	}
	return empty;
}

static bool is_empty(struct predicate_entry *asked)
{
	const struct walk_entry *entry = asked->context;
	return empty_directory(entry->thread, entry);
}

/* With --not and --or, all is asked again: the name alone may have decided nothing. */
static bool selected_by_groups(struct walk_thread *t, const struct walk_entry *entry)
{
	struct predicate_entry asked = {.name = entry->name,
	        .name_len = entry->name_len,
	        .type = entry->type,
	        .meta = entry->meta,
	        .scratch = t->scratch,
	        .is_empty = is_empty,
	        .context = (void *)(uintptr_t)entry};
	asked.path = walk_whole_path(entry, &asked.path_len);
	if (!asked.path) {
		walk_error(entry, "path", ENOMEM, NULL);
		return false;
	}
	if (entry->is_root) {
		asked.name = walk_base_name(asked.path, &asked.name_len);
	}
	return predicates_match_groups(t->walk->predicates, &asked);
}

/* Everything that is asked of an entry after stat. */
static bool selected(struct walk_thread *t, const struct walk_entry *entry)
{
	const struct walk *walk = t->walk;
	const struct spec *spec = walk->spec;
	if (spec->min_depth.set && entry->depth < spec->min_depth.value) {
		return false;
	}
	if (predicates_grouped(walk->predicates)) {
		return selected_by_groups(t, entry);
	}
	if (predicates_want(walk->predicates) &&
	        !predicates_match_meta(walk->predicates, entry->meta, entry->type)) {
		return false;
	}
	if (predicates_need_path(walk->predicates)) {
		size_t len;
		const char *path = walk_whole_path(entry, &len);
		if (!path) {
			walk_error(entry, "path", ENOMEM, NULL);
		}
		if (!path || !predicates_match_path(walk->predicates, t->scratch, path, len)) {
			return false;
		}
	}
	return !spec->empty || entry->type != FILE_DIRECTORY || empty_directory(t, entry);
}

void walk_visit(struct walk_thread *t, bool matched)
{
	const struct walk *walk = t->walk;
	t->entry_error = false;
	CHECK(t->entry.thread == t && t->entry.type != FILE_UNKNOWN);
	bool wanted = matched && (!walk->filters || selected(t, &t->entry));
	bool taken = wanted && walk->config.visitor->entry(t->context, &t->entry);
	if (!wanted && !t->entry_error) {
		tally_add(&t->tallies.left_out, 1);
	}
	tally_add(t->entry_error ? &t->tallies.errors
	          : taken        ? &t->tallies.reported
	                         : &t->tallies.filtered,
	        1);
}

bool walk_descends(const struct walk *walk, uint32_t depth)
{
	return depth < walk->descent;
}

/* One entry after stat. Returns the directory to enter, or NULL. */
static struct walk_dir *process_entry(
        struct walk_thread *t, struct fs_entry *e, struct file_meta *meta)
{
	struct walk *walk = t->walk;
	struct walk_entry *entry = &t->entry;
	entry->name = e->name;
	entry->name_len = e->name_len;
	entry->type = (enum file_type)e->type;
	entry->meta = meta;
	entry->ino = e->ino;
	entry->self = NULL;
	if (e->error > 0) {
		walk_error(entry, "stat", e->error, NULL);
		tally_add(&t->tallies.errors, 1);
		return NULL;
	}
	if (e->type == FILE_DIRECTORY && !walk_descends(walk, entry->depth)) {
		tally_add(&t->tallies.unentered, 1);
	} else if (e->type == FILE_DIRECTORY) {
		entry->self = dir_new(t, entry->dir, e->name, e->name_len);
		if (!entry->self) {
			walk_error(entry, "list", ENOMEM, NULL);
			tally_add(&t->tallies.errors, 1);
			return NULL;
		}
		atomic_fetch_add_explicit(&entry->dir->refs, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&entry->dir->needed, 1, memory_order_relaxed);
	}
	walk_visit(t, e->flags & ENTRY_MATCHED);
	return entry->self && walk->part && part_cuts(t, entry) ? NULL : entry->self;
}

/* Directories to be entered are put into t->children; returns how many. */
static size_t process_slice(struct walk_thread *t, struct walk_dir *dir, int handle,
        struct fs_entry *entry, struct file_meta *meta, unsigned count)
{
	struct walk *walk = t->walk;
	size_t children = 0;
	unsigned want = walk->want & dir->tree->fields;
	if (preselect(t, dir, handle, entry, meta, count, want)) {
		dir->tree->backend->stat(dir->tree, handle, entry, meta, 0, count, want);
	}
	t->entry.thread = t;
	t->entry.dir = dir;
	t->entry.dir_handle = handle;
	t->entry.depth = dir->depth + 1;
	t->entry.is_root = false;
	tally_add(&t->tallies.entries, count);
	for (unsigned i = 0; i < count; i++) {
		struct fs_entry *e = &entry[i];
		if ((e->flags & ENTRY_UNTYPED) && e->error == 0 && walk->filters) {
			e->flags = judge(t, dir, handle, e);
		}
		if (e->flags & ENTRY_DROPPED) {
			tally_add(&t->tallies.filtered, 1);
			tally_add(&t->tallies.left_out, 1);
			tally_add(&t->tallies.unentered, e->type == FILE_DIRECTORY);
			continue;
		}
		struct walk_dir *child = process_entry(t, e, &meta[i]);
		if (child) {
			t->children[children++] = child;
		}
	}
	return children;
}

struct walk_dir *walk_offer(struct walk_thread *t, struct walk_dir *dir, int handle,
        struct fs_entry *entry, struct file_meta *meta)
{
	return process_slice(t, dir, handle, entry, meta, 1) ? t->children[0] : NULL;
}

void walk_process(struct walk_thread *t, struct walk_dir *dir, int handle, struct fs_entry *entry,
        struct file_meta *meta, unsigned count)
{
	struct walk *walk = t->walk;
	bool slow = walk->config.slow_entries;
	unsigned slice = walk->config.slice ? walk->config.slice : SLICE;
	unsigned step = slow ? 1 : slice;
	bool travels = !(dir->tree->caps & FS_ONCE);
	for (unsigned at = 0; at < count && !walk_stopping(walk); at += step) {
		unsigned rest = count - at;
		bool hungry = atomic_load_explicit(&walk->idle, memory_order_relaxed) > 0;
		if (hungry && travels && (slow ? rest > 1 : walk->want && rest >= 2 * SLICE)) {
			unsigned give = rest / 2;
			if (queue_chunk(t, dir, entry + count - give, meta + count - give, give)) {
				count -= give;
				rest -= give;
				queue_wake(walk);
			}
		}
		unsigned few = rest < step ? rest : step;
		queue_children(t, process_slice(t, dir, handle, entry + at, meta + at, few));
		if (step < SLICE) {
			walk->config.visitor->breathe(t->context);
		}
	}
	walk->config.visitor->breathe(t->context);
}

/* One read's worth of slow entries becomes parcels. What cannot be queued is done here. */
void walk_parcel_out(struct walk_thread *t, struct walk_dir *dir, int handle,
        struct fs_entry *entry, struct file_meta *meta, unsigned all)
{
	for (unsigned at = 0; at < all; at += SLOW_CHUNK) {
		unsigned rest = all - at;
		unsigned count = rest < SLOW_CHUNK ? rest : SLOW_CHUNK;
		if (!queue_chunk(t, dir, entry + at, meta + at, count)) {
			walk_process(t, dir, handle, entry + at, meta + at, count);
		}
	}
	t->listing.parcelled += all;
	queue_offer(t);
}

void walk_spread(struct walk_thread *t, struct walk_dir *dir, int handle, struct fs_entry *entry,
        struct file_meta *meta, unsigned count)
{
	if (walk_shares_slow(t->walk, dir)) {
		walk_parcel_out(t, dir, handle, entry, meta, count);
	} else {
		walk_process(t, dir, handle, entry, meta, count);
	}
}
