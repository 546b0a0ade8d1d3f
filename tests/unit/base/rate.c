/* The rate against a clock of the test's own. */
#include "../tap.h"

#include "base/rate.h"

#define SECOND ((uint64_t)1000000000)
#define START (1000 * SECOND)

/* Turns of a thread that asks for `batch` at a time, and wakes `late` ns after they are due, in ten
 * seconds. */
static uint64_t turns_of(uint64_t per_second, uint64_t batch, uint64_t late)
{
	struct rate rate;
	uint64_t now = START, turns = 0;
	rate_init(&rate, per_second, START);
	for (;;) {
		uint64_t due = rate_take(&rate, batch, now);
		now = due > now ? due + late : now;
		if (now >= START + 10 * SECOND) {
			return turns;
		}
		turns += batch;
	}
}

static void test_mean(void)
{
	static const uint64_t rates[] = {1, 7, 100, 3333, 250000, RATE_MAX};
	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
		uint64_t wanted = 10 * rates[i], exact = turns_of(rates[i], 1, 0);
		uint64_t late = turns_of(rates[i], rates[i] / 100 + 1, 30000000);
		ok(exact >= wanted && exact <= wanted + wanted / 1000 + 1,
		        "%d per second allow the right number: %d in ten", (int)rates[i],
		        (int)exact);
		ok(late + late / 50 + 2 > wanted && late <= wanted + wanted / 100 + 2,
		        "%d per second allow nearly that many to late wakers: %d in ten",
		        (int)rates[i], (int)late);
	}
}

static void test_burst(void)
{
	struct rate rate;
	rate_init(&rate, 1000, START);
	ok(rate_take(&rate, 1, START) == START, "the first turn is due at once");
	ok(rate_take(&rate, 5, START) == START + SECOND / 1000,
	        "the next turn is due its interval later");
	ok(rate_take(&rate, 1, START) == START + 6 * SECOND / 1000,
	        "a turn is due after all that were taken");
	uint64_t after_pause = START + 60 * SECOND, due, turns = 0;
	while ((due = rate_take(&rate, 1, after_pause)) <= after_pause) {
		turns++;
	}
	is_int(turns, RATE_BURST_NS / 1000000 + 1, "a pause of a minute allows one burst");
}

int main(void)
{
	test_mean();
	test_burst();
	return done();
}
