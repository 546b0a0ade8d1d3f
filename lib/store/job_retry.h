/* Nothing leaves a terminal state, so a new job does what an old one did not. */
#ifndef VEGA_STORE_JOB_RETRY_H
#define VEGA_STORE_JOB_RETRY_H

#include <stdbool.h>

#include "store/store.h"

/*
 * Submit a job like the one named, for `user` (SQLite stores it), with the label retry-of=ID, and
 * store its id in `retry`. Where the same user has done that already, no matter how many at once,
 * `retry` is the job that came of it, unless that ended in the same way and so is what is to be
 * tried again. VEGA_NO: it has not ended, or, unless `force`, it COMPLETED.
 */
int job_retry(struct store *store, const char *id, const char *user, bool force,
        char retry[UUID_TEXT], struct vega_error *err);

#endif
