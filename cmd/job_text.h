/* How vega-status writes jobs for people. Nothing here reaches a terminal unescaped. */
#ifndef VEGA_CMD_JOB_TEXT_H
#define VEGA_CMD_JOB_TEXT_H

#include "base/buf.h"
#include "job/job.h"

/* A line of the list: a table `width` columns wide, or, when width is 0, fields separated by tabs:
 * id, state, queue, submitter, when it was created, what it does. */
void job_text_header(struct buf *out, unsigned width);
void job_text_row(struct buf *out, const struct job *job, unsigned width);

/* Everything that is known of one job, a line a member. */
void job_text_full(struct buf *out, const struct job *job);

/* The same as a line of JSON. */
void job_text_json(struct buf *out, const struct job *job);

/* "PROCESSING, 12,345 entries, 1.2 GiB, 3 errors" or "COMPLETED in 1.2s: 12,345 entries" */
void job_text_progress(struct buf *out, const struct job *job);

/* `text` cut to `width` columns. */
void job_text_fit(struct buf *out, const char *text, size_t len, size_t width);

#endif
