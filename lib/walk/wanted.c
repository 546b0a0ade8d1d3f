/* When there should be more than one thread, and more than there are. */
#include "walk/walk_internal.h"

#include "base/clock.h"

static bool threads_worth_it(struct walk_thread *t)
{
	const struct walk *walk = t->walk;
	if (walk->config.threads == 1) {
		return false;
	}
	size_t waiting =
	        deque_len(&t->deque) + t->listing.suspended_count + atomic_load(&walk->inbox.came);
	if (walk->config.slow_entries) { /* one may take minutes: two are enough */
		return (waiting > 0 && t->listing.parcelled > 1) ||
		       atomic_load(&walk->next_root) < walk->roots.count;
	}
	/* The entries of one directory can be shared when they are stat'ed; listing it cannot. */
	return waiting > (walk->want ? 0 : 1) && entries_so_far(t) >= TEAM_ENTRIES;
}

static unsigned ask(const struct walk *walk, unsigned now)
{
	const struct walk_config *config = &walk->config;
	unsigned wanted = config->team ? config->team(config->shared, now) : config->threads;
	return wanted < config->threads ? wanted : config->threads;
}

unsigned threads_wanted(struct walk_thread *t)
{
	struct walk *walk = t->walk;
	if (walk->serial) {
		return threads_worth_it(t) ? ask(walk, 0) : 0;
	}
	uint64_t due = atomic_load_explicit(&walk->look_ns, memory_order_relaxed);
	if (due == LOOK_NEVER) {
		return 0;
	}
	uint64_t now = coarse_ns();
	if (now < due || !atomic_compare_exchange_strong(&walk->look_ns, &due, LOOK_NEVER)) {
		return 0;
	}
	/* Who has nothing to do is not helped by more, nor is it by thieves when handles are short.
	 */
	unsigned count = walk_thread_count(walk), wanted = count;
	if (atomic_load_explicit(&walk->idle, memory_order_relaxed) == 0 &&
	        !atomic_load_explicit(&walk->tight, memory_order_relaxed)) {
		wanted = ask(walk, count);
	}
	if (wanted > count) {
		return wanted; /* nobody looks until they are there */
	}
	atomic_store(&walk->look_ns, now + LOOK_NS);
	return 0;
}
