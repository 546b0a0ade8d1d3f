/* One batch, filled by all threads under a lock; its age can be asked without. */
#include "op/pending.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"

struct pending {
	pthread_mutex_t lock;
	size_t max;
	struct pending_batch *batch; /* NULL: empty */
	uint64_t bytes;
	atomic_uint_fast64_t begun; /* ns: when the batch got its first file; 0: empty */
};

void pending_file_release(struct pending_file *file)
{
	output_discard(&file->file);
	free(file->input);
	free(file->output);
}

struct pending *pending_new(void)
{
	struct pending *pending = calloc(1, sizeof *pending);
	if (pending) {
		size_t share = fd_raise_limit() / 16;
		pending->max = share < 1 ? 1 : share > PENDING_MAX ? PENDING_MAX : share;
		pthread_mutex_init(&pending->lock, NULL);
	}
	return pending;
}

void pending_free(struct pending *pending)
{
	if (!pending) {
		return;
	}
	for (size_t i = 0; pending->batch && i < pending->batch->count; i++) {
		pending_file_release(&pending->batch->file[i]);
	}
	free(pending->batch);
	pthread_mutex_destroy(&pending->lock);
	free(pending);
}

static struct pending_batch *take(struct pending *pending)
{
	struct pending_batch *batch = pending->batch;
	CHECK(!batch || batch->count > 0);
	pending->batch = NULL;
	pending->bytes = 0;
	atomic_store_explicit(&pending->begun, 0, memory_order_relaxed);
	return batch;
}

static bool is_old(const struct pending *pending)
{
	uint64_t begun = atomic_load_explicit(&pending->begun, memory_order_relaxed);
	return begun && monotonic_ns() - begun >= PENDING_NS;
}

bool pending_add(struct pending *pending, const struct pending_file *file, bool now,
        struct pending_batch **full)
{
	*full = NULL;
	pthread_mutex_lock(&pending->lock);
	struct pending_batch *batch = pending->batch;
	if (!batch && (batch = malloc(sizeof *batch))) {
		batch->count = 0;
		pending->batch = batch;
		atomic_store_explicit(&pending->begun, monotonic_ns(), memory_order_relaxed);
	}
	if (batch) {
		CHECK(batch->count < pending->max && pending->max <= PENDING_MAX);
		batch->file[batch->count++] = *file;
		pending->bytes += file->bytes;
		if (now || batch->count >= pending->max || pending->bytes >= PENDING_BYTES ||
		        is_old(pending)) {
			*full = take(pending);
		}
	}
	pthread_mutex_unlock(&pending->lock);
	return batch != NULL;
}

struct pending_batch *pending_take(struct pending *pending, bool now)
{
	struct pending_batch *batch = NULL;
	if (now || is_old(pending)) {
		pthread_mutex_lock(&pending->lock);
		if (now || is_old(pending)) {
			batch = take(pending);
		}
		pthread_mutex_unlock(&pending->lock);
	}
	return batch;
}
