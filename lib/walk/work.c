/* Where a thread gets its work: its own deque, a root, another thread; and how it waits. */
#include "walk/walk_internal.h"

#include <time.h>

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

/* Is there anything that this thread could do? */
static bool anything_to_do(const struct walk_thread *t)
{
	return inbox_filled(&t->walk->inbox) || (may_steal(t) && anything_to_steal(t->walk));
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
		void *item = inbox_take(walk);
		item = item || !may_steal(t) ? item : steal(t);
		if (item) {
			return item;
		}
		pthread_mutex_lock(&walk->park_lock);
		atomic_fetch_add_explicit(&walk->idle, 1, memory_order_seq_cst);
		atomic_store(&walk->waking, false); /* it may have been for nobody */
		while (may_steal(t) && !anything_to_do(t) && atomic_load(&walk->outstanding) > 0 &&
		        !walk_stopping(walk)) {
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
		void *item = inbox_take(walk);
		item = item ? item : deque_pop(&t->deque);
		item = item ? item : inbox_next_waiting(&walk->inbox);
		if (!item && t->listing.suspended_count > 0) {
			item = t->listing.suspended[--t->listing.suspended_count];
		}
		if (!item && take_root(walk, &root)) {
			item_run_root(t, root);
		} else {
			if (!item) {
				bool last = walk->serial && !inbox_expects(&walk->inbox);
				item = last ? NULL : steal_or_park(t);
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
