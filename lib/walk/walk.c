/* What a thread does, and the run from its first root to its end. */
#include "walk/walk_internal.h"

#include <stdlib.h>

#include "base/fd.h"

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
	unsigned count = walk_thread_count(walk);
	void *items[128];
	t->random = t->random * 1664525u +
	            1013904223u; /* Numerical Recipes' LCG: good enough to pick a victim */
	for (unsigned i = 0; i < count; i++) {
		unsigned victim = ((t->random >> 16) + i) % count;
		if (victim == t->index || deque_len(&walk->threads[victim].deque) == 0) {
			continue;
		}
		size_t taken = deque_steal(&walk->threads[victim].deque, items, 128);
		if (taken == 0) {
			continue;
		}
		/* The oldest last: it is the nearest to the root, and leads to the most work. */
		for (size_t a = 0, b = taken - 1; a < b; a++, b--) {
			void *swap = items[a];
			items[a] = items[b];
			items[b] = swap;
		}
		if (taken > 1 && !deque_push(&t->deque, items, taken - 1)) {
			while (taken > 1) {
				item_run(t, items[--taken]);
				queue_finished(t);
			}
			return items[0];
		}
		if (taken > 1) {
			queue_offer(t);
		}
		return items[taken - 1];
	}
	return NULL;
}

/*
 * When handles are short, every stolen directory costs a descent from far above, and its thief's
 * handles are another's evictions: then only the first thread takes from others, and they run dry
 * and are done: nobody else gives them anything.
 */
static bool may_steal(const struct walk_thread *t)
{
	return t->index == 0 || !atomic_load_explicit(&t->walk->tight, memory_order_relaxed);
}

static bool anything_to_steal(const struct walk *walk)
{
	for (unsigned i = 0; i < walk_thread_count(walk); i++) {
		if (deque_len(&walk->threads[i].deque) > 0) {
			return true;
		}
	}
	return false;
}

/* Wait for work: NULL when the walk is over. A push after `idle` rose sees it and
 * signals, unless somebody is on the way. */
static void *steal_or_park(struct walk_thread *t)
{
	struct walk *walk = t->walk;
	dir_drop_anchor(t);
	walk->config.visitor->idle(t->context);
	queue_settle(t);
	for (;;) {
		void *item = may_steal(t) ? steal(t) : NULL;
		if (item) {
			return item;
		}
		pthread_mutex_lock(&walk->park_lock);
		atomic_fetch_add_explicit(&walk->idle, 1, memory_order_seq_cst);
		atomic_store(&walk->waking, false); /* it may have been for nobody */
		while (may_steal(t) && !anything_to_steal(walk) &&
		        atomic_load(&walk->outstanding) > 0 && !walk_stopping(walk)) {
			/* The deadline is for `stop`, which a signal handler sets and nobody
			 * signals. */
			struct timespec until;
			clock_gettime(CLOCK_MONOTONIC, &until);
			until.tv_nsec += 50000000;
			until.tv_sec += until.tv_nsec / 1000000000;
			until.tv_nsec %= 1000000000;
			pthread_cond_clockwait(
			        &walk->park, &walk->park_lock, CLOCK_MONOTONIC, &until);
			atomic_store(&walk->waking, false);
		}
		atomic_fetch_sub_explicit(&walk->idle, 1, memory_order_seq_cst);
		pthread_mutex_unlock(&walk->park_lock);
		if (!may_steal(t) || atomic_load(&walk->outstanding) == 0 || walk_stopping(walk)) {
			return NULL;
		}
	}
}

unsigned walk_work(struct walk_thread *t)
{
	struct walk *walk = t->walk;
	while (!walk_stopping(walk)) {
		size_t root;
		void *item = deque_pop(&t->deque);
		if (!item && t->suspended_count > 0) {
			item = item_tagged(t->suspended[--t->suspended_count], ITEM_RESUME);
		}
		if (!item && take_root(walk, &root)) {
			item_run_root(t, root);
		} else {
			if (!item) {
				item = walk->serial ? NULL : steal_or_park(t);
			}
			if (!item) {
				return 0;
			}
			item_run(t, item);
		}
		queue_finished(t);
		unsigned wanted = threads_wanted(t);
		if (wanted) {
			return wanted;
		}
	}
	return 0;
}

static void drain(struct walk *walk)
{
	struct walk_thread *first = &walk->threads[0];
	for (unsigned i = 0; i < walk_thread_count(walk); i++) {
		struct walk_thread *t = &walk->threads[i];
		void *item;
		dir_drop_anchor(t);
		while ((item = deque_pop(&t->deque))) {
			item_discard(first, item);
		}
		while (t->suspended_count > 0) {
			item_discard(first,
			        item_tagged(t->suspended[--t->suspended_count], ITEM_RESUME));
		}
	}
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
	int code = predicates_new(walk->spec, &walk->predicates, err);
	code = code ? code : build_ignore(walk, err);
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
	threads_run(&walk->threads[0]);
	*complete = !walk_stopping(walk);
	drain(walk);
	return 0;
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

unsigned walk_thread_count(const struct walk *walk)
{
	return atomic_load_explicit(&walk->thread_count, memory_order_acquire);
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
	out->no_root = walk->roots.count > 0 && atomic_load_explicit(&walk->unopened_roots,
	                                                memory_order_relaxed) == walk->roots.count;
}

void walk_free(struct walk *walk)
{
	if (!walk) {
		return;
	}
	for (unsigned i = 0; i < walk->started; i++) {
		struct walk_thread *t = &walk->threads[i];
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
