/* A run from its making to its end. */
#include "walk/walk_internal.h"

#include <stdlib.h>

#include "base/fd.h"

static void drain_threads(struct walk *walk)
{
	struct walk_thread *first = &walk->threads[0];
	for (unsigned i = 0; i < walk_thread_count(walk); i++) {
		struct walk_thread *t = &walk->threads[i];
		void *item;
		while ((item = deque_pop(&t->deque))) {
			item_discard(first, item);
		}
		while (t->listing.suspended_count > 0) {
			item_discard(first, t->listing.suspended[--t->listing.suspended_count]);
		}
	}
}

static void drain(struct walk *walk)
{
	struct walk_thread *first = &walk->threads[0];
	void *late;
	inbox_cancel(walk);
	while ((late = inbox_take(walk)) || (late = deque_pop(&walk->inbox.waiting))) {
		item_discard(first, late);
	}
	inbox_settle(&walk->inbox);
	for (unsigned i = 0; i < walk_thread_count(walk); i++) {
		dir_drop_anchor(&walk->threads[i]);
	}
	drain_threads(walk);
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
	pthread_mutex_init(&walk->park_lock, NULL);
	pthread_mutex_init(&walk->reopen_lock, NULL);
	pthread_cond_init(&walk->park, NULL);
	inbox_init(&walk->inbox);
	walk->descent = spec_descent(walk->spec);
	int code = predicates_new(walk->spec, &walk->predicates, err);
	code = code ? code : build_ignore(walk, err);
	code = code ? code : walk_choose_roots(walk, err);
	if (!code && config->part) {
		code = part_new(walk, err);
	}
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

static void check_ledger(const struct walk *walk)
{
	struct walk_ledger ledger;
	walk_ledger(walk, &ledger);
	CHECK(ledger.entries == ledger.reported + ledger.filtered + ledger.errors);
	CHECK(ledger.directories_waiting == 0);
}

int walk_run(struct walk *walk, bool *complete, struct vega_error *err)
{
	size_t limit = fd_raise_limit();
	walk->handle_budget = limit / 2 < 16384 ? (long)(limit / 2) : 16384;
	/* A thread has a few directories open at once, and the rest of the program a few files. */
	size_t affordable = limit > 14 ? (limit - 10) / 4 : 1;
	if (walk->config.threads > affordable) {
		walk->config.threads = (unsigned)affordable;
	}
	atomic_store(&walk->outstanding, walk->roots.count);
	if (threads_begin(walk) != 0) {
		return vega_fail_nomem(err);
	}
	if (walk->part) {
		part_begin(&walk->threads[0]);
	}
	threads_run(&walk->threads[0]);
	*complete = !walk_stopping(walk);
	CHECK(!*complete || atomic_load(&walk->outstanding) == walk->threads[0].finished);
	drain(walk);
	check_ledger(walk);
	return 0;
}

bool walk_rests(const struct walk *walk, uint64_t *turns)
{
	unsigned count = walk_thread_count(walk);
	bool all = count > 0;
	*turns = count;
	for (unsigned i = 0; i < count; i++) {
		uint64_t now = atomic_load_explicit(&walk->threads[i].turns, memory_order_acquire);
		all = all && now % 2 == 0;
		*turns += now;
	}
	return all;
}

/* Lower ones first; equal ones side by side. */
static int order_of_leaving(const void *a, const void *b)
{
	const struct walk_dir *x = *(struct walk_dir *const *)a, *y = *(struct walk_dir *const *)b;
	return x->depth != y->depth    ? (x->depth < y->depth) - (x->depth > y->depth)
	       : x->serial < y->serial ? -1
	                               : x->serial > y->serial;
}

/* Those that threads are at, and all above them. NULL: no memory. */
static struct walk_dir **unanswered_dirs(const struct walk *walk, size_t *count)
{
	size_t most = 1;
	for (unsigned i = 0; i < walk_thread_count(walk); i++) {
		const struct walk_dir *dir = walk->threads[i].at;
		most += dir ? dir->depth + 1 : 0;
	}
	struct walk_dir **dirs = calloc(most, sizeof(struct walk_dir *));
	*count = 0;
	for (unsigned i = 0; i < walk_thread_count(walk) && dirs; i++) {
		for (struct walk_dir *dir = walk->threads[i].at; dir; dir = dir->parent) {
			dirs[(*count)++] = dir;
		}
	}
	return dirs;
}

void walk_abandon(struct walk *walk, struct buf *unanswered)
{
	struct path_cache paths = {.path = BUF_INIT};
	size_t count, len;
	struct walk_dir **dirs = unanswered_dirs(walk, &count);
	if (!dirs) {
		return;
	}
	qsort(dirs, count, sizeof(struct walk_dir *), order_of_leaving);
	const char *path = count ? path_of_dir(&paths, dirs[0], &len) : NULL;
	if (path) {
		buf_add(unanswered, path, len);
	}
	path_cache_release(&paths);
	for (size_t i = 0; i < count; i++) {
		atomic_fetch_add(&dirs[i]->refs, 1); /* they stay */
	}
	drain_threads(walk);
	for (size_t i = 0; i < count; i++) {
		bool again = i > 0 && dirs[i] == dirs[i - 1];
		if (!again && walk->config.visitor->leave) {
			walk->config.visitor->leave(walk->threads[0].context, dirs[i]);
		}
	}
	free(dirs);
}

const struct strlist *walk_roots(const struct walk *walk)
{
	return &walk->roots;
}

uint64_t walk_expect(const struct walk *walk, size_t root)
{
	struct fs_tree *tree = fs_tree_at(walk->config.trees, walk->root_index[root]);
	return tree->backend->expect(tree, walk->roots.items[root], walk->spec->one_file_system);
}

struct walk_thread *walk_first_thread(struct walk *walk)
{
	return &walk->threads[0];
}

void *walk_thread_context(const struct walk_thread *thread)
{
	return thread->context;
}

struct walk_thread *walk_thread_at(const struct walk *walk, unsigned index)
{
	return &walk->threads[index];
}

void walk_free(struct walk *walk)
{
	if (!walk) {
		return;
	}
	for (unsigned i = 0; i < walk->started; i++) {
		struct walk_thread *t = &walk->threads[i];
		deque_release(&t->deque);
		free(t->listing.suspended);
		free(t->listing.cursor.buffer);
		free(t->probe.buffer);
		free(t->listing.batch);
		predicate_scratch_free(t->scratch);
		path_cache_release(&t->paths);
	}
	inbox_release(&walk->inbox);
	fs_wait_watch(NULL);
	free(walk->threads);
	free(walk->root_index);
	free(walk->root_chosen);
	part_free(walk->part);
	strlist_release(&walk->roots);
	predicates_free(walk->predicates);
	ignore_free(walk->ignore);
	pthread_mutex_destroy(&walk->park_lock);
	pthread_mutex_destroy(&walk->reopen_lock);
	pthread_cond_destroy(&walk->park);
	free(walk);
}
