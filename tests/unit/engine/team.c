/* When a team grows: by made-up uses of two processors. */
#include "../tap.h"

#include "engine/team.h"

static struct team team;
static struct team_use used;

/* How many threads there are after `ms` with so many processors busy and so many reads a second. */
static unsigned after(unsigned now, unsigned ms, double busy, double reads)
{
	used.wall_ns += ms * 1000000u;
	used.cpu_ns += (uint64_t)(busy * ms * 1e6);
	used.blocks += (uint64_t)(reads * ms / 1e3) * 8;
	return team_grown(&team, now, &used);
}

static void begin(void)
{
	used = (struct team_use){.wall_ns = 1000, .cpu_ns = 10, .blocks = 1};
	team = (struct team){.begin = 2, .most = 12, .since = used};
}

static void test_waiting(void)
{
	begin();
	is_int(after(2, 20, 0.8, 9000), 4, "twice as many, when they wait");
	is_int(after(4, 20, 1.1, 12000), 8, "again, when that got more done");
	is_int(after(8, 20, 1.5, 20000), 12, "never more than the most");
	begin();
	is_int(after(2, 20, 0.8, 9000), 4, "twice as many");
	is_int(after(4, 20, 1.85, 30000), 4, "and no more, when no processor is free");
	is_int(after(4, 5000, 1.9, 0), 4, "for seconds");
	is_int(after(4, 20, 1.2, 12000), 8, "but when they wait later");
}

static void test_not_waiting(void)
{
	begin();
	is_int(after(2, 20, 1.9, 9000), 2, "the processors are busy");
	is_int(after(2, 20, 0.8, 0), 2,
	        "nothing is read: others have the processors, or the pipe is full");
	is_int(after(2, 20, 0.1, 200), 2, "a disk that seeks");
	is_int(after(2, 20, 0.8, 9000), 4, "none of this is held against a disk that does not");
}

static void test_no_gain(void)
{
	begin();
	is_int(after(2, 20, 0.8, 9000), 4, "twice as many");
	is_int(after(4, 20, 0.8, 9000), 4, "got no more done");
	is_int(after(4, 20, 0.85, 9000), 4, "nor a little later");
	is_int(after(4, 30, 1.2, 14000), 8, "then they did");
	is_int(after(8, 150, 1, 14000), 8, "no more");
	is_int(after(8, 100, 1, 14000), 8, "for long enough");
	is_int(team.most, 8, "that is the end of it");
}

int main(void)
{
	test_waiting();
	test_not_waiting();
	test_no_gain();
	return done();
}
