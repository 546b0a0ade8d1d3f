/* Pages that come later, from threads of the tree's, out of order: the same walks, and the bounds.
 */
#include "walks.h"

static void test_same(void)
{
	for (unsigned i = 0; i < 3; i++) {
		later.room = i ? i * 8 : 1;
		later.at_once = i == 1;
		test_whole();
		test_listed();
	}
	later.delay_us = 0;
	test_each_failure(7, 61, 700);
	test_chosen_team();
	test_stop();
}

/* One directory after another, a hundred at once, each of many pages: all is bounded. */
static void test_bounds(void)
{
	struct node *root = fake_begin(200001);
	struct node *dir = fake_fill(root, 20, FILE_DIRECTORY);
	for (unsigned i = 0; i < 20; i++) {
		fake_fill(&dir[i], 9000, FILE_DIRECTORY);
	}
	later.delay_us = 0;
	fake.batch = FS_BATCH;
	for (unsigned i = 0; i < TEAMS; i++) {
		run.threads = team[i];
		later.room = i ? LATER_JOBS : 5;
		walk();
		sound("180,000 small directories, listed later");
		is_int(run.ledger.entries, fake.count, "all of them");
		long bound = 20000 + 6000L * run.threads;
		ok(atomic_load(&run.peak_live) < bound, "%ld at once", atomic_load(&run.peak_live));
		ok(atomic_load(&later.peak_pages) <= 64 + (long)run.threads, "%ld pages at once",
		        atomic_load(&later.peak_pages));
		ok(i || atomic_load(&later.busy) > 0, "the tree was asked for too much");
	}
	root = fake_begin(1);
	root->files = 300000;
	for (unsigned i = 0; i < TEAMS; i++) {
		run.threads = team[i];
		walk();
		sound("one large directory, listed later");
		is_int(run.ledger.entries, 300001, "all of it");
	}
}

int main(void)
{
	run.later = true;
	test_same();
	test_bounds();
	fake_clear();
	return done();
}
