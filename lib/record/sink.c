/* The buffers in front of the output: lines or blocks per thread, written under one lock. */
#include "record/sink.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"
#include "record/flat.h"
#include "record/sorter.h"

#define BUFFER_SIZE ((size_t)64 << 10)
#define OLD_NS (100 * 1000000ULL)
#define CACHE_LINE 64

struct sink_thread {
	_Alignas(CACHE_LINE) struct sink *sink;
	struct sink_thread *next;
	struct buf buf;  /* whole records; with `sort`: the record that is being kept */
	uint64_t oldest; /* when the first record of buf came, ns */
	struct sorter sorter;

	/* Formats of blocks. */
	void *builder;
	bool begun; /* its block is not empty */
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

	/* By the lock. */
	uint64_t written;            /* bytes */
	struct format_block *blocks; /* all that were written; each note is allocated */
	size_t block_count, block_cap;
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

/* Under the lock. False when it failed now or before. */
static bool write_locked(struct sink *sink, const struct buf *buf)
{
	int end = sink->format->blocks ? FD_NO_END : sink->options->null ? '\0' : '\n';
	int status = sink_error(sink)
	                     ? -EIO
	                     : fd_write_until(sink->out, buf->data, buf->len, end, sink->stop);
	if (status < 0) {
		set_error(sink, -status);
	} else {
		sink->written += buf->len;
	}
	return status == 0;
}

/* May the bytes be written? Takes them off the quota. */
static bool is_allowed(struct sink *sink, const struct buf *buf)
{
	if (buf->len && !quota_take(sink->quota, (int64_t)buf->len)) {
		set_error(sink, EDQUOT);
	}
	return buf->len && !sink_error(sink);
}

/* Writes and empties buf; after a failure it only empties it. */
static void write_out(struct sink *sink, struct buf *buf)
{
	if (is_allowed(sink, buf)) {
		pthread_mutex_lock(&sink->lock);
		write_locked(sink, buf);
		pthread_mutex_unlock(&sink->lock);
	}
	buf_clear(buf);
}

/* Notes, under the lock, that a block of `len` bytes ends at sink->written. Takes the note. */
static bool note_block(struct sink *sink, uint64_t len, struct buf *note)
{
	if (sink->block_count == sink->block_cap) {
		size_t cap = sink->block_cap ? 2 * sink->block_cap : 64;
		struct format_block *blocks = reallocarray(sink->blocks, cap, sizeof *blocks);
		if (!blocks) {
			return false;
		}
		sink->blocks = blocks;
		sink->block_cap = cap;
	}
	CHECK(sink->written >= len);
	size_t note_len = note->len;
	char *bytes = buf_detach(note);
	if (!bytes) {
		return false;
	}
	sink->blocks[sink->block_count++] = (struct format_block){
	        .offset = sink->written - len, .len = len, .note = bytes, .note_len = note_len};
	return true;
}

/* Writes the thread's block, all of it before any other's. */
static void end_block(struct sink_thread *thread)
{
	struct sink *sink = thread->sink;
	struct buf note = BUF_INIT, *block = &thread->buf;
	thread->begun = false;
	buf_clear(block);
	sink->format->blocks->end_block(thread->builder, block, &note);
	if (block->failed || note.failed) {
		set_error(sink, ENOMEM);
	} else if (is_allowed(sink, block)) {
		pthread_mutex_lock(&sink->lock);
		if (write_locked(sink, block) && !note_block(sink, block->len, &note)) {
			set_error(sink, ENOMEM);
		}
		pthread_mutex_unlock(&sink->lock);
	}
	buf_release(&note);
	buf_clear(block);
}

static void build(struct sink_thread *thread, const struct record *record)
{
	struct sink *sink = thread->sink;
	size_t size = 0;
	if (!sink->format->blocks->add(thread->builder, record, &size)) {
		set_error(sink, ENOMEM);
		return;
	}
	thread->begun = size > 0;
	if (size >= sink->format->blocks->block_size) {
		end_block(thread);
	}
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

static void free_thread(struct sink_thread *thread)
{
	if (thread->builder) {
		thread->sink->format->blocks->close(thread->builder);
	}
	sorter_release(&thread->sorter);
	buf_release(&thread->buf);
	free(thread);
}

struct sink_thread *sink_thread_new(struct sink *sink)
{
	struct sink_thread *thread = aligned_alloc(CACHE_LINE, sizeof *thread);
	if (!thread) {
		return NULL;
	}
	*thread = (struct sink_thread){.sink = sink};
	/* Twice the size: a record that passes the mark still fits without a copy. */
	bool ready = buf_reserve(&thread->buf, 2 * BUFFER_SIZE);
	if (ready && sink->format->blocks) {
		thread->builder = sink->format->blocks->open(sink->options);
		ready = thread->builder;
	}
	if (!ready) {
		free_thread(thread);
		return NULL;
	}
	pthread_mutex_lock(&sink->lock);
	thread->next = sink->threads;
	sink->threads = thread;
	pthread_mutex_unlock(&sink->lock);
	return thread;
}

static void keep(struct sink_thread *thread, const struct record *record)
{
	if (!sorter_keep(&thread->sorter, record, &thread->buf)) {
		set_error(thread->sink, ENOMEM);
	}
	buf_clear(&thread->buf);
}

static void add_line(struct sink_thread *thread, const struct record *record)
{
	struct sink *sink = thread->sink;
	struct buf *buf = &thread->buf;
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
		keep(thread, record);
	} else if (record->type == RECORD_PROGRESS) {
		quota_take(sink->quota, (int64_t)before - (int64_t)buf->len);
		write_out(sink, buf);
	} else if (buf->len >= BUFFER_SIZE) {
		write_out(sink, buf);
	} else if (before == 0) {
		thread->oldest = coarse_ns();
	}
}

static void add_to_block(struct sink_thread *thread, const struct record *record)
{
	if (record->type == RECORD_PROGRESS) {
		return;
	}
	if (!thread->sink->sort) {
		build(thread, record);
		return;
	}
	record_flatten(&thread->buf, record);
	if (thread->buf.failed) {
		thread->buf.failed = false;
		set_error(thread->sink, ENOMEM);
		return;
	}
	keep(thread, record);
}

void sink_record(struct sink_thread *thread, const struct record *record)
{
	const struct format *format = thread->sink->format;
	if (sink_error(thread->sink)) {
		return;
	}
	if (format->record) {
		add_line(thread, record);
	} else if (format->blocks) {
		add_to_block(thread, record);
	}
}

void sink_flush(struct sink_thread *thread)
{
	if (thread->sink->format->blocks) {
		return; /* one that is ended early would be small */
	}
	write_out(thread->sink, &thread->buf);
}

void sink_flush_old(struct sink_thread *thread)
{
	if (thread->buf.len &&
	        (thread->sink->options->terminal || coarse_ns() - thread->oldest >= OLD_NS)) {
		sink_flush(thread);
	}
}

static void free_all(struct sink *sink)
{
	while (sink->threads) {
		struct sink_thread *thread = sink->threads;
		sink->threads = thread->next;
		free_thread(thread);
	}
	for (size_t i = 0; i < sink->block_count; i++) {
		free((void *)(uintptr_t)sink->blocks[i].note);
	}
	free(sink->blocks);
	pthread_mutex_destroy(&sink->lock);
	free(sink);
}

/* Of the merge, which writes as the first thread. */
static bool write_kept(void *context, const struct kept *kept)
{
	struct sink_thread *first = context;
	struct sink *sink = first->sink;
	if (sink->format->blocks) {
		struct flat_record flat;
		record_unflatten(kept->bytes, kept->len, &flat);
		build(first, &flat.record);
	} else {
		buf_add(&first->buf, kept->bytes, kept->len);
		if (first->buf.failed) {
			first->buf.failed = false;
			set_error(sink, ENOMEM);
		} else if (first->buf.len >= BUFFER_SIZE) {
			write_out(sink, &first->buf);
		}
	}
	return !sink_error(sink);
}

static void merge_out(struct sink *sink)
{
	size_t count = 0;
	for (struct sink_thread *thread = sink->threads; thread; thread = thread->next) {
		count++;
	}
	struct sorter **sorters = calloc(count ? count : 1, sizeof *sorters);
	count = 0;
	for (struct sink_thread *thread = sink->threads; sorters && thread; thread = thread->next) {
		sorters[count++] = &thread->sorter;
	}
	if (!sorters || !sorter_merge(sorters, count, write_kept, sink->threads)) {
		set_error(sink, ENOMEM);
	}
	free(sorters);
}

/* What threads still have: records, or a block each. */
static void write_rest(struct sink *sink)
{
	for (struct sink_thread *thread = sink->threads; thread; thread = thread->next) {
		if (thread->begun && !sink_error(sink)) {
			end_block(thread);
		} else if (!sink->format->blocks) {
			write_out(sink, &thread->buf);
		}
	}
}

static void write_summary(struct sink *sink, const char *json, size_t len)
{
	struct buf out = BUF_INIT;
	const struct format *format = sink->format;
	if (format->blocks) {
		format->blocks->footer(&out, sink->options, sink->blocks, sink->block_count,
		        sink->written, json, len);
	} else if (format->summary) {
		format->summary(&out, sink->options, json, len);
	}
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
	if (sink->sort && !sink_error(sink)) {
		merge_out(sink);
	}
	write_rest(sink);
	if (json && !sink_error(sink)) {
		write_summary(sink, json, len);
	}
	int status = failure(sink, err);
	if (sink->out != sink->fd) {
		close(sink->out);
	}
	free_all(sink);
	return status;
}
