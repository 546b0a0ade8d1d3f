/* The team: the first thread, and those that join it. */
#include "walk/walk_internal.h"

#include <omp.h>
#include <stdlib.h>

#include "base/clock.h"

#define LEVELS 12 /* of teams in teams: how often the walk can ask for more */

static int thread_init(struct walk *walk, unsigned index)
{
	struct walk_thread *t = &walk->threads[index];
	CHECK(index < walk->config.threads);
	memset(t, 0, sizeof *t);
	walk->started = index + 1;
	t->walk = walk;
	t->index = index;
	t->random = index * 2654435761u + 1;
	t->listing.cursor.buffer = aligned_alloc(16, FS_CURSOR_BUFFER);
	t->listing.batch = malloc(sizeof *t->listing.batch);
	t->scratch = predicate_scratch_new(walk->predicates);
	if (deque_init(&t->deque) != 0 || !t->listing.cursor.buffer || !t->listing.batch ||
	        !t->scratch) {
		return VEGA_NOMEM;
	}
	t->context = walk->config.thread_begin(walk->config.shared, t);
	return t->context ? 0 : VEGA_NOMEM;
}

int threads_begin(struct walk *walk)
{
	walk->threads = aligned_alloc(WALK_PADDING, walk->config.threads * sizeof *walk->threads);
	if (!walk->threads || thread_init(walk, 0) != 0) {
		return VEGA_NOMEM;
	}
	walk->serial = true;
	fs_wait_watch(&walk->threads[0].turns);
	atomic_store(&walk->look_ns, LOOK_NEVER);
	atomic_store(&walk->thread_count, 1);
	omp_set_max_active_levels(LEVELS);
	return 0;
}

static void *pass_gate(void *gate)
{
	pthread_mutex_lock(gate);
	pthread_mutex_unlock(gate);
	return NULL;
}

/*
 * How many of the threads wanted there can be at once. OpenMP's runtime does not say: it ends the
 * process when it cannot make one.
 */
static unsigned possible_threads(unsigned wanted)
{
	pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
	pthread_t *probe = calloc(wanted, sizeof *probe);
	unsigned made = 0;
	pthread_mutex_lock(&gate);
	while (probe && made < wanted &&
	        pthread_create(&probe[made], NULL, pass_gate, &gate) == 0) {
		made++;
	}
	pthread_mutex_unlock(&gate);
	for (unsigned i = 0; i < made; i++) {
		pthread_join(probe[i], NULL);
	}
	free(probe);
	return made;
}

/*
 * Make the team as large as wanted; returns for how many there will be threads, which are looked
 * for last: while others work, they take memory, too. Those without one have nothing to do.
 */
static unsigned add_threads(struct walk *walk, unsigned wanted)
{
	unsigned before = walk_thread_count(walk), ready = before;
	while (ready < wanted && thread_init(walk, ready) == 0) {
		ready++;
	}
	unsigned more = ready > before ? possible_threads(ready - before) : 0;
	if (walk->serial) { /* later, others read it */
		walk->serial = false;
	}
	CHECK(ready >= before && ready <= walk->config.threads);
	atomic_store_explicit(&walk->thread_count, ready, memory_order_release);
	bool all = before + more == wanted && wanted < walk->config.threads;
	atomic_store(&walk->look_ns, all ? coarse_ns() + LOOK_NS : LOOK_NEVER);
	return more;
}

static void join(struct walk_thread *t)
{
	fs_wait_watch(&t->turns);
	threads_run(t);
}

/*
 * OpenMP's teams do not grow: who finds that there should be more threads leads a team of its own,
 * inside the first, of itself and the new ones, and they all work on the same deques.
 */
void threads_run(struct walk_thread *t)
{
	struct walk *walk = t->walk;
	unsigned wanted;
	while ((wanted = walk_work(t)) > 0) {
		struct walk_thread *next = &walk->threads[walk_thread_count(walk)];
		unsigned more = add_threads(walk, wanted);
#pragma omp parallel num_threads((int)more + 1)
		{
			int number = omp_get_thread_num();
			if (omp_get_num_threads() <= (int)more) { /* it may have a limit */
				atomic_store(&walk->look_ns, LOOK_NEVER);
			}
			if (number > 0) {
				join(next + number - 1);
			} else {
				threads_run(t);
			}
			fs_wait_begin(); /* for the others of the team */
		}
		fs_wait_end();
	}
}

void threads_each(struct walk *walk, unsigned wanted,
        void (*work)(struct walk_thread *t, void *context), void *context)
{
	unsigned ready = walk_thread_count(walk);
	while (ready < wanted && thread_init(walk, ready) == 0) {
		ready++;
	}
	walk->serial = walk->serial && ready == 1;
	atomic_store_explicit(&walk->thread_count, ready, memory_order_release);
	unsigned others = ready < wanted ? ready - 1 : wanted - 1;
	unsigned more = others ? possible_threads(others) : 0;
#pragma omp parallel num_threads((int)more + 1)
	{
		struct walk_thread *t = &walk->threads[omp_get_thread_num()];
		if (t->index > 0) {
			fs_wait_watch(&t->turns);
		}
		work(t, context);
		fs_wait_begin(); /* for the others of the team */
	}
	fs_wait_end();
}
