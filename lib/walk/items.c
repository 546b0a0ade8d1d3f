/* One piece of work: a root, a directory, the rest of a listing, a chunk of entries. */
#include "walk/walk_internal.h"

#include <errno.h>
#include <stdlib.h>

/* A listing is put off while this much waits in the thread's deque (memory!). */
#define BACKLOG 4096u
/* So many chunks a listing keeps waiting for others, of so many entries at least: a read of the
 * directory takes long enough for them to run dry. */
#define AHEAD 4u
#define AHEAD_ENTRIES 128u

/* Entries whose directory cannot be opened again. */
static void lose(struct walk_thread *t, struct walk_dir *dir, const struct fs_entry *entry,
        unsigned count, int errnum)
{
	for (unsigned i = 0; i < count; i++) {
		t->entry = (struct walk_entry){.thread = t,
		        .dir = dir,
		        .name = entry[i].name,
		        .name_len = entry[i].name_len};
		walk_error(&t->entry, "open", errnum, NULL);
		tally_add(&t->tallies.entries, 1);
		tally_add(&t->tallies.errors, 1);
	}
}

static void run_chunk(struct walk_thread *t, struct chunk *chunk)
{
	int handle = dir_pin(t, chunk->dir);
	if (handle < 0) {
		lose(t, chunk->dir, chunk->entry, chunk->count, -handle);
	} else {
		walk_process(t, chunk->dir, handle, chunk->entry, chunk->meta, chunk->count);
		dir_unpin(chunk->dir);
	}
	dir_unneed(t, chunk->dir);
	walk_dir_drop(t, chunk->dir);
	free(chunk);
}

static bool suspend(struct listing *listing, void *item)
{
	if (listing->suspended_count == listing->suspended_cap) {
		size_t cap = listing->suspended_cap ? listing->suspended_cap * 2 : 16;
		void **list = reallocarray(listing->suspended, cap, sizeof *list);
		if (!list) {
			return false;
		}
		listing->suspended = list;
		listing->suspended_cap = cap;
	}
	listing->suspended[listing->suspended_count++] = item;
	return true;
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

/*
 * A directory can be listed by one thread only, but its entries stat'ed by all. So while nothing
 * else waits for the others, the lister does no more than list.
 */
static bool run_ahead(struct walk_thread *t, struct walk_dir *dir)
{
	struct walk *walk = t->walk;
	const struct fs_batch *batch = t->listing.batch;
	if (!walk->want || walk->serial || (dir->tree->caps & FS_ONCE) ||
	        walk_thread_count(walk) == 1 || batch->count < AHEAD_ENTRIES ||
	        deque_len(&t->deque) >= AHEAD ||
	        !queue_chunk(t, dir, batch->entry, batch->meta, batch->count)) {
		return false;
	}
	queue_wake(walk);
	walk->config.visitor->breathe(t->context);
	return true;
}

/* List until the end; true when the rest is better put off. */
static bool list(struct walk_thread *t, struct walk_dir *dir, int handle)
{
	struct walk *walk = t->walk;
	bool slow = walk_shares_slow(walk, dir);
	uint64_t serial = t->last_serial; /* counts the directories that this listing queues */
	for (;;) {
		int error = dir->tree->backend->list(
		        dir->tree, handle, &t->listing.cursor, t->listing.batch);
		if (error) {
			walk_unlisted(t, dir, "list", -error);
			return false;
		}
		if (t->listing.batch->end || walk_stopping(walk)) {
			return false;
		}
		if (slow) {
			struct fs_batch *batch = t->listing.batch;
			walk_parcel_out(t, dir, handle, batch->entry, batch->meta, batch->count);
		} else if (!run_ahead(t, dir)) {
			walk_process(t, dir, handle, t->listing.batch->entry,
			        t->listing.batch->meta, t->listing.batch->count);
		}
		if (t->listing.cursor.at == t->listing.cursor.filled &&
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
	void *item = item_tagged(dir, ITEM_RESUME);
	bool slow = walk_shares_slow(t->walk, dir);
	queue_added(t, 1);
	bool shared = slow && deque_len(&t->deque) <= BACKLOG;
	if (shared ? deque_push(&t->deque, &item, 1) : suspend(&t->listing, item)) {
		queue_offer(t);
		return true;
	}
	queue_finished(t);
	return false;
}

/* The listing of an open directory is over. */
static void end_listing(struct walk_thread *t, struct walk_dir *dir)
{
	dir_drop_anchor(t);
	t->anchor = dir;
	if (!atomic_load_explicit(&t->walk->tight, memory_order_relaxed)) {
		dir_drop_anchor(t);
	}
}

static void end_pages(struct walk_thread *t, struct walk_dir *dir)
{
	inbox_end(&t->walk->inbox);
	dir_unpin(dir);
	dir_unneed(t, dir);
	walk_dir_drop(t, dir);
}

/* Ask for a page of a directory that is pinned for its listing and has room; it may be gone then.
 */
static void ask_page(struct walk_thread *t, struct walk_dir *dir, int handle)
{
	int error = inbox_ask(t, dir, handle);
	if (error == -EBUSY) {
		inbox_end(&t->walk->inbox);
		if (inbox_wait(t, item_tagged(dir, ITEM_RESUME), false)) {
			return;
		}
		atomic_fetch_add(&t->walk->inbox.listings, 1);
		error = -ENOMEM;
	}
	if (error) {
		walk_unlisted(t, dir, "list", -error);
		end_pages(t, dir);
	}
}

/* The next page is asked for, unless so many directories are queued that it is better put off. */
static void next_page(struct walk_thread *t, struct walk_dir *dir)
{
	struct walk *walk = t->walk;
	if (deque_len(&t->deque) + deque_len(&walk->inbox.waiting) > BACKLOG) {
		inbox_end(&walk->inbox);
		if (inbox_wait(t, item_tagged(dir, ITEM_RESUME), true)) {
			return;
		}
		atomic_fetch_add(&walk->inbox.listings, 1);
	}
	int handle = dir_pin(t, dir); /* once more than its listing does */
	CHECK(handle >= 0);
	dir_unpin(dir);
	ask_page(t, dir, handle);
}

/* The next page is on its way while this one is looked at, maybe before the first by others. */
static void run_page(struct walk_thread *t, void *item)
{
	struct walk_dir *dir;
	struct fs_page *page = inbox_open(item, &dir);
	struct fs_tree *tree = dir->tree;
	bool end = page->end || page->error;
	if (!end) {
		next_page(t, dir);
	}
	int handle = dir_pin(t, dir);
	if (handle < 0) {
		lose(t, dir, page->entry, page->count, -handle);
	} else {
		walk_spread(t, dir, handle, page->entry, page->meta, page->count);
		dir_unpin(dir);
	}
	if (page->error) {
		walk_unlisted(t, dir, "list", -page->error);
	}
	tree->backend->page_free(tree, page);
	if (end) {
		end_pages(t, dir);
	}
	dir_unneed(t, dir);
	walk_dir_drop(t, dir);
}

/* Of a tree whose listings come later: is there no room for one more, so that it waits? */
static bool must_wait(struct walk_thread *t, void *item, const struct walk_dir *dir)
{
	struct inbox *inbox = &t->walk->inbox;
	if (!(dir->tree->caps & FS_ASYNC) || inbox_begin(inbox)) {
		return false;
	}
	if (inbox_wait(t, item, false)) {
		return true;
	}
	atomic_fetch_add(&inbox->listings, 1); /* one too many is better than none */
	return false;
}

static void run_dir(struct walk_thread *t, struct walk_dir *dir, bool resume)
{
	bool async = dir->tree->caps & FS_ASYNC;
	int handle = dir_pin(t, dir);
	if (resume) {
		dir_unpin(dir); /* that of whoever put it off */
	} else if (handle >= 0 && t->walk->config.visitor->enter) {
		t->walk->config.visitor->enter(t->context, dir, handle);
	}
	if (handle < 0) {
		walk_unlisted(t, dir, "open", -handle);
		if (async) {
			inbox_end(&t->walk->inbox);
		}
		dir_unneed(t, dir);
		walk_dir_drop(t, dir);
		return;
	}
	if (async) {
		ask_page(t, dir, handle);
		return;
	}
	while (list(t, dir, handle)) {
		if (requeue(t, dir)) {
			return;
		}
	}
	t->listing.cursor.at = t->listing.cursor.filled = 0;
	end_listing(t, dir);
}

/* The rest of a stream, too, waits while there is much to do. */
static void run_source(struct walk_thread *t, struct source *source)
{
	void *item = item_tagged(source, ITEM_SOURCE);
	while (source_step(t, source)) {
		bool backlog = deque_len(&t->deque) > BACKLOG;
		queue_added(t, 1);
		if (backlog ? suspend(&t->listing, item) : deque_push(&t->deque, &item, 1)) {
			return;
		}
		queue_finished(t);
	}
	source_free(t, source);
}

static void begin_source(struct walk_thread *t, struct walk_dir *root, int handle)
{
	if (t->walk->config.visitor->enter) {
		t->walk->config.visitor->enter(t->context, root, handle);
	}
	struct source *source = source_new(t, root);
	if (!source) {
		walk_unlisted(t, root, "list", ENOMEM);
		dir_unneed(t, root);
		walk_dir_drop(t, root);
		return;
	}
	run_source(t, source);
}

static void open_and_run(struct walk_thread *t, struct walk_dir *dir)
{
	if (must_wait(t, dir, dir)) {
		return;
	}
	int error = dir_open(t, dir);
	dir_unneed(t, dir->parent);
	if (error == 0) {
		run_dir(t, dir, false);
		return;
	}
	if (dir->tree->caps & FS_ASYNC) {
		inbox_end(&t->walk->inbox);
	}
	if (error != -EXDEV) {
		walk_unlisted(t, dir, "open", -error);
	} else {
		tally_add(&t->tallies.unentered, 1);
	}
	dir_unneed(t, dir);
	walk_dir_drop(t, dir);
}

static void resume(struct walk_thread *t, struct walk_dir *dir)
{
	if (!must_wait(t, item_tagged(dir, ITEM_RESUME), dir)) {
		run_dir(t, dir, true);
	}
}

static void refuse_root(struct walk_thread *t, const char *path, int errnum)
{
	struct walk *walk = t->walk;
	bool outside = errnum == EPERM && walk->allowed && walk->allowed->count;
	const struct record error = {.type = RECORD_ERROR,
	        .op = "open",
	        .dir = "",
	        .name = path,
	        .name_len = strlen(path),
	        .errnum = errnum,
	        .message = outside ? "not beneath a directory that --root allows" : NULL};
	walk_unread(t, &error);
}

struct walk_dir *item_new_root(struct walk_thread *t, uint32_t root)
{
	const char *path = t->walk->spec->roots.items[root];
	struct walk_dir *dir = dir_new(t, NULL, path, strlen(path));
	if (dir) {
		dir->root = root;
		dir->tree = fs_tree_at(t->walk->config.trees, root);
	}
	return dir;
}

int item_open_root(struct walk_thread *t, struct walk_dir *dir, struct file_meta *meta, char **name)
{
	int handle = dir->tree->backend->open_root(
	        dir->tree, walk_dir_name(dir), t->walk->allowed, meta, name);
	if (handle < 0) {
		dir->needed = 0;
		return handle;
	}
	atomic_fetch_add(&dir->needed, 1); /* a root's handle stays open until the last drop */
	dir_set_handle(t, dir, handle);
	dir->is_file_root = *name != NULL;
	if (!*name) {
		dir_identify(dir, meta);
	}
	return handle;
}

static void enter_root(struct walk_thread *t, struct walk_dir *dir, int handle)
{
	if (dir->tree->caps & FS_STREAM) {
		begin_source(t, dir, handle);
		return;
	}
	if (dir->tree->caps & FS_ASYNC) {
		atomic_fetch_add(&t->walk->inbox.listings, 1); /* a root is never one too many */
	}
	run_dir(t, dir, false);
}

void item_run_root(struct walk_thread *t, size_t index)
{
	struct walk *walk = t->walk;
	const char *path = walk->roots.items[index];
	struct walk_dir *dir = item_new_root(t, walk->root_index[index]);
	if (!dir) {
		refuse_root(t, path, ENOMEM);
		return;
	}
	t->at = dir;
	struct file_meta meta;
	char *name = NULL;
	int handle = item_open_root(t, dir, &meta, &name);
	if (handle < 0) {
		refuse_root(t, path, -handle);
		atomic_fetch_add_explicit(&walk->unopened_roots, 1, memory_order_relaxed);
		walk_dir_drop(t, dir);
		return;
	}
	t->entry = (struct walk_entry){
	        .thread = t,
	        .dir = dir,
	        .self = name || !walk_descends(walk, 0) ? NULL : dir,
	        .dir_handle = handle,
	        .name = name ? name : path,
	        .name_len = (uint32_t)strlen(name ? name : path),
	        .is_root = true,
	        .type = file_type_of_mode(meta.mode),
	        .meta = &meta,
	        .ino = meta.have & META_IDENTITY ? meta.ino : 0,
	};
	size_t len;
	const char *base = walk_base_name(path, &len);
	bool enter = t->entry.self != NULL;
	if (name && walk->config.visitor->enter) {
		walk->config.visitor->enter(t->context, dir, handle);
	}
	tally_add(&t->tallies.entries, 1);
	if (t->entry.type == FILE_DIRECTORY && !walk_descends(walk, 0)) {
		tally_add(&t->tallies.unentered, 1);
	}
	walk_visit(t, predicates_match_name(walk->predicates, base, len, t->entry.type));
	walk->config.visitor->breathe(t->context);
	free(name);
	if (enter) {
		enter_root(t, dir, handle);
	} else {
		dir_unneed(t, dir);
		walk_dir_drop(t, dir);
	}
	t->at = NULL;
}

static struct walk_dir *dir_of_item(void *item)
{
	switch (item_kind(item)) {
	case ITEM_CHUNK:
		return ((struct chunk *)item_untagged(item))->dir;
	case ITEM_DIR:
	case ITEM_RESUME:
		return item_untagged(item);
	default:
		return NULL;
	}
}

void item_run(struct walk_thread *t, void *item)
{
	t->at = dir_of_item(item);
	switch (item_kind(item)) {
	case ITEM_CHUNK:
		run_chunk(t, item_untagged(item));
		break;
	case ITEM_RESUME:
		resume(t, item_untagged(item));
		break;
	case ITEM_PAGE:
		run_page(t, item_untagged(item));
		break;
	case ITEM_SOURCE:
		run_source(t, item_untagged(item));
		break;
	default:
		CHECK(item_kind(item) == ITEM_DIR);
		open_and_run(t, item);
	}
	t->at = NULL;
}

void item_discard(struct walk_thread *t, void *item)
{
	struct walk_dir *dir = item_untagged(item);
	struct fs_page *page;
	switch (item_kind(item)) {
	case ITEM_CHUNK:
		dir = ((struct chunk *)(void *)dir)->dir;
		free(item_untagged(item));
		break;
	case ITEM_PAGE:
		page = inbox_open(item_untagged(item), &dir);
		dir->tree->backend->page_free(dir->tree, page);
		end_pages(t, dir);
		break;
	case ITEM_RESUME:
		dir_unpin(dir);
		break;
	case ITEM_SOURCE:
		source_free(t, item_untagged(item));
		return;
	default:
		queue_abandon(t, dir);
		return;
	}
	dir_unneed(t, dir);
	walk_dir_drop(t, dir);
}
