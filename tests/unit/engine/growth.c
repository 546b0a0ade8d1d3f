/* When a team grows: by made-up uses of two processors. */
#include "../tap.h"

#include "engine/growth.h"

static struct growth growth;
static struct growth_use used;

/* What a second has of each. */
struct kind {
	double pages, waits, preempted;
};
static const struct kind flash = {9000, 7000, 300}, seeking = {4000, 150, 10},
                         loaded = {900, 900, 1500}, pipe_full = {0, 9000, 10}, warm = {0, 20, 100};

/* How many threads there are after `ms` of it with so many processors busy. */
static unsigned after(unsigned now, unsigned ms, double busy, const struct kind *kind)
{
	used.wall_ns += ms * 1000000u;
	used.cpu_ns += (uint64_t)(busy * ms * 1e6);
	used.blocks += (uint64_t)(kind->pages * ms / 1e3) * 8;
	used.waits += (uint64_t)(kind->waits * ms / 1e3);
	used.preempted += (uint64_t)(kind->preempted * ms / 1e3);
	return growth_step(&growth, now, &used);
}

static void begin(void)
{
	used = (struct growth_use){1000, 10, 1, 5, 7};
	growth = (struct growth){.begin = 2, .most = 12, .since = used};
}

static void test_waiting(void)
{
	begin();
	is_int(after(2, 20, 0.8, &flash), 4, "threads that wait are doubled");
	is_int(after(4, 20, 1.1, &flash), 4, "threads are not doubled again at once");
	is_int(after(4, 20, 1.1, &flash), 8, "threads are doubled again when that got more done");
	is_int(after(8, 40, 1.5, &flash), 12, "threads never exceed the most");
	begin();
	is_int(after(2, 20, 0.8, &flash), 4, "waiting threads are doubled");
	is_int(after(4, 40, 1.85, &flash), 4, "threads are not doubled while no processor is free");
	is_int(after(4, 5000, 1.9, &warm), 4,
	        "threads stay for seconds while no processor is free");
	is_int(after(4, 40, 1.2, &flash), 8, "threads that wait later are doubled");
}

static void test_not_waiting(void)
{
	begin();
	is_int(after(2, 20, 1.9, &flash), 2, "busy processors leave the threads as they are");
	is_int(after(2, 20, 0.8, &pipe_full), 2,
	        "waiting for the output's reader leaves the threads as they are");
	is_int(after(2, 20, 0.8, &loaded), 2,
	        "processors used by others leave the threads as they are");
	is_int(after(2, 20, 0.3, &seeking), 2, "a disk that seeks leaves the threads as they are");
	is_int(after(2, 20, 0.04, &flash), 2,
	        "a disk that hardly uses the processors leaves the threads as they are");
	is_int(growth.most, 12, "pauses without growth keep the most");
	begin();
	is_int(after(2, 20, 0.8, &flash), 4,
	        "a disk that serves many requests at once gets more threads");
}

static void test_no_gain(void)
{
	begin();
	is_int(after(2, 20, 0.8, &flash), 4, "waiting threads are doubled");
	is_int(after(4, 40, 0.8, &flash), 4, "threads that got no more done are not doubled");
	is_int(after(4, 20, 0.85, &flash), 4,
	        "threads that got no more done are not doubled a little later");
	is_int(after(4, 40, 1.2, &flash), 8, "threads that got more done in the end are doubled");
	is_int(after(8, 150, 1, &flash), 8, "threads that get no more done stay");
	is_int(growth.most, 12, "a short time without gain keeps the most");
	is_int(after(8, 100, 1, &flash), 8, "threads without gain for long enough stay");
	is_int(growth.most, 8, "threads without gain for long enough set the most");
}

/* Half of it was in memory when they first waited; then nothing was. */
static void test_new_base(void)
{
	begin();
	is_int(after(2, 20, 1.7, &flash), 4, "waiting threads are doubled");
	is_int(after(4, 60, 0.6, &flash), 4,
	        "threads are not doubled while the work waits more than before");
	is_int(after(4, 250, 0.7, &flash), 8,
	        "threads are doubled again, measured by the new waiting");
}

/* What was used while nobody asked says nothing. */
static void test_pause(void)
{
	growth_begin(&growth, 2, 8);
	growth.since.wall_ns -= 500000000u;
	growth.since.blocks -= 80000;
	growth.since.waits -= 10000;
	growth.since.cpu_ns -= 100000000u;
	struct growth same = growth;
	is_int(growth_next(&growth, 2), 4, "half a second of waiting doubles the threads");
	growth = same;
	growth.asked_ns -= 600000000u;
	is_int(growth_next(&growth, 2), 2, "a pause without questions doubles nothing");
	is_int(growth_next(&growth, 8), 8, "a pause without questions keeps the most");
}

int main(void)
{
	test_waiting();
	test_not_waiting();
	test_no_gain();
	test_new_base();
	test_pause();
	return done();
}
