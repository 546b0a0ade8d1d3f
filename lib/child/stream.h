/*
 * What a child says on its stdout: NDJSON, see vega-formats(5). Lines are told apart by their first
 * member alone, which is always "type": millions of records pass through without being parsed.
 * Progress is kept for the next heartbeat, the one summary for the result, and every other record
 * goes to the spool as it is.
 */
#ifndef VEGA_CHILD_STREAM_H
#define VEGA_CHILD_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "child/json_check.h"
#include "child/spool.h"

#define STREAM_LINE_MAX ((size_t)64 * 1024 * 1024) /* a summary with many directories is large */
#define STREAM_PROGRESS_MAX ((size_t)64 * 1024)    /* it is stored again and again */

struct stream {
	struct spool *spool; /* borrowed */
	struct buf line;     /* the beginning of a line, */
	size_t checked;      /* of which so many bytes went through */
	struct json_check check;
	struct buf progress;   /* the newest progress record, NUL-terminated; empty: none yet */
	bool progress_is_new;  /* cleared by whoever passes it on */
	char *summary;         /* NULL until it came */
	bool complete;         /* its "complete" */
	uint64_t entries;      /* of its ledger, for a log line */
	bool broken;           /* what comes is ignored from now on */
	struct vega_error why; /* it is broken */
};

void stream_init(struct stream *stream, struct spool *spool);
void stream_add(struct stream *stream, const char *bytes, size_t len);

/* The child closed its stdout: half a line breaks the stream. */
void stream_end(struct stream *stream);
void stream_release(struct stream *stream);

/* The bytes as text that every store takes: what is not valid UTF-8, and NUL, becomes U+FFFD. */
void stream_clean(struct buf *out, const char *bytes, size_t len);

#endif
