/* Threads in calls that may never be answered: what the others can know of them. */
#include "fs/wait.h"

#include <linux/membarrier.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

/* Of all threads that nobody watches. */
static atomic_uint_fast64_t unwatched;

_Thread_local atomic_uint_fast64_t *fs_wait_word = &unwatched;
atomic_bool fs_wait_abandoned;

void fs_wait_sleep(void)
{
	atomic_uint_fast64_t *word = fs_wait_word;
	if (word == &unwatched) {
		return;
	}
	atomic_store_explicit(word, atomic_load(word) + 1, memory_order_release);
	for (;;) {
		pause();
	}
}

void fs_wait_watch(atomic_uint_fast64_t *word)
{
	fs_wait_word = word ? word : &unwatched;
	if (word) {
		CHECK(atomic_load(word) % 2 == 0);
		fs_wait_end();
	}
}

/*
 * A thread that comes out of a call writes its word and then looks at fs_wait_abandoned; here it is
 * the other way round. A processor may put off the first of two such steps: membarrier() makes
 * those of all threads finish it, so that they need no instruction for it. Where it is refused,
 * a while does the same.
 */
void fs_wait_abandon(void)
{
	atomic_store(&fs_wait_abandoned, true);
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0 ||
	        syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) {
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	}
}
