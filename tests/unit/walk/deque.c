/* The deque: order at both ends, growth, and nothing lost or doubled between an owner and thieves.
 */
#include "../tap.h"

#include <omp.h>
#include <stdint.h>
#include <stdlib.h>

#include "walk/deque.h"

static void *number(uintptr_t n)
{
	return (void *)(n + 1);
}

static void push(struct deque *d, uintptr_t from, uintptr_t to)
{
	for (; from < to; from++) {
		void *item = number(from);
		deque_push(d, &item, 1);
	}
}

static void test_ends(void)
{
	struct deque d;
	void *out[8];
	is_int(deque_init(&d), 0, "a deque is made");
	ok(deque_pop(&d) == NULL && deque_steal(&d, out, 8) == 0, "an empty deque gives nothing");
	push(&d, 0, 5);
	is_int(deque_len(&d), 5, "a deque holds the five that were pushed");
	ok(deque_pop(&d) == number(4), "the youngest is popped");
	is_int(deque_steal(&d, out, 8), 2, "half of a deque is stolen");
	ok(out[0] == number(0) && out[1] == number(1), "the oldest items are stolen, in order");
	is_int(deque_steal(&d, out, 8), 1, "half of two items is stolen");
	is_int(deque_steal(&d, out, 8), 1, "half of one item is that item");
	ok(out[0] == number(3) && deque_len(&d) == 0, "the last item is stolen");
	push(&d, 0, 20);
	is_int(deque_steal(&d, out, 3), 3, "no more items are stolen than asked for");
	deque_release(&d);
}

static void test_oldest(void)
{
	struct deque d;
	void *out[1];
	bool pushed = deque_init(&d) == 0;
	for (uintptr_t i = 0; i < 100; i++) {
		pushed = pushed && deque_push_oldest(&d, number(i));
	}
	ok(pushed && deque_pop(&d) == number(0), "the first pushed as the oldest is the youngest");
	is_int(deque_steal(&d, out, 1), 1, "the last one can be stolen");
	ok(out[0] == number(99), "and is the oldest");
	deque_release(&d);
}

/* A ring that is full and begins anywhere keeps its order when it grows. */
static void test_growth(void)
{
	unsigned wrong = 0;
	for (uintptr_t begin = 0; begin < 64; begin++) {
		struct deque d;
		void *item, *many[300];
		deque_init(&d);
		push(&d, 0, begin);
		for (uintptr_t i = 0; i < begin; i++) {
			wrong += deque_steal(&d, &item, 1) != 1 || item != number(i);
		}
		push(&d, 0, 64);
		for (uintptr_t i = 0; i < 300; i++) {
			many[i] = number(64 + i);
		}
		deque_push(&d, many, 300);
		for (uintptr_t i = 364; i-- > 0;) {
			wrong += deque_pop(&d) != number(i);
		}
		wrong += deque_pop(&d) != NULL;
		deque_release(&d);
	}
	is_int(wrong, 0, "a deque grows from any position in order");
}

#define ITEMS 200000u
static atomic_uchar taken[ITEMS];

static size_t take(void *item)
{
	atomic_fetch_add(&taken[(uintptr_t)item - 1], 1);
	return 1;
}

static void test_thieves(void)
{
	struct deque d;
	atomic_size_t count = 0;
	deque_init(&d);
#pragma omp parallel num_threads(4)
	{
		void *out[16], *item;
		if (omp_get_thread_num() == 0) {
			for (uintptr_t i = 0; i < ITEMS; i += 4) {
				void *four[] = {
				        number(i), number(i + 1), number(i + 2), number(i + 3)};
				deque_push(&d, four, 4);
				if (i % 8 == 0 && (item = deque_pop(&d))) {
					atomic_fetch_add(&count, take(item));
				}
			}
		}
		while (atomic_load(&count) < ITEMS) {
			size_t got = deque_steal(&d, out, 16), mine = 0;
			for (size_t i = 0; i < got; i++) {
				mine += take(out[i]);
			}
			atomic_fetch_add(&count, mine);
		}
	}
	unsigned wrong = 0;
	for (size_t i = 0; i < ITEMS; i++) {
		wrong += atomic_load(&taken[i]) != 1;
	}
	is_int(wrong, 0, "each of %u items is taken exactly once", ITEMS);
	is_int(deque_len(&d), 0, "no item is left");
	deque_release(&d);
}

int main(void)
{
	test_ends();
	test_oldest();
	test_growth();
	test_thieves();
	return done();
}
