/* The engine over a file system in memory whose every call fails once in turn. */
#include "walks.h"

#include <sys/resource.h>

static void chain(unsigned depth)
{
	struct node *dir = fake_begin((size_t)depth * 3 + 4);
	for (unsigned i = 0; i < depth; i++) {
		struct node *child = fake_fill(dir, 3, FILE_DIRECTORY);
		dir = &child[i % 3];
	}
}

static void test_few_handles(void)
{
	bushy();
	for (unsigned i = 0; i < TEAMS; i++) {
		run.threads = team[i];
		for (fake.emfile_every = 3; fake.emfile_every < 9; fake.emfile_every++) {
			walk();
			sound("each n-th open finds no handle");
			is_int(run.ledger.errors, 0, "a walk with few handles has no error");
		}
		fake.emfile_every = 0;
	}
	chain(500);
	for (unsigned i = 0; i < 2; i++) {
		run.threads = team[i];
		fake.handle_limit = 8 * (long)run.threads;
		walk();
		sound("500 levels with a few handles");
		is_int(run.ledger.errors, 0, "every directory is reached with few handles");
	}
	fake.handle_limit = 0;
}

static void limit_descriptors(rlim_t limit)
{
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_cur = limit, .rlim_max = limit});
}

/* A few descriptors do for any depth. Last: a hard limit stays. */
static void test_depth(void)
{
	static const unsigned levels[] = {30000, 1000, 0};
	static const long limits[] = {256, 24, 24};
	for (unsigned at = 0; at < 3; at++) {
		if (levels[at]) {
			chain(levels[at]);
		} else {
			bushy();
		}
		limit_descriptors((rlim_t)limits[at]);
		fake.handle_limit = limits[at] - 6;
		for (unsigned i = 0; i < TEAMS * 2; i++) {
			run.threads = team[i % TEAMS];
			run.slow = i >= TEAMS && levels[at] < 30000;
			walk();
			sound(levels[at] ? "a deep tree" : "a wide one");
			/* Slow listings stay pinned, so a thread may wait in vain: an error, then.
			 */
			ok(run.slow || run.ledger.errors == 0,
			        "all depths are reached (%llu errors)",
			        (unsigned long long)run.ledger.errors);
		}
	}
	run.slow = false;
}

/* A thread that waits for work sees a stop, whatever becomes of the wall clock meanwhile. */
static void test_clock(void)
{
	bushy();
	run.threads = 2;
	run.slow = true;
	run.stop_at = 100;
	atomic_store(&wall.asked, false);
	atomic_store(&wall.ahead, true);
	alarm(60);
	walk();
	alarm(0);
	atomic_store(&wall.ahead, false);
	is_int(run.team, 2, "a walk has two threads, of which one waits");
	ok(!run.complete, "a stopped walk ends, though the clock is set back by an hour");
	run.stop_at = 0;
	run.slow = false;
}

/* What AddressSanitizer holds back of what was freed would count as the walk's. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=1";
}

/* ThreadSanitizer remembers each word's last accesses. */
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define MEMORY_KIB 40000
#endif
#endif
#ifndef MEMORY_KIB
#define MEMORY_KIB 20000
#endif

static long peak_memory(void) /* KiB */
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

static void test_wide(void)
{
	struct node *root = fake_begin(1);
	root->files = 10000000;
	fake.batch = FS_BATCH;
	for (unsigned i = 0; i < 2; i++) {
		run.threads = team[i];
		long before = peak_memory();
		walk();
		sound("ten million entries in one directory");
		is_int(run.ledger.entries, 10000001, "all entries of a wide directory are visited");
		ok(peak_memory() - before < MEMORY_KIB, "a wide directory needs %ld KiB",
		        peak_memory() - before);
	}
	root->files = 1000000;
	run.slow = true;
	long before = peak_memory();
	walk();
	sound("a million whose content is read");
	is_int(run.ledger.entries, 1000001, "all entries of a wide directory are visited in order");
	ok(peak_memory() - before < MEMORY_KIB, "a wide directory in order needs %ld KiB",
	        peak_memory() - before);
	run.slow = false;
}

/* Listings that queue too many directories are put off. */
static void test_many_directories(void)
{
	struct node *root = fake_begin(400001);
	struct node *dir = fake_fill(root, 40, FILE_DIRECTORY);
	for (unsigned i = 0; i < 40; i++) {
		fake_fill(&dir[i], 9999, FILE_DIRECTORY);
	}
	fake.batch = FS_BATCH;
	for (unsigned i = 0; i < TEAMS; i++) {
		run.threads = team[i];
		walk();
		sound("400,000 small directories");
		is_int(run.ledger.entries, fake.count, "all of many directories are visited");
		long bound = 20000 + 6000L * run.threads;
		ok(atomic_load(&run.peak_live) < bound, "many directories are open at once: %ld",
		        atomic_load(&run.peak_live));
	}
}

int main(void)
{
	test_whole();
	test_listed();
	test_each_failure(1, 11, 6000);
	test_chosen_team();
	test_few_handles();
	test_stop();
	test_clock();
	test_wide();
	test_many_directories();
	test_depth();
	fake_clear();
	return done();
}
