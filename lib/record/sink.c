/* The buffers in front of the output, and with --sort, the records kept until the end. */
#include "record/sink.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/fd.h"
#include "record/order.h"

#define BUFFER_SIZE ((size_t)64 << 10)
#define OLD_NS (100 * 1000000ULL)
#define CACHE_LINE 64

/* With `sort`: one formatted record. Both pointers lead into the thread's arena, the path often
 * into the bytes. */
struct kept {
	const char *path;
	const char *bytes;
	uint32_t path_len;
	uint32_t len;
};

#define RUN_RECORDS 16384

/* Kept records, sorted once the run is full: the merge at the end then has short work. */
struct run {
	struct run *next;
	size_t count;
	struct kept records[RUN_RECORDS];
};

struct sink_thread {
	_Alignas(CACHE_LINE) struct sink *sink;
	struct sink_thread *next;
	struct buf buf;    /* whole records; with `sort`: the record being formatted */
	struct buf path;   /* scratch: the path of the record being kept */
	uint64_t oldest;   /* when the first record of buf came, ns */
	struct run *runs;  /* the newest first; only that one may be short of full */
	struct arena kept; /* paths and bytes of the records in runs */
};

struct sink {
	int fd;
	int out; /* where it is written: fd, or the same pipe opened without blocking */
	const atomic_int *stop;
	bool sort;
	const struct format *format;
	const struct format_options *options;
	struct quota *quota;  /* may be NULL */
	atomic_int error;     /* the first errno */
	pthread_mutex_t lock; /* writes, and the list of threads */
	struct sink_thread *threads;
};

static void set_error(struct sink *sink, int errnum)
{
	int none = 0;
	atomic_compare_exchange_strong(&sink->error, &none, errnum);
}

int sink_error(const struct sink *sink)
{
	return atomic_load_explicit(&sink->error, memory_order_relaxed);
}

void sink_limit(struct sink *sink, struct quota *quota)
{
	sink->quota = quota;
}

/* Writes and empties buf; after a failure it only empties it. */
static void write_out(struct sink *sink, struct buf *buf)
{
	if (buf->len && !quota_take(sink->quota, (int64_t)buf->len)) {
		set_error(sink, EDQUOT);
	}
	if (buf->len && !sink_error(sink)) {
		pthread_mutex_lock(&sink->lock);
		char end = sink->options->null ? '\0' : '\n';
		int status = sink_error(sink) ? 0
		                              : fd_write_until(sink->out, buf->data, buf->len, end,
		                                        sink->stop);
		if (status < 0) {
			set_error(sink, -status);
		}
		pthread_mutex_unlock(&sink->lock);
	}
	buf_clear(buf);
}

struct sink *sink_new(
        int fd, const struct format *format, const struct format_options *options, bool sort)
{
	struct sink *sink = malloc(sizeof *sink);
	if (!sink) {
		return NULL;
	}
	*sink = (struct sink){
	        .fd = fd, .out = fd, .sort = sort, .format = format, .options = options};
	pthread_mutex_init(&sink->lock, NULL);
	if (format->begin) {
		struct buf head = BUF_INIT;
		format->begin(&head, options);
		if (head.failed) {
			set_error(sink, ENOMEM);
		}
		write_out(sink, &head);
		buf_release(&head);
	}
	return sink;
}

void sink_stop_on(struct sink *sink, const atomic_int *stop)
{
	int again = fd_reopen_pipe(sink->fd);
	if (again >= 0) {
		sink->out = again;
		sink->stop = stop;
	}
}

struct sink_thread *sink_thread_new(struct sink *sink)
{
	struct sink_thread *thread = aligned_alloc(CACHE_LINE, sizeof *thread);
	if (!thread) {
		return NULL;
	}
	*thread = (struct sink_thread){.sink = sink};
	/* Twice the size: a record that passes the mark still fits without a copy. */
	if (!buf_reserve(&thread->buf, 2 * BUFFER_SIZE)) {
		free(thread);
		return NULL;
	}
	pthread_mutex_lock(&sink->lock);
	thread->next = sink->threads;
	sink->threads = thread;
	pthread_mutex_unlock(&sink->lock);
	return thread;
}

/* --- Kept records ------------------------------------------------------------------------- */

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

static void sort_run(struct run *run)
{
	qsort(run->records, run->count, sizeof run->records[0], compare_kept);
}

static struct run *run_with_room(struct sink_thread *thread)
{
	struct run *run = thread->runs;
	if (!run || run->count == RUN_RECORDS) {
		if (run) {
			sort_run(run);
		}
		run = malloc(sizeof *run);
		if (!run) {
			return NULL;
		}
		run->next = thread->runs;
		run->count = 0;
		thread->runs = run;
	}
	return run;
}

static bool keep(struct sink_thread *thread, const struct record *record)
{
	struct buf *buf = &thread->buf, *path = &thread->path;
	buf_clear(path);
	buf_add(path, record->dir, record->dir_len);
	buf_add(path, record->name, record->name_len);
	struct run *run = run_with_room(thread);
	char *bytes = run ? arena_alloc(&thread->kept, buf->len) : NULL;
	if (!bytes || path->failed) {
		return false;
	}
	memcpy(bytes, buf->data, buf->len);
	/* In most formats the path stands in the record as it is: one copy serves both. */
	const char *key = path->len ? memmem(bytes, buf->len, path->data, path->len) : bytes;
	if (!key) {
		key = arena_copy(&thread->kept, path->data, path->len);
	}
	if (!key) {
		return false;
	}
	run->records[run->count++] = (struct kept){
	        .path = key,
	        .bytes = bytes,
	        .path_len = (uint32_t)path->len,
	        .len = (uint32_t)buf->len,
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

static void merge_out(struct sink *sink, struct cursor *heap, size_t count)
{
	struct buf out = BUF_INIT;
	for (size_t i = count / 2; i-- > 0;) {
		sift_down(heap, count, i);
	}
	while (count && !sink_error(sink)) {
		buf_add(&out, heap[0].at->bytes, heap[0].at->len);
		if (out.failed) {
			set_error(sink, ENOMEM);
		} else if (out.len >= BUFFER_SIZE) {
			write_out(sink, &out);
		}
		if (++heap[0].at == heap[0].end) {
			heap[0] = heap[--count];
		}
		if (count) {
			sift_down(heap, count, 0);
		}
	}
	write_out(sink, &out);
	buf_release(&out);
}

static void write_kept(struct sink *sink)
{
	size_t count = 0;
	for (struct sink_thread *thread = sink->threads; thread; thread = thread->next) {
		for (struct run *run = thread->runs; run; run = run->next) {
			count++;
		}
	}
	if (count == 0 || sink_error(sink)) {
		return;
	}
	struct cursor *heap = calloc(count, sizeof *heap);
	if (!heap) {
		set_error(sink, ENOMEM);
		return;
	}
	count = 0;
	for (struct sink_thread *thread = sink->threads; thread; thread = thread->next) {
		for (struct run *run = thread->runs; run; run = run->next) {
			if (run == thread->runs) {
				sort_run(run);
			}
			heap[count++] = (struct cursor){run->records, run->records + run->count};
		}
	}
	merge_out(sink, heap, count);
	free(heap);
}

/* --- Records ------------------------------------------------------------------------------ */

void sink_record(struct sink_thread *thread, const struct record *record)
{
	struct sink *sink = thread->sink;
	struct buf *buf = &thread->buf;
	if (!sink->format->record || sink_error(sink)) {
		return;
	}
	size_t before = buf->len;
	sink->format->record(buf, sink->options, record);
	if (buf->failed) {
		buf->failed = false;
		buf->len = before;
		write_out(sink, buf);
		set_error(sink, ENOMEM);
	} else if (buf->len == before) {
		return;
	} else if (sink->sort && record->type != RECORD_PROGRESS) {
		if (!keep(thread, record)) {
			set_error(sink, ENOMEM);
		}
		buf_clear(buf);
	} else if (record->type == RECORD_PROGRESS) {
		quota_take(sink->quota, (int64_t)before - (int64_t)buf->len);
		write_out(sink, buf);
	} else if (buf->len >= BUFFER_SIZE) {
		write_out(sink, buf);
	} else if (before == 0) {
		thread->oldest = coarse_ns();
	}
}

void sink_flush(struct sink_thread *thread)
{
	write_out(thread->sink, &thread->buf);
}

void sink_flush_old(struct sink_thread *thread)
{
	if (thread->buf.len &&
	        (thread->sink->options->terminal || coarse_ns() - thread->oldest >= OLD_NS)) {
		sink_flush(thread);
	}
}

static void free_threads(struct sink *sink)
{
	while (sink->threads) {
		struct sink_thread *thread = sink->threads;
		sink->threads = thread->next;
		while (thread->runs) {
			struct run *next = thread->runs->next;
			free(thread->runs);
			thread->runs = next;
		}
		arena_release(&thread->kept);
		buf_release(&thread->path);
		buf_release(&thread->buf);
		free(thread);
	}
}

static void write_summary(struct sink *sink, const char *json, size_t len)
{
	struct buf out = BUF_INIT;
	sink->format->summary(&out, sink->options, json, len);
	if (out.failed) {
		set_error(sink, ENOMEM);
	}
	write_out(sink, &out);
	buf_release(&out);
}

static int failure(const struct sink *sink, struct vega_error *err)
{
	int errnum = sink_error(sink);
	if (errnum == 0) {
		return 0;
	}
	const char *place = sink->fd == STDOUT_FILENO ? "standard output" : "the output";
	const char *remedy = errnum == ENOMEM && sink->sort ? " in order; run without --sort" : "";
	return vega_fail_errno(err, VEGA_FATAL, errnum, "cannot write to %s%s", place, remedy);
}

int sink_finish(struct sink *sink, const char *json, size_t len, struct vega_error *err)
{
	for (struct sink_thread *thread = sink->threads; thread; thread = thread->next) {
		sink_flush(thread);
	}
	write_kept(sink);
	if (json && sink->format->summary && !sink_error(sink)) {
		write_summary(sink, json, len);
	}
	int status = failure(sink, err);
	free_threads(sink);
	if (sink->out != sink->fd) {
		close(sink->out);
	}
	pthread_mutex_destroy(&sink->lock);
	free(sink);
	return status;
}
