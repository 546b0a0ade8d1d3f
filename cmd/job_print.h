/* What vega-status prints of one job: its result, its records. To stdout; nothing is cached. */
#ifndef VEGA_CMD_JOB_PRINT_H
#define VEGA_CMD_JOB_PRINT_H

#include "base/buf.h"
#include "base/error.h"
#include "job/job.h"

/* Write a buffer and release it. err->sys is EPIPE when the reader went away. */
int print_buf(struct buf *out, struct vega_error *err);

/* The summary: JSON on a line, or, when a person looks on, the picture. VEGA_NO: there is none yet.
 */
int job_print_result(const struct job *job, bool picture, struct vega_error *err);

/* The records as they were made, after checking their digest. */
int job_print_records(const struct job *job, struct vega_error *err);

#endif
