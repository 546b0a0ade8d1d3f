/*
 * A thread's pending work. The owner pushes and pops at the young end, thieves take half from the
 * old end. Items are opaque pointers. One lock each, taken once a directory and not once an entry,
 * and nearly always free: a thief comes only when it has nothing else to do.
 */
#ifndef VEGA_WALK_DEQUE_H
#define VEGA_WALK_DEQUE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct deque {
	pthread_mutex_t lock;
	void **items; /* a ring of cap (a power of two) */
	size_t head;  /* the oldest */
	size_t cap;
	atomic_size_t len; /* written under the lock, read by anyone */
};

int deque_init(struct deque *d);
void deque_release(struct deque *d);

/* All of them or, without memory, none (false). The last one pushed is popped first. */
bool deque_push(struct deque *d, void *const *items, size_t count);

/* The same for one item, as the oldest. */
bool deque_push_oldest(struct deque *d, void *item);

/* The youngest, or NULL. */
void *deque_pop(struct deque *d);

/* Moves up to half (at least one, at most max) of the oldest into out[]; returns how many. */
size_t deque_steal(struct deque *d, void **out, size_t max);

static inline size_t deque_len(const struct deque *d)
{
	return atomic_load_explicit(&d->len, memory_order_seq_cst);
}

#endif
