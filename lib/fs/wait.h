/*
 * Calls that a file system may never answer: NFS whose server is gone, FUSE whose process is
 * stopped. The kernel lets a thread out of them for a fatal signal only, so nobody can call it
 * back; but others can go on without it, as long as they know that it is in such a call, and that
 * it touches nothing of theirs should it ever return.
 *
 * A thread that is to be watched has a word: odd while it works; even while it is in such a call,
 * or has no work; and never the same again after a change. After fs_wait_abandon() no thread comes
 * out of a call: it sleeps until the process ends. So once all words are even, all that the threads
 * own stays as it is.
 */
#ifndef VEGA_FS_WAIT_H
#define VEGA_FS_WAIT_H

#include <stdatomic.h>
#include <stdbool.h>

extern _Thread_local atomic_uint_fast64_t *fs_wait_word; /* never NULL; by its thread alone */
extern atomic_bool fs_wait_abandoned;

/* Of a thread that goes on although it was abandoned: sleeps for ever. One that is not watched
 * returns. */
void fs_wait_sleep(void);

/* Around each such call, in backends; what is written between them is the thread's own. errno
 * stays. */
static inline void fs_wait_begin(void)
{
	atomic_uint_fast64_t *word = fs_wait_word;
	atomic_store_explicit(
	        word, atomic_load_explicit(word, memory_order_relaxed) + 1, memory_order_release);
}

static inline void fs_wait_end(void)
{
	atomic_uint_fast64_t *word = fs_wait_word;
	atomic_store_explicit(
	        word, atomic_load_explicit(word, memory_order_relaxed) + 1, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst); /* fs_wait_abandon() has the other half */
	if (__builtin_expect(
	            atomic_load_explicit(&fs_wait_abandoned, memory_order_relaxed), false)) {
		fs_wait_sleep();
	}
}

/* This thread begins work that is watched by this word, which is even; NULL: by none any more. */
void fs_wait_watch(atomic_uint_fast64_t *word);

/* All threads that are watched sleep when they come out of a call. Each that did not see it has
 * made its word odd before this returns. */
void fs_wait_abandon(void);

#endif
