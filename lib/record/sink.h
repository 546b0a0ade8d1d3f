/*
 * Where records go: per-thread buffers in front of one descriptor.
 *
 * Each thread formats into its own buffer; a full buffer is written whole under one lock, so
 * records never interleave. With `sort`, records are kept (in memory) and written in the order of
 * their paths (record/order.h) at the end, progress excepted, which is written at once. Records of
 * one thread keep their order; between threads there is none.
 */
#ifndef VEGA_RECORD_SINK_H
#define VEGA_RECORD_SINK_H

#include <stdatomic.h>

#include "base/error.h"
#include "base/quota.h"
#include "record/format.h"

struct sink;
struct sink_thread;

/* fd and options are borrowed and must outlive the sink. NULL when there is no memory. Writes
 * format->begin at once. */
struct sink *sink_new(
        int fd, const struct format *format, const struct format_options *options, bool sort);

/*
 * Before any thread writes: when `stop` becomes non-zero and the reader of a pipe takes nothing any
 * more, the rest is dropped after a second, with EINTR as the error, instead of waiting for ever.
 */
void sink_stop_on(struct sink *sink, const atomic_int *stop);

/* What is written counts against the quota, which is borrowed, progress excepted. What would exceed
 * it is not written, and is an error (EDQUOT). */
void sink_limit(struct sink *sink, struct quota *quota);

/* One a thread; freed by sink_finish(). Thread-safe. NULL when there is no memory. */
struct sink_thread *sink_thread_new(struct sink *sink);

/* Format one record; may write. Only by the owner of the sink_thread. */
void sink_record(struct sink_thread *thread, const struct record *record);

/* Write what is buffered if it is older than 100 ms, or at once on a terminal: call between
 * directories. */
void sink_flush_old(struct sink_thread *thread);

/* Write what is buffered, however young: call before a wait. Blocks stay until they are full. */
void sink_flush(struct sink_thread *thread);

/* Has writing failed (0, or the errno, EPIPE among them)? Checked by walks so that `| head` ends
 * them. Thread-safe. */
int sink_error(const struct sink *sink);

/*
 * Write everything, then the summary (json may be NULL: a crash or a usage error has none), and
 * free the sink and its threads. Returns 0 or VEGA_FATAL with err->sys set to the errno of the
 * failed write, or to ENOMEM. Call once, when no other thread uses the sink.
 */
int sink_finish(struct sink *sink, const char *json, size_t len, struct vega_error *err);

#endif
