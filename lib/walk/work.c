/*
 * Where a thread gets its work, and how it waits for some.
 *
 * A thread takes, in this order: a page that has come (inbox.c), the youngest item of its own
 * deque, a directory that waited for room, a listing that it has put off, a root, half of the
 * oldest items of another thread. When there is none of these it parks until there is, or until the
 * walk is over.
 *
 * Parking must not miss a push, and pushing must not cost a lock. So each side writes first and
 * looks second, in one order for all (seq_cst):
 *
 *       the thread that parks                     the thread that pushes
 *       ---------------------                     ----------------------
 *   P1  idle++                                W1  len of its deque (or `came` of the inbox)
 *   P2  looks at every deque, the inbox       W2  looks at idle: 0? then nobody is woken
 *   P3  waits on `park`                       W3  takes park_lock, signals `park`
 *
 *   P1 P2 W1 W2 W3   P2 sees nothing, W2 sees idle: W3 signals. P holds park_lock from P1 until it
 *                    waits, so W3 cannot come between P2 and P3.
 *   W1 W2 P1 P2      W2 sees nobody. P2 sees the push.
 *   P1 W1 P2 W2      P2 sees the push and goes to get it. W3 wakes somebody for nothing.
 *
 * In no order does P2 miss W1 while W2 misses P1.
 *
 * Waking costs more than most directories, so only one thread is on its way at a time: a pusher
 * that finds `waking` set leaves it at that. Whoever has been woken clears it before it looks at
 * all deques, and wakes the next one if it leaves something (queue_offer). A thread that parks
 * clears it, too: the signal may have been for one that no longer needed it, and a flag that stayed
 * up would silence all pushers:
 *
 *       A (parked)        B                          C
 *                         pushes, sets waking,
 *                         signals A
 *                         pops its own push again
 *                         parks: clears waking
 *                                                    pushes, finds it clear, signals B
 *       wakes, finds C's push or nothing, clears waking, parks
 *
 * The walk is over when walk->outstanding is 0. It counts the items that are queued or being worked
 * on, the roots that nobody has taken, and what the threads have in `finished`: items that are done
 * but not yet subtracted. A thread sets those against the items that it adds (queue_added), so a
 * directory with one child costs no write to the shared word, and settles the rest before it looks
 * for work elsewhere (queue_settle). The count is thus never too small, only too large by what
 * others have in `finished`, and each of them settles before it parks. So the last thread that runs
 * dry brings it to 0, and wakes all:
 *
 *       A: runs d1, pushes d2, d3   finished 0, outstanding 1 + 2 = 3 until d1 is done
 *       A: d1 is done               finished 1
 *       B: steals d2, d2 is done    B's finished 1, outstanding still 3
 *       B: runs dry, settles        outstanding 2; B parks
 *       A: runs d3, runs dry        finished 2: settles, outstanding 0, wakes B; both are done
 *
 * A listing that pages are awaited for is counted from its request on, so 0 is not reached while a
 * tree owes a page. `stop` is set by signal handlers, which may not signal a condition: parked
 * threads look at it every 50 ms.
 */
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
		CHECK(t->finished == 0);
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

/* Wait, with park_lock held, until something may have changed. */
static void park(struct walk *walk)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += 50000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_clockwait(&walk->park, &walk->park_lock, CLOCK_MONOTONIC, &until);
	atomic_store(&walk->waking, false);
}

/* Wait for work: NULL when the walk is over, for this thread. */
static void *steal_or_park(struct walk_thread *t)
{
	struct walk *walk = t->walk;
	dir_drop_anchor(t);
	walk->config.visitor->idle(t->context);
	queue_settle(t);
	CHECK(deque_len(&t->deque) == 0 && t->listing.suspended_count == 0);
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
			park(walk);
			if (t->index == 0 && inbox_expects(&walk->inbox)) {
				pthread_mutex_unlock(&walk->park_lock);
				walk->config.visitor->breathe(t->context); /* all may wait here */
				pthread_mutex_lock(&walk->park_lock);
			}
		}
		unsigned idle = atomic_fetch_sub_explicit(&walk->idle, 1, memory_order_seq_cst);
		CHECK(idle > 0);
		(void)idle;
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
