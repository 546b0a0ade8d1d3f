/* Files with several names are read once, by as many names as they have links, in bounded memory.
 */
#include "engine/inode_results.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "../tap.h"

static struct file_meta meta_of(uint64_t ino, uint32_t nlink)
{
	return (struct file_meta){
	        .have = META_ALL, .dev = 5, .ino = ino, .nlink = nlink, .size = 100 + ino};
}

static struct inode_results *inodes;
static struct inode_result *result;

static enum inode_answer begin(const struct file_meta *meta)
{
	return inode_results_begin(inodes, meta, NULL, &result);
}

static void read_first(const struct file_meta *meta, const char *bytes)
{
	ok(begin(meta) == INODE_FIRST, "the first name is read");
	inode_result_add(result, 3, "of another", 10);
	inode_result_add(result, 1, bytes, 2);
	inode_result_end(inodes, result, true);
}

static bool known(const struct file_meta *meta, const char *wanted)
{
	const void *bytes = NULL;
	size_t len = 0;
	bool right = begin(meta) == INODE_KNOWN && inode_result_find(result, 1, &bytes, &len) &&
	             len == 2 && memcmp(bytes, wanted, 2) == 0 &&
	             !inode_result_find(result, 2, &bytes, &len);
	inode_result_release(inodes, result);
	return right;
}

TEST(results_are_known_for_as_many_names_as_there_are_links,
        "results are known for as many names as there are links")
{
	inodes = inode_results_new();
	struct file_meta meta = meta_of(1, 3), single = meta_of(2, 1), other = meta;
	read_first(&meta, "ab");
	ok(known(&meta, "ab"), "the second name is known");
	other.mtime.nsec = 1;
	read_first(&other, "cd");
	ok(known(&meta, "ab"), "the third name is known, and a changed file is another one");
	ok(begin(&meta) == INODE_FIRST, "a fourth name of three is read");
	inode_result_end(inodes, result, true);
	ok(begin(&single) == INODE_ALONE, "a file with one name is not remembered");
	single = meta_of(2, 2);
	single.have &= ~(unsigned)META_IDENTITY;
	ok(begin(&single) == INODE_ALONE, "a file without an identity is not remembered");
	inode_results_free(inodes);
}

TEST(results_that_are_not_usable_are_forgotten, "results that are not usable are forgotten")
{
	inodes = inode_results_new();
	struct file_meta meta = meta_of(1, 3);
	ok(begin(&meta) == INODE_FIRST, "the first name is read");
	inode_result_end(inodes, result, false);
	ok(begin(&meta) == INODE_FIRST, "the next name is read, too");
	inode_result_end(inodes, result, true);
	inode_results_free(inodes);
}

static void *wait_for_it(void *meta)
{
	struct inode_result *mine = NULL;
	enum inode_answer answer = inode_results_begin(inodes, meta, NULL, &mine);
	const void *bytes;
	size_t len;
	bool right = answer == INODE_KNOWN && inode_result_find(mine, 0, &bytes, &len) && len == 1;
	if (answer == INODE_KNOWN) {
		inode_result_release(inodes, mine);
	}
	return right ? meta : NULL;
}

TEST(threads_wait_for_the_one_that_reads_and_a_stop_frees_them,
        "threads wait for the one that reads and a stop frees them")
{
	enum { THREADS = 8 };
	pthread_t thread[THREADS];
	inodes = inode_results_new();
	struct file_meta meta = meta_of(7, THREADS + 1);
	ok(begin(&meta) == INODE_FIRST, "the first name is read");
	struct inode_result *mine = result;
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_create(&thread[i], NULL, wait_for_it, &meta);
	}
	inode_result_add(mine, 0, "x", 1);
	inode_result_end(inodes, mine, true);
	unsigned right = 0;
	for (unsigned i = 0; i < THREADS; i++) {
		void *answer;
		pthread_join(thread[i], &answer);
		right += answer != NULL;
	}
	ok(right == THREADS, "all others know its result");

	meta = meta_of(8, 2);
	ok(begin(&meta) == INODE_FIRST, "the first name is read");
	mine = result;
	atomic_int stop = 1;
	ok(inode_results_begin(inodes, &meta, &stop, &result) == INODE_ALONE,
	        "nobody waits after a stop");
	inode_result_end(inodes, mine, true);
	inode_results_free(inodes);
}

#ifndef __SANITIZE_ADDRESS__ /* which maps more than any limit allows */
TEST(memory_is_bounded, "memory is bounded")
{
	struct rlimit limit = {.rlim_cur = 64 << 20, .rlim_max = RLIM_INFINITY};
	setrlimit(RLIMIT_DATA, &limit);
	inodes = inode_results_new();
	uint64_t first = 0, alone = 0;
	for (uint64_t ino = 1; ino <= 500000; ino++) {
		struct file_meta meta = meta_of(ino, 2);
		enum inode_answer answer = begin(&meta);
		first += answer == INODE_FIRST;
		alone += answer == INODE_ALONE;
		if (answer == INODE_FIRST) {
			inode_result_add(result, 0, "0123456789abcdef", 16);
			inode_result_end(inodes, result, true);
		}
	}
	ok(first > 10000 && alone > 10000, "%lu inodes are remembered, and the others are not",
	        (unsigned long)first);
	for (uint64_t ino = 1; ino <= 500000; ino++) {
		struct file_meta meta = meta_of(ino, 2);
		enum inode_answer answer = begin(&meta);
		if (answer == INODE_KNOWN) {
			first--;
			inode_result_release(inodes, result);
		} else if (answer == INODE_FIRST) {
			inode_result_end(inodes, result, false);
		}
	}
	ok(first == 0, "all that are remembered are known, and their memory is free again");
	inode_results_free(inodes);
}
#endif

TEST_MAIN
