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
	is_int(after(2, 20, 0.8, &flash), 4, "twice as many, when they wait");
	is_int(after(4, 20, 1.1, &flash), 4, "a while later");
	is_int(after(4, 20, 1.1, &flash), 8, "again, when that got more done");
	is_int(after(8, 40, 1.5, &flash), 12, "never more than the most");
	begin();
	is_int(after(2, 20, 0.8, &flash), 4, "twice as many");
	is_int(after(4, 40, 1.85, &flash), 4, "and no more, when no processor is free");
	is_int(after(4, 5000, 1.9, &warm), 4, "for seconds");
	is_int(after(4, 40, 1.2, &flash), 8, "but when they wait later");
}

static void test_not_waiting(void)
{
	begin();
	is_int(after(2, 20, 1.9, &flash), 2, "the processors are busy");
	is_int(after(2, 20, 0.8, &pipe_full), 2, "the reader of the output is waited for");
	is_int(after(2, 20, 0.8, &loaded), 2, "others use the processors");
	is_int(after(2, 20, 0.3, &seeking), 2, "a disk that seeks, however much each read brings");
	is_int(after(2, 20, 0.04, &flash), 2, "one that has the processors do next to nothing");
	is_int(growth.most, 12, "none of this is held against a disk");
	begin();
	is_int(after(2, 20, 0.8, &flash), 4, "that answers many at once");
}

static void test_no_gain(void)
{
	begin();
	is_int(after(2, 20, 0.8, &flash), 4, "twice as many");
	is_int(after(4, 40, 0.8, &flash), 4, "got no more done");
	is_int(after(4, 20, 0.85, &flash), 4, "nor a little later");
	is_int(after(4, 40, 1.2, &flash), 8, "then they did");
	is_int(after(8, 150, 1, &flash), 8, "no more");
	is_int(growth.most, 12, "is not held against them yet");
	is_int(after(8, 100, 1, &flash), 8, "for long enough");
	is_int(growth.most, 8, "that is the end of it");
}

/* Half of it was in memory when they first waited; then nothing was. */
static void test_new_base(void)
{
	begin();
	is_int(after(2, 20, 1.7, &flash), 4, "twice as many");
	is_int(after(4, 60, 0.6, &flash), 4, "what it meets now takes more waiting");
	is_int(after(4, 250, 0.7, &flash), 8, "that is what more threads are measured by");
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
	is_int(growth_next(&growth, 2), 4, "half a second of waiting");
	growth = same;
	growth.asked_ns -= 600000000u;
	is_int(growth_next(&growth, 2), 2, "in which nobody has asked");
	is_int(growth_next(&growth, 8), 8, "the most stays");
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
