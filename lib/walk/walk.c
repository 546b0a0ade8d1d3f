#include "walk/walk_internal.h"

#include <errno.h>
#include <limits.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fd.h"

/*
 * What a queued item is, in the low bits of its pointer.
 *  ITEM_DIR: a directory to open and list.    ITEM_RESUME: an open one, whose listing goes on.
 *  ITEM_CHUNK: entries of one directory that were listed already.
 */
enum item_tag { ITEM_DIR = 0, ITEM_RESUME = 1, ITEM_CHUNK = 2, ITEM_TAGS = 3 };

/* Entries copied out of a listing, so that any thread can go on with them. */
struct chunk {
	struct walk_dir *dir; /* referenced and needed */
	unsigned count;
	struct file_meta *meta;
	struct fs_entry entry[];
};

/* How many entries are stat'ed together, and the least that are worth handing to an idle thread. */
#define SLICE 64u
/* A listing is put off while this many directories wait in the thread's deque (memory!). */
#define BACKLOG 4096u
/* The team is formed when a walk has seen this many entries and some work waits. */
#define TEAM_ENTRIES 1500u
/* Entries whose content is read travel in small parcels, so that no thread sits on many of them. */
#define SLOW_CHUNK 16u

static inline void *tag(void *item, enum item_tag kind)
{
	return (char *)item + kind;
}

static inline enum item_tag tag_of(void *item)
{
	return (enum item_tag)((uintptr_t)item & ITEM_TAGS);
}

static inline void *untag(void *item)
{
	return (char *)item - tag_of(item);
}

static bool stopping(const struct walk *walk)
{
	return walk->config.stop &&
	       atomic_load_explicit(walk->config.stop, memory_order_relaxed) != 0;
}

/* --- Paths
 * ---------------------------------------------------------------------------------------- */

static bool grow_chain(struct walk_thread *t, size_t depth)
{
	if (depth < t->chain_cap) {
		return true;
	}
	size_t cap = depth * 2 + 16;
	uint64_t *chain = reallocarray(t->chain, cap, sizeof *chain);
	if (!chain) {
		return false;
	}
	t->chain = chain;
	t->chain_cap = cap;
	return true;
}

/*
 * The path is kept from call to call: only what differs from the last directory's is written, from
 * the end, walking up to the nearest common ancestor. Depth first, that is a component or two.
 */
const char *walk_dir_path(struct walk_thread *t, const struct walk_dir *dir, size_t *len)
{
	*len = dir->path_len;
	if (dir->depth < t->chain_len && t->chain[dir->depth] == dir->serial) {
		t->chain_len = dir->depth + 1;
		t->path.len = dir->path_len;
		return t->path.data;
	}
	buf_clear(&t->path);
	if (!grow_chain(t, dir->depth) || !buf_reserve(&t->path, dir->path_len)) {
		t->chain_len = 0;
		return NULL;
	}
	for (const struct walk_dir *d = dir; d; d = d->parent) {
		if (d->depth < t->chain_len && t->chain[d->depth] == d->serial) {
			break;
		}
		size_t start = d->parent ? d->parent->path_len : 0;
		memcpy(t->path.data + start, walk_dir_name(d), d->name_len);
		t->path.data[d->path_len - 1] = '/';
		t->chain[d->depth] = d->serial;
	}
	t->chain_len = dir->depth + 1;
	t->path.len = dir->path_len;
	return t->path.data;
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

/* The entry's whole path in t->path, behind the directory's; NUL-terminated. NULL: no memory. */
static const char *whole_path(const struct walk_entry *entry, size_t *len)
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
	t->path.len = dir_len;
	buf_add(&t->path, entry->name, entry->name_len);
	*len = t->path.len;
	return buf_cstr(&t->path);
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
	const char *path = whole_path(entry, len);
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

int walk_path_compare(
        const struct walk_dir *a, const char *a_name, const struct walk_dir *b, const char *b_name)
{
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
	return compare_component(a_name, a_last, b_name, b_last);
}

/* --- Errors
 * --------------------------------------------------------------------------------------- */

void walk_error(const struct walk_entry *entry, const char *what, int errnum, const char *message)
{
	struct walk_thread *t = entry->thread;
	const char *dir, *name;
	size_t dir_len, name_len;
	t->entry_error = true;
	if (!walk_entry_path(entry, &dir, &dir_len, &name, &name_len)) {
		dir = "";
		dir_len = 0;
	}
	t->walk->config.visitor->error(
	        t->context, what, dir, dir_len, name, name_len, errnum, message);
}

void walk_late_error(struct walk_thread *t, const char *what, const char *dir, size_t dir_len,
        const char *name, size_t name_len, int errnum, const char *message)
{
	tally_add(&t->reported, (uint64_t)-1); /* the sum over the threads is what counts */
	tally_add(&t->errors, 1);
	t->walk->config.visitor->error(
	        t->context, what, dir, dir_len, name, name_len, errnum, message);
}

/*
 * What lies in a directory and could not be listed, or in a root that could not be opened: it
 * counts as one entry, and as one error.
 */
static void unlisted(
        struct walk_thread *t, const struct walk_dir *dir, const char *what, int errnum)
{
	const char *path = "", *name = walk_dir_name(dir);
	size_t len = 0;
	if (dir->parent && !(path = walk_dir_path(t, dir->parent, &len))) {
		path = "";
	}
	t->walk->config.visitor->error(
	        t->context, what, path, len, name, dir->name_len, errnum, NULL);
	tally_add(&t->entries, 1);
	tally_add(&t->errors, 1);
}

/* --- Queueing
 * ------------------------------------------------------------------------------------- */

/* Wake parked threads when there is more in the deque than its owner is about to take. */
static void offer(struct walk_thread *t)
{
	struct walk *walk = t->walk;
	if (atomic_load_explicit(&walk->idle, memory_order_seq_cst) > 0 &&
	        deque_len(&t->deque) > 1) {
		pthread_mutex_lock(&walk->park_lock);
		pthread_cond_signal(&walk->park);
		pthread_mutex_unlock(&walk->park_lock);
	}
}

static void finished(struct walk *walk)
{
	if (atomic_fetch_sub(&walk->outstanding, 1) == 1) {
		pthread_mutex_lock(&walk->park_lock);
		pthread_cond_broadcast(&walk->park);
		pthread_mutex_unlock(&walk->park_lock);
	}
}

/* Directories that will never be opened: they and what they hold on to are let go. */
static void abandon(struct walk_thread *t, struct walk_dir *dir)
{
	dir_unneed(t, dir);
	if (dir->parent) {
		dir_unneed(t, dir->parent);
	}
	walk_dir_drop(t, dir);
}

static void push_children(struct walk_thread *t, size_t count)
{
	struct walk *walk = t->walk;
	if (count == 0) {
		return;
	}
	atomic_fetch_add(&walk->outstanding, count);
	if (!deque_push(&t->deque, t->children, count)) {
		for (size_t i = 0; i < count; i++) {
			unlisted(t, t->children[i], "list", ENOMEM);
			abandon(t, t->children[i]);
		}
		atomic_fetch_sub(&walk->outstanding, count);
		return;
	}
	offer(t);
}

static struct chunk *chunk_new(
        struct walk_dir *dir, const struct fs_entry *entry, unsigned count, bool with_meta)
{
	size_t names = 0;
	for (unsigned i = 0; i < count; i++) {
		names += entry[i].name_len + 1u;
	}
	struct chunk *chunk = malloc(sizeof *chunk + count * sizeof *entry +
	                             (with_meta ? count * sizeof(struct file_meta) : 0) + names);
	if (!chunk) {
		return NULL;
	}
	chunk->dir = dir;
	chunk->count = count;
	chunk->meta = (struct file_meta *)(chunk->entry + count);
	char *at = (char *)(chunk->meta + (with_meta ? count : 0));
	for (unsigned i = 0; i < count; i++) {
		chunk->entry[i] = entry[i];
		chunk->entry[i].name = memcpy(at, entry[i].name, entry[i].name_len + 1u);
		at += entry[i].name_len + 1u;
	}
	return chunk;
}

/* Hand entries of dir to whoever takes them; false when they stay with the caller. */
static bool push_chunk(
        struct walk_thread *t, struct walk_dir *dir, const struct fs_entry *entry, unsigned count)
{
	struct chunk *chunk = chunk_new(dir, entry, count, true);
	if (!chunk) {
		return false;
	}
	atomic_fetch_add(&dir->refs, 1);
	atomic_fetch_add(&dir->needed, 1);
	atomic_fetch_add(&t->walk->outstanding, 1);
	void *item = tag(chunk, ITEM_CHUNK);
	if (!deque_push(&t->deque, &item, 1)) {
		atomic_fetch_sub(&t->walk->outstanding, 1);
		atomic_fetch_sub(&dir->needed, 1);
		atomic_fetch_sub(&dir->refs, 1);
		free(chunk);
		return false;
	}
	return true;
}

/* --- Entries
 * -------------------------------------------------------------------------------------- */

enum entry_flags {
	ENTRY_DROPPED = 1, /* excluded, and not entered */
	ENTRY_MATCHED = 2, /* by what could be asked before stat */
	ENTRY_UNTYPED = 4, /* the listing did not say what it is */
};

static bool tagged_cache(struct walk_dir *dir, int handle, const char *name)
{
	/* https://bford.info/cachedir/: the file begins with these 43 bytes. */
	static const char signature[] = "Signature: 8a477f597d28d172789f06886806bc55";
	char path[NAME_MAX + sizeof "/CACHEDIR.TAG"], found[sizeof signature - 1];
	struct file_meta meta;
	snprintf(path, sizeof path, "%s/CACHEDIR.TAG", name);
	int file = dir->backend->open_file(handle, path, &meta);
	if (file < 0) {
		return false;
	}
	ssize_t got = dir->backend->read(file, found, sizeof found, 0);
	dir->backend->close(file);
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
	       tagged_cache(dir, handle, e->name);
}

/* What name and type say of an entry. */
static uint8_t judge(
        struct walk_thread *t, struct walk_dir *dir, int handle, const struct fs_entry *e)
{
	const struct walk *walk = t->walk;
	if (walk->filters && excluded(t, dir, handle, e)) {
		return ENTRY_DROPPED;
	}
	bool matched = predicates_match_name(
	        walk->predicates, e->name, e->name_len, (enum file_type)e->type);
	return matched ? ENTRY_MATCHED : 0;
}

/* Before stat: who is out, who may be in, and who needs to be stat'ed. Returns whether anyone does.
 */
static bool preselect(struct walk_thread *t, struct walk_dir *dir, int handle,
        struct fs_entry *entry, unsigned count)
{
	bool any = false;
	for (unsigned i = 0; i < count; i++) {
		struct fs_entry *e = &entry[i];
		e->flags = judge(t, dir, handle, e);
		bool stat = (e->flags & ENTRY_MATCHED) && t->walk->want;
		if (e->type == FILE_UNKNOWN && !(e->flags & ENTRY_DROPPED)) {
			e->flags |= ENTRY_UNTYPED;
			stat = true;
		}
		e->error = stat ? 0 : FS_SKIP_STAT;
		any = any || stat;
	}
	return any;
}

static bool empty_directory(
        struct walk_thread *t, struct walk_dir *dir, int above, const char *name)
{
	if (!t->probe.buffer && !(t->probe.buffer = malloc(FS_CURSOR_BUFFER))) {
		return false;
	}
	struct fs_batch *batch = malloc(sizeof *batch);
	int handle = batch ? dir->backend->open_dir(above, name, NULL) : -ENOMEM;
	bool empty = false;
	if (handle >= 0) {
		t->probe.at = t->probe.filled = 0;
		do {
			empty = dir->backend->list(handle, &t->probe, batch) == 0 && !batch->count;
		} while (empty && !batch->end);
		dir->backend->close(handle);
	}
	free(batch);
	return empty;
}

/* Everything that was not asked before stat. */
static bool selected(struct walk_thread *t, const struct walk_entry *entry)
{
	const struct walk *walk = t->walk;
	const struct spec *spec = walk->spec;
	if (spec->min_depth.set && entry->depth < spec->min_depth.value) {
		return false;
	}
	if (predicates_want(walk->predicates) &&
	        !predicates_match_meta(walk->predicates, entry->meta, entry->type)) {
		return false;
	}
	if (spec->empty && entry->type == FILE_DIRECTORY &&
	        !(entry->is_root
	                        ? empty_directory(t, entry->dir, entry->dir_handle, ".")
	                        : empty_directory(t, entry->dir, entry->dir_handle, entry->name))) {
		return false;
	}
	if (predicates_need_path(walk->predicates)) {
		size_t len;
		const char *path = whole_path(entry, &len);
		return path && predicates_match_path(walk->predicates, t->scratch, path, len);
	}
	return true;
}

/* Show t->entry to the visitor, and keep the ledger. */
static void visit(struct walk_thread *t)
{
	t->entry_error = false;
	bool taken = t->walk->config.visitor->entry(t->context, &t->entry);
	tally_add(t->entry_error ? &t->errors : taken ? &t->reported : &t->filtered, 1);
}

static bool descends(const struct walk *walk, uint32_t depth)
{
	return !walk->spec->max_depth.set || depth < walk->spec->max_depth.value;
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
		tally_add(&t->errors, 1);
		return NULL;
	}
	if (e->type == FILE_DIRECTORY && descends(walk, entry->depth)) {
		entry->self = dir_new(t, entry->dir, e->name, e->name_len);
		if (!entry->self) {
			walk_error(entry, "list", ENOMEM, NULL);
			tally_add(&t->errors, 1);
			return NULL;
		}
		atomic_fetch_add_explicit(&entry->dir->refs, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&entry->dir->needed, 1, memory_order_relaxed);
	}
	if ((e->flags & ENTRY_MATCHED) && (!walk->filters || selected(t, entry))) {
		visit(t);
	} else {
		tally_add(&t->filtered, 1);
	}
	return entry->self;
}

static void process_slice(struct walk_thread *t, struct walk_dir *dir, int handle,
        struct fs_entry *entry, struct file_meta *meta, unsigned count)
{
	struct walk *walk = t->walk;
	size_t children = 0;
	if (preselect(t, dir, handle, entry, count)) {
		dir->backend->stat(handle, entry, meta, 0, count, walk->want);
	}
	t->entry.thread = t;
	t->entry.dir = dir;
	t->entry.dir_handle = handle;
	t->entry.depth = dir->depth + 1;
	t->entry.is_root = false;
	tally_add(&t->entries, count);
	for (unsigned i = 0; i < count; i++) {
		struct fs_entry *e = &entry[i];
		if ((e->flags & ENTRY_UNTYPED) && e->error == 0) {
			e->flags = judge(t, dir, handle, e);
		}
		if (e->flags & ENTRY_DROPPED) {
			tally_add(&t->filtered, 1);
			continue;
		}
		struct walk_dir *child = process_entry(t, e, &meta[i]);
		if (child) {
			t->children[children++] = child;
		}
	}
	push_children(t, children);
}

/* Entries of an open directory, in slices; what an idle thread could do meanwhile is handed out. */
static void process(struct walk_thread *t, struct walk_dir *dir, int handle, struct fs_entry *entry,
        struct file_meta *meta, unsigned count)
{
	struct walk *walk = t->walk;
	bool slow = walk->config.slow_entries;
	unsigned step = slow ? 1 : SLICE;
	for (unsigned at = 0; at < count && !stopping(walk); at += step) {
		unsigned rest = count - at;
		bool hungry = atomic_load_explicit(&walk->idle, memory_order_relaxed) > 0;
		if (hungry && (slow ? rest > 1 : walk->want && rest >= 2 * SLICE)) {
			unsigned give = rest / 2;
			if (push_chunk(t, dir, entry + count - give, give)) {
				count -= give;
				rest -= give;
				pthread_mutex_lock(&walk->park_lock);
				pthread_cond_signal(&walk->park);
				pthread_mutex_unlock(&walk->park_lock);
			}
		}
		process_slice(t, dir, handle, entry + at, meta + at, rest < step ? rest : step);
		if (slow) {
			walk->config.visitor->breathe(t->context);
		}
	}
	walk->config.visitor->breathe(t->context);
}

/* --- Items
 * ---------------------------------------------------------------------------------------- */

static void run_chunk(struct walk_thread *t, struct chunk *chunk)
{
	int handle = dir_pin(t, chunk->dir);
	if (handle < 0) {
		for (unsigned i = 0; i < chunk->count; i++) {
			t->entry = (struct walk_entry){.thread = t,
			        .dir = chunk->dir,
			        .name = chunk->entry[i].name,
			        .name_len = chunk->entry[i].name_len};
			walk_error(&t->entry, "open", -handle, NULL);
			tally_add(&t->entries, 1);
			tally_add(&t->errors, 1);
		}
	} else {
		process(t, chunk->dir, handle, chunk->entry, chunk->meta, chunk->count);
		dir_unpin(chunk->dir);
	}
	dir_unneed(t, chunk->dir);
	walk_dir_drop(t, chunk->dir);
	free(chunk);
}

static bool suspend(struct walk_thread *t, struct walk_dir *dir)
{
	if (t->suspended_count == t->suspended_cap) {
		size_t cap = t->suspended_cap ? t->suspended_cap * 2 : 16;
		struct walk_dir **list = reallocarray(t->suspended, cap, sizeof *list);
		if (!list) {
			return false;
		}
		t->suspended = list;
		t->suspended_cap = cap;
	}
	t->suspended[t->suspended_count++] = dir;
	return true;
}

static uint64_t entries_so_far(const struct walk_thread *t)
{
	return atomic_load_explicit(&t->entries, memory_order_relaxed);
}

/* Worth its threads: enough was seen to expect more, and somebody else could do some of it. */
static bool team_wanted(struct walk_thread *t)
{
	return t->walk->serial && t->walk->config.threads > 1 &&
	       entries_so_far(t) >= TEAM_ENTRIES &&
	       (deque_len(&t->deque) > 1 || t->suspended_count > 0);
}

/*
 * Should the listing be put off here, between two reads of the directory? To bound memory, when it
 * has already queued many directories; and to go on with a team.
 */
static bool put_off(struct walk_thread *t, size_t queued)
{
	struct walk *walk = t->walk;
	return (queued > BACKLOG / 4 && deque_len(&t->deque) > BACKLOG) ||
	       (walk->serial && walk->config.threads > 1 && entries_so_far(t) >= TEAM_ENTRIES);
}

/* One read's worth of slow entries becomes parcels. What cannot be queued is done here. */
static void parcel_out(struct walk_thread *t, struct walk_dir *dir, int handle)
{
	struct fs_batch *batch = t->batch;
	for (unsigned at = 0; at < batch->count; at += SLOW_CHUNK) {
		unsigned rest = batch->count - at;
		unsigned count = rest < SLOW_CHUNK ? rest : SLOW_CHUNK;
		if (!push_chunk(t, dir, batch->entry + at, count)) {
			process(t, dir, handle, batch->entry + at, batch->meta + at, count);
		}
	}
	offer(t);
}

/* List until the end; true when the rest is better put off. */
static bool list(struct walk_thread *t, struct walk_dir *dir, int handle)
{
	struct walk *walk = t->walk;
	bool slow = walk->config.slow_entries && walk->thread_count > 1;
	uint64_t serial = t->last_serial; /* counts the directories that this listing queues */
	for (;;) {
		int error = dir->backend->list(handle, &t->cursor, t->batch);
		if (error) {
			unlisted(t, dir, "list", -error);
			return false;
		}
		if (t->batch->end || stopping(walk)) {
			return false;
		}
		if (slow) {
			parcel_out(t, dir, handle);
		} else {
			process(t, dir, handle, t->batch->entry, t->batch->meta, t->batch->count);
		}
		if (t->cursor.at == t->cursor.filled &&
		        (slow || put_off(t, t->last_serial - serial))) {
			return true;
		}
	}
}

/*
 * Keep the rest of a listing for later. It stays pinned: its handle knows how far the listing got.
 * Slow entries' listings can be taken over by anyone, so the directory may be gone when this
 * returns.
 */
static bool requeue(struct walk_thread *t, struct walk_dir *dir)
{
	struct walk *walk = t->walk;
	void *item = tag(dir, ITEM_RESUME);
	bool slow = walk->config.slow_entries && walk->thread_count > 1;
	atomic_fetch_add(&walk->outstanding, 1);
	if (slow ? deque_push(&t->deque, &item, 1) : suspend(t, dir)) {
		offer(t);
		return true;
	}
	atomic_fetch_sub(&walk->outstanding, 1);
	return false;
}

static void run_dir(struct walk_thread *t, struct walk_dir *dir, bool resume)
{
	int handle = dir_pin(t, dir);
	if (resume) {
		dir_unpin(dir); /* requeue()'s */
	} else if (handle >= 0 && t->walk->config.visitor->enter) {
		t->walk->config.visitor->enter(t->context, dir, handle);
	}
	if (handle < 0) {
		unlisted(t, dir, "open", -handle);
		dir_unneed(t, dir);
		walk_dir_drop(t, dir);
		return;
	}
	while (list(t, dir, handle)) {
		if (requeue(t, dir)) {
			return;
		}
	}
	t->cursor.at = t->cursor.filled = 0;
	dir_drop_anchor(t);
	t->anchor = dir;
	if (!atomic_load_explicit(&t->walk->tight, memory_order_relaxed)) {
		dir_drop_anchor(t);
	}
}

static void open_and_run(struct walk_thread *t, struct walk_dir *dir)
{
	int error = dir_open(t, dir);
	dir_unneed(t, dir->parent);
	if (error == 0) {
		run_dir(t, dir, false);
		return;
	}
	if (error != -EXDEV) {
		unlisted(t, dir, "open", -error);
	}
	dir_unneed(t, dir);
	walk_dir_drop(t, dir);
}

/* The last component, as find -name sees a root: without trailing slashes, "/" for "/". */
static const char *base_name(const char *path, size_t *len)
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

static enum file_type type_of(const struct file_meta *meta)
{
	static const uint8_t types[16] = {[1] = FILE_FIFO,
	        [2] = FILE_CHAR,
	        [4] = FILE_DIRECTORY,
	        [6] = FILE_BLOCK,
	        [8] = FILE_REGULAR,
	        [10] = FILE_SYMLINK,
	        [12] = FILE_SOCKET};
	return (enum file_type)types[meta->mode >> 12 & 15];
}

static void run_root(struct walk_thread *t, size_t index)
{
	struct walk *walk = t->walk;
	const char *path = walk->roots.items[index];
	struct walk_dir *dir = dir_new(t, NULL, path, strlen(path));
	if (!dir) {
		walk->config.visitor->error(
		        t->context, "open", "", 0, path, strlen(path), ENOMEM, NULL);
		tally_add(&t->entries, 1);
		tally_add(&t->errors, 1);
		return;
	}
	struct file_meta meta;
	char *name = NULL;
	dir->root = walk->root_index[index];
	int handle = backend_for(path, &dir->backend, NULL)
	                     ? -EINVAL
	                     : dir->backend->open_root(path, walk->allowed, &meta, &name);
	if (handle < 0) {
		unlisted(t, dir, "open", -handle);
		dir->needed = 0;
		walk_dir_drop(t, dir);
		return;
	}
	atomic_fetch_add(&dir->needed, 1); /* a root's handle stays open until the last drop */
	dir_set_handle(t, dir, handle);
	dir->is_file_root = name != NULL;
	dir->dev = name ? 0 : meta.dev;
	dir->ino = name ? 0 : meta.ino;
	t->entry = (struct walk_entry){
	        .thread = t,
	        .dir = dir,
	        .self = name || !descends(walk, 0) ? NULL : dir,
	        .dir_handle = handle,
	        .name = name ? name : path,
	        .name_len = (uint32_t)strlen(name ? name : path),
	        .is_root = true,
	        .type = type_of(&meta),
	        .meta = &meta,
	        .ino = meta.ino,
	};
	size_t len;
	const char *base = base_name(path, &len);
	bool enter = t->entry.self != NULL;
	if (name && walk->config.visitor->enter) {
		walk->config.visitor->enter(t->context, dir, handle);
	}
	tally_add(&t->entries, 1);
	if (predicates_match_name(walk->predicates, base, len, t->entry.type) &&
	        selected(t, &t->entry)) {
		visit(t);
	} else {
		tally_add(&t->filtered, 1);
	}
	walk->config.visitor->breathe(t->context);
	free(name);
	if (enter) {
		run_dir(t, dir, false);
	} else {
		dir_unneed(t, dir);
		walk_dir_drop(t, dir);
	}
}

static void run_item(struct walk_thread *t, void *item)
{
	switch (tag_of(item)) {
	case ITEM_CHUNK:
		run_chunk(t, untag(item));
		break;
	case ITEM_RESUME:
		run_dir(t, untag(item), true);
		break;
	default:
		open_and_run(t, item);
	}
}

/* After a stop: let go of an item without doing it. */
static void discard_item(struct walk_thread *t, void *item)
{
	if (tag_of(item) == ITEM_CHUNK) {
		struct chunk *chunk = untag(item);
		dir_unneed(t, chunk->dir);
		walk_dir_drop(t, chunk->dir);
		free(chunk);
	} else if (tag_of(item) == ITEM_RESUME) {
		dir_unpin(untag(item));
		dir_unneed(t, untag(item));
		walk_dir_drop(t, untag(item));
	} else {
		abandon(t, item);
	}
}

/* --- The team
 * ------------------------------------------------------------------------------------- */

static bool take_root(struct walk *walk, size_t *index)
{
	if (atomic_load_explicit(&walk->next_root, memory_order_relaxed) >= walk->roots.count) {
		return false;
	}
	*index = atomic_fetch_add(&walk->next_root, 1);
	return *index < walk->roots.count;
}

static void *steal(struct walk_thread *t)
{
	struct walk *walk = t->walk;
	void *items[128];
	t->random = t->random * 1664525u +
	            1013904223u; /* Numerical Recipes' LCG: good enough to pick a victim */
	for (unsigned i = 0; i < walk->thread_count; i++) {
		unsigned victim = ((t->random >> 16) + i) % walk->thread_count;
		if (victim == t->index || deque_len(&walk->threads[victim].deque) == 0) {
			continue;
		}
		size_t count = deque_steal(&walk->threads[victim].deque, items, 128);
		if (count == 0) {
			continue;
		}
		/* The oldest last: it is the nearest to the root, and leads to the most work. */
		for (size_t a = 0, b = count - 1; a < b; a++, b--) {
			void *swap = items[a];
			items[a] = items[b];
			items[b] = swap;
		}
		if (count > 1 && !deque_push(&t->deque, items, count - 1)) {
			while (count > 1) {
				run_item(t, items[--count]);
				finished(walk);
			}
			return items[0];
		}
		if (count > 1) {
			offer(t);
		}
		return items[count - 1];
	}
	return NULL;
}

/*
 * When handles are short, every stolen directory costs a descent from far above, and its thief's
 * handles are another's evictions: then only the first thread takes from others, and they run dry.
 */
static bool may_steal(const struct walk_thread *t)
{
	return t->index == 0 || !atomic_load_explicit(&t->walk->tight, memory_order_relaxed);
}

static bool anything_to_steal(const struct walk *walk)
{
	for (unsigned i = 0; i < walk->thread_count; i++) {
		if (deque_len(&walk->threads[i].deque) > 0) {
			return true;
		}
	}
	return false;
}

/* Wait for work: NULL when the walk is over. A push after `idle` rose sees it and signals. */
static void *steal_or_park(struct walk_thread *t)
{
	struct walk *walk = t->walk;
	dir_drop_anchor(t);
	walk->config.visitor->idle(t->context);
	for (;;) {
		void *item = may_steal(t) ? steal(t) : NULL;
		if (item) {
			return item;
		}
		pthread_mutex_lock(&walk->park_lock);
		atomic_fetch_add_explicit(&walk->idle, 1, memory_order_seq_cst);
		while (!(may_steal(t) && anything_to_steal(walk)) &&
		        atomic_load(&walk->outstanding) > 0 && !stopping(walk)) {
			/* The deadline is for `stop`, which a signal handler sets and nobody
			 * signals. */
			struct timespec until;
			clock_gettime(CLOCK_REALTIME, &until);
			until.tv_nsec += 50000000;
			until.tv_sec += until.tv_nsec / 1000000000;
			until.tv_nsec %= 1000000000;
			pthread_cond_timedwait(&walk->park, &walk->park_lock, &until);
		}
		atomic_fetch_sub_explicit(&walk->idle, 1, memory_order_seq_cst);
		pthread_mutex_unlock(&walk->park_lock);
		if (atomic_load(&walk->outstanding) == 0 || stopping(walk)) {
			return NULL;
		}
	}
}

/* Work until nothing is left; in the serial phase, until a team is wanted (true). */
static bool work(struct walk_thread *t)
{
	struct walk *walk = t->walk;
	while (!stopping(walk)) {
		size_t root;
		void *item = deque_pop(&t->deque);
		if (!item && t->suspended_count > 0) {
			item = tag(t->suspended[--t->suspended_count], ITEM_RESUME);
		}
		if (!item && take_root(walk, &root)) {
			run_root(t, root);
		} else {
			if (!item) {
				item = walk->serial ? NULL : steal_or_park(t);
			}
			if (!item) {
				return false;
			}
			run_item(t, item);
		}
		finished(walk);
		if (team_wanted(t)) {
			return true;
		}
	}
	return false;
}

static void run_team(struct walk *walk)
{
	walk->serial = false;
#pragma omp parallel num_threads((int)walk->thread_count)
	{
		/* The runtime may give fewer threads than asked for; the first are enough. */
		work(&walk->threads[omp_get_thread_num()]);
	}
}

static void drain(struct walk *walk)
{
	struct walk_thread *first = &walk->threads[0];
	for (unsigned i = 0; i < walk->thread_count; i++) {
		struct walk_thread *t = &walk->threads[i];
		void *item;
		dir_drop_anchor(t);
		while ((item = deque_pop(&t->deque))) {
			discard_item(first, item);
		}
		while (t->suspended_count > 0) {
			discard_item(first, tag(t->suspended[--t->suspended_count], ITEM_RESUME));
		}
	}
}

/* --- The run
 * -------------------------------------------------------------------------------------- */

static int thread_init(struct walk *walk, unsigned index)
{
	struct walk_thread *t = &walk->threads[index];
	t->walk = walk;
	t->index = index;
	t->random = index * 2654435761u + 1;
	t->cursor.buffer = aligned_alloc(16, FS_CURSOR_BUFFER);
	t->batch = malloc(sizeof *t->batch);
	t->scratch = predicate_scratch_new(walk->predicates);
	if (deque_init(&t->deque) != 0 || !t->cursor.buffer || !t->batch || !t->scratch) {
		return VEGA_NOMEM;
	}
	t->context = walk->config.thread_begin(walk->config.shared, t);
	return t->context ? 0 : VEGA_NOMEM;
}

static int build_ignore(struct walk *walk, struct vega_error *err)
{
	const struct strlist *patterns = &walk->spec->exclude;
	if (patterns->count == 0) {
		return 0;
	}
	walk->ignore = ignore_new();
	if (!walk->ignore) {
		return vega_fail_nomem(err);
	}
	for (size_t i = 0; i < patterns->count; i++) {
		int code = ignore_add(walk->ignore, patterns->items[i], err);
		if (code) {
			return code;
		}
	}
	return 0;
}

static int check_roots(const struct spec *spec, struct vega_error *err)
{
	const struct backend *backend;
	int code = 0;
	for (size_t i = 0; i < spec->roots.count && !code; i++) {
		code = backend_for(spec->roots.items[i], &backend, err);
	}
	return code;
}

int walk_new(const struct walk_config *config, struct walk **out, struct vega_error *err)
{
	struct walk *walk = aligned_alloc(WALK_PADDING, sizeof *walk);
	if (!walk) {
		return vega_fail_nomem(err);
	}
	memset(walk, 0, sizeof *walk);
	walk->config = *config;
	walk->spec = config->spec;
	walk->allowed = config->allowed;
	walk->thread_count = config->threads;
	pthread_mutex_init(&walk->park_lock, NULL);
	pthread_mutex_init(&walk->reopen_lock, NULL);
	pthread_cond_init(&walk->park, NULL);
	int code = predicates_new(walk->spec, &walk->predicates, err);
	code = code ? code : build_ignore(walk, err);
	code = code ? code : check_roots(walk->spec, err);
	code = code ? code : walk_choose_roots(walk, err);
	if (code) {
		walk_free(walk);
		return code;
	}
	const struct spec *spec = walk->spec;
	walk->want = config->want | predicates_want(walk->predicates);
	walk->filters = walk->ignore || spec->skip_hidden || spec->exclude_caches ||
	                !predicates_none(walk->predicates) || spec->min_depth.set || spec->empty;
	*out = walk;
	return 0;
}

static int start_threads(struct walk *walk, struct vega_error *err)
{
	size_t size = walk->thread_count * sizeof *walk->threads;
	walk->threads = aligned_alloc(WALK_PADDING, size);
	if (!walk->threads) {
		return vega_fail_nomem(err);
	}
	memset(walk->threads, 0, size);
	return 0;
}

int walk_run(struct walk *walk, bool *complete, struct vega_error *err)
{
	int code = start_threads(walk, err);
	if (code) {
		return code;
	}
	size_t limit = fd_raise_limit();
	walk->handle_budget = limit / 2 < 16384 ? (long)(limit / 2) : 16384;
	atomic_store(&walk->outstanding, walk->roots.count);
	/* A thread has a few directories open at once, and the rest of the program a few files. */
	size_t affordable = limit > 14 ? (limit - 10) / 4 : 1;
	unsigned wanted =
	        walk->thread_count < affordable ? walk->thread_count : (unsigned)affordable;
	walk->config.threads = wanted;
	walk->thread_count = 1;
	walk->serial = true;
	if (thread_init(walk, 0) != 0) {
		return vega_fail_nomem(err);
	}
	bool more = (walk->config.slow_entries && wanted > 1) || work(&walk->threads[0]);
	if (more) {
		unsigned ready = 1;
		while (ready < wanted && thread_init(walk, ready) == 0) {
			ready++;
		}
		walk->thread_count = ready; /* with less memory, fewer threads */
		run_team(walk);
	}
	*complete = !stopping(walk);
	drain(walk);
	return 0;
}

struct walk_thread *walk_first_thread(struct walk *walk)
{
	return &walk->threads[0];
}

unsigned walk_thread_count(const struct walk *walk)
{
	return walk->threads ? walk->thread_count : 0;
}

void *walk_thread_context(const struct walk_thread *thread)
{
	return thread->context;
}

struct walk_thread *walk_thread_at(const struct walk *walk, unsigned index)
{
	return &walk->threads[index];
}

void walk_ledger(const struct walk *walk, struct walk_ledger *out)
{
	*out = (struct walk_ledger){0};
	for (unsigned i = 0; i < walk_thread_count(walk); i++) {
		const struct walk_thread *t = &walk->threads[i];
		out->entries += atomic_load_explicit(&t->entries, memory_order_relaxed);
		out->reported += atomic_load_explicit(&t->reported, memory_order_relaxed);
		out->filtered += atomic_load_explicit(&t->filtered, memory_order_relaxed);
		out->errors += atomic_load_explicit(&t->errors, memory_order_relaxed);
		out->directories_waiting += deque_len(&t->deque);
	}
}

void walk_free(struct walk *walk)
{
	if (!walk) {
		return;
	}
	for (unsigned i = 0; walk->threads && i < walk->config.threads; i++) {
		struct walk_thread *t = &walk->threads[i];
		if (!t->walk) {
			break;
		}
		deque_release(&t->deque);
		free(t->suspended);
		free(t->cursor.buffer);
		free(t->probe.buffer);
		free(t->batch);
		predicate_scratch_free(t->scratch);
		buf_release(&t->path);
		free(t->chain);
	}
	free(walk->threads);
	free(walk->root_index);
	strlist_release(&walk->roots);
	predicates_free(walk->predicates);
	ignore_free(walk->ignore);
	pthread_mutex_destroy(&walk->park_lock);
	pthread_mutex_destroy(&walk->reopen_lock);
	pthread_cond_destroy(&walk->park);
	free(walk);
}
