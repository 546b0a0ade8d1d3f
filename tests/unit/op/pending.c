/* Batches: who is given one, when, and that nothing is lost. */
#include "op/pending.h"

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../tap.h"

static struct pending_file one(uint64_t bytes)
{
	return (struct pending_file){
	        .file = {.fd = open("/dev/null", O_WRONLY | O_CLOEXEC), .dir = -1},
	        .bytes = bytes,
	        .input = strdup("in"),
	        .output = strdup("out"),
	};
}

static size_t drop(struct pending_batch *batch)
{
	size_t count = batch ? batch->count : 0;
	for (size_t i = 0; i < count; i++) {
		pending_file_release(&batch->file[i]);
	}
	free(batch);
	return count;
}

/* How many files adding one gave back. */
static size_t add(struct pending *pending, uint64_t bytes, bool now)
{
	struct pending_file file = one(bytes);
	struct pending_batch *full = NULL;
	return pending_add(pending, &file, now, &full) ? drop(full) : 9999;
}

int main(void)
{
	int lowest = dup(0);
	close(lowest);
	struct pending *pending = pending_new();
	ok(pending_take(pending, true) == NULL, "a new list of pending outputs is empty");
	size_t before = 0;
	for (int i = 0; i < PENDING_MAX - 1; i++) {
		before += add(pending, 1, false);
	}
	is_int(before, 0, "a batch that is not full waits");
	is_int(add(pending, 1, false), PENDING_MAX, "a full batch is given out");
	is_int(add(pending, 1, false), 0, "a new batch waits");
	ok(pending_take(pending, false) == NULL, "a young batch is not given out");
	is_int(add(pending, 1, true), 2, "a batch is given out whole when asked for");
	is_int(add(pending, PENDING_BYTES - 1, false), 0, "large outputs wait");
	is_int(add(pending, 1, false), 2, "large outputs are given out when they are many bytes");
	is_int(add(pending, 1, false), 0, "a single output waits");
	struct pending_batch *old = NULL;
	for (int i = 0; i < 1000 && !old; i++) {
		old = pending_take(pending, false);
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	is_int(drop(old), 1, "an old batch is given out");
	add(pending, 1, false);
	is_int(drop(pending_take(pending, true)), 1, "a batch is given out when asked for");
	add(pending, 1, false);
	pending_free(pending);
	int now = dup(0);
	close(now);
	is_int(now, lowest, "every descriptor was closed");
	return done();
}
