/* Jobs as text for people. Nothing here reaches a terminal unescaped. */
#ifndef VEGA_JOB_TEXT_H
#define VEGA_JOB_TEXT_H

#include "base/buf.h"
#include "base/error.h"
#include "job/job.h"

/* What it does ("find,hash /data /srv"), how long ago it was submitted, and how long the attempt
 * that runs or ran last took; "-" before the first. */
void job_text_what(struct buf *out, const struct job *job);
void job_text_age(struct buf *out, const struct job *job);
void job_text_duration(struct buf *out, const struct job *job);

/* "PROCESSING, 12,345 entries, 1.2 GiB, 3 errors" or "COMPLETED in 1.2s: 12,345 entries"; of one
 * that has not ended also without its state. */
void job_text_progress(struct buf *out, const struct job *job, bool with_state);

/* Everything that is known of one job, a line a member. */
void job_text_full(struct buf *out, const struct job *job);

/* The same as a line of JSON. */
void job_text_json(struct buf *out, const struct job *job);

/* `text` cut to `width` columns. */
void job_text_fit(struct buf *out, const char *text, size_t len, size_t width);

/* What vega-walk would say of it: VEGA_JOB_FAILED with the reason when it is FAILED or CANCELLED,
 * VEGA_PARTIAL when it is COMPLETED and some entries could not be read. */
int job_verdict(const struct job *job, struct vega_error *err);

/* 0 when it COMPLETED; VEGA_NO: it has not ended; else its verdict. */
int job_need_result(const struct job *job, struct vega_error *err);

#endif
