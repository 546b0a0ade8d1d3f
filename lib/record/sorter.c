/* Keeping records in sorted runs, and merging the runs of all threads with a heap of cursors. */
#include "record/sorter.h"

#include <stdlib.h>

#include "base/check.h"
#include "record/order.h"

#define RUN_RECORDS 16384

/* Sorted once the run is full: the merge at the end then has short work. */
struct sorter_run {
	struct sorter_run *next;
	size_t count;
	struct kept records[RUN_RECORDS];
};

static int compare_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
	return order ? order : (a_len > b_len) - (a_len < b_len);
}

/* By path; records of one path by their bytes, so that the order never depends on threads. */
static int compare_kept(const void *left, const void *right)
{
	const struct kept *a = left, *b = right;
	int order = path_order(a->path, a->path_len, b->path, b->path_len);
	return order ? order : compare_bytes(a->bytes, a->len, b->bytes, b->len);
}

static void sort_run(struct sorter_run *run)
{
	qsort(run->records, run->count, sizeof run->records[0], compare_kept);
}

static struct sorter_run *run_with_room(struct sorter *sorter)
{
	struct sorter_run *run = sorter->runs;
	if (!run || run->count == RUN_RECORDS) {
		if (run) {
			sort_run(run);
		}
		run = malloc(sizeof *run);
		if (!run) {
			return NULL;
		}
		run->next = sorter->runs;
		run->count = 0;
		sorter->runs = run;
	}
	return run;
}

/* In most formats the path stands in the record as it is, last before its end in text: one copy
 * serves both. NULL: it is not there. */
static const char *find_path(const char *bytes, size_t len, const struct buf *path)
{
	if (path->len == 0) {
		return bytes;
	}
	if (len > path->len) {
		const char *last = bytes + len - 1 - path->len;
		if (memcmp(last, path->data, path->len) == 0) {
			return last;
		}
	}
	return memmem(bytes, len, path->data, path->len);
}

bool sorter_keep(struct sorter *sorter, const struct record *record, const struct buf *bytes)
{
	struct buf *path = &sorter->path;
	buf_clear(path);
	buf_add(path, record->dir, record->dir_len);
	buf_add(path, record->name, record->name_len);
	struct sorter_run *run = run_with_room(sorter);
	char *copy = run ? arena_alloc(&sorter->arena, bytes->len) : NULL;
	if (!copy || path->failed) {
		return false;
	}
	memcpy(copy, bytes->data, bytes->len);
	const char *key = find_path(copy, bytes->len, path);
	if (!key) {
		key = arena_copy(&sorter->arena, path->data, path->len);
	}
	if (!key) {
		return false;
	}
	CHECK(run->count < RUN_RECORDS);
	run->records[run->count++] = (struct kept){
	        .path = key,
	        .bytes = copy,
	        .path_len = (uint32_t)path->len,
	        .len = (uint32_t)bytes->len,
	};
	return true;
}

/* Where the merge stands in one run. */
struct cursor {
	const struct kept *at, *end;
};

/* Restore the heap below `index`: no cursor stands after its children. */
static void sift_down(struct cursor *heap, size_t count, size_t index)
{
	struct cursor moving = heap[index];
	for (size_t child; (child = 2 * index + 1) < count; index = child) {
		if (child + 1 < count && compare_kept(heap[child + 1].at, heap[child].at) < 0) {
			child++;
		}
		if (compare_kept(moving.at, heap[child].at) <= 0) {
			break;
		}
		heap[index] = heap[child];
	}
	heap[index] = moving;
}

static size_t count_runs(struct sorter *const *sorters, size_t count)
{
	size_t runs = 0;
	for (size_t i = 0; i < count; i++) {
		for (const struct sorter_run *run = sorters[i]->runs; run; run = run->next) {
			runs += run->count > 0; /* memory may have ended after it began */
		}
	}
	return runs;
}

/* A cursor at the beginning of each run, and the runs sorted. NULL: no memory. */
static struct cursor *begin_merge(struct sorter *const *sorters, size_t count, size_t runs)
{
	struct cursor *heap = calloc(runs, sizeof *heap);
	size_t at = 0;
	for (size_t i = 0; heap && i < count; i++) {
		for (struct sorter_run *run = sorters[i]->runs; run; run = run->next) {
			if (run == sorters[i]->runs) {
				sort_run(run);
			}
			if (run->count) {
				CHECK(at < runs);
				heap[at++] =
				        (struct cursor){run->records, run->records + run->count};
			}
		}
	}
	for (size_t i = runs / 2; heap && i-- > 0;) {
		sift_down(heap, runs, i);
	}
	return heap;
}

bool sorter_merge(struct sorter *const *sorters, size_t count,
        bool (*each)(void *context, const struct kept *kept), void *context)
{
	size_t runs = count_runs(sorters, count);
	if (runs == 0) {
		return true;
	}
	struct cursor *heap = begin_merge(sorters, count, runs);
	if (!heap) {
		return false;
	}
	while (runs && each(context, heap[0].at)) {
		if (++heap[0].at == heap[0].end) {
			heap[0] = heap[--runs];
		}
		if (runs) {
			sift_down(heap, runs, 0);
		}
	}
	free(heap);
	return true;
}

void sorter_release(struct sorter *sorter)
{
	while (sorter->runs) {
		struct sorter_run *next = sorter->runs->next;
		free(sorter->runs);
		sorter->runs = next;
	}
	arena_release(&sorter->arena);
	buf_release(&sorter->path);
}
