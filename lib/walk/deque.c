/* The deque of one thread: a ring that grows, under a lock that is nearly always free. */
#include "walk/deque.h"

#include <stdlib.h>

#include "base/check.h"

int deque_init(struct deque *d)
{
	d->items = NULL;
	d->head = d->cap = 0;
	atomic_init(&d->len, 0);
	return pthread_mutex_init(&d->lock, NULL);
}

void deque_release(struct deque *d)
{
	free(d->items);
	pthread_mutex_destroy(&d->lock);
}

static bool grow(struct deque *d, size_t len, size_t more)
{
	size_t cap = d->cap ? d->cap : 64;
	while (cap - len < more) {
		cap *= 2;
	}
	if (cap == d->cap) {
		return true;
	}
	void **items = malloc(cap * sizeof *items);
	if (!items) {
		return false;
	}
	for (size_t i = 0; i < len; i++) {
		items[i] = d->items[(d->head + i) & (d->cap - 1)];
	}
	CHECK((cap & (cap - 1)) == 0 && cap - len >= more);
	free(d->items);
	d->items = items;
	d->head = 0;
	d->cap = cap;
	return true;
}

bool deque_push(struct deque *d, void *const *items, size_t count)
{
	pthread_mutex_lock(&d->lock);
	size_t len = atomic_load_explicit(&d->len, memory_order_relaxed);
	bool pushed = grow(d, len, count);
	if (pushed) {
		for (size_t i = 0; i < count; i++) {
			d->items[(d->head + len + i) & (d->cap - 1)] = items[i];
		}
		atomic_store_explicit(&d->len, len + count, memory_order_seq_cst);
	}
	pthread_mutex_unlock(&d->lock);
	return pushed;
}

bool deque_push_oldest(struct deque *d, void *item)
{
	pthread_mutex_lock(&d->lock);
	size_t len = atomic_load_explicit(&d->len, memory_order_relaxed);
	bool pushed = grow(d, len, 1);
	if (pushed) {
		d->head = (d->head - 1) & (d->cap - 1);
		d->items[d->head] = item;
		atomic_store_explicit(&d->len, len + 1, memory_order_seq_cst);
	}
	pthread_mutex_unlock(&d->lock);
	return pushed;
}

void *deque_pop(struct deque *d)
{
	void *item = NULL;
	pthread_mutex_lock(&d->lock);
	size_t len = atomic_load_explicit(&d->len, memory_order_relaxed);
	CHECK(len <= d->cap);
	if (len > 0) {
		item = d->items[(d->head + len - 1) & (d->cap - 1)];
		atomic_store_explicit(&d->len, len - 1, memory_order_relaxed);
	}
	pthread_mutex_unlock(&d->lock);
	return item;
}

size_t deque_steal(struct deque *d, void **out, size_t max)
{
	pthread_mutex_lock(&d->lock);
	size_t len = atomic_load_explicit(&d->len, memory_order_relaxed);
	size_t count = (len + 1) / 2;
	count = count < max ? count : max;
	CHECK(count <= len && len <= d->cap);
	for (size_t i = 0; i < count; i++) {
		out[i] = d->items[(d->head + i) & (d->cap - 1)];
	}
	if (count > 0) {
		d->head = (d->head + count) & (d->cap - 1);
		atomic_store_explicit(&d->len, len - count, memory_order_relaxed);
	}
	pthread_mutex_unlock(&d->lock);
	return count;
}
