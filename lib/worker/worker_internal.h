/* For worker.c and its tests only. */
#ifndef VEGA_WORKER_INTERNAL_H
#define VEGA_WORKER_INTERNAL_H

#include "worker/worker.h"

/* store_open(), or a test's stand-in for it. */
typedef int worker_opener(
        const char *url, unsigned timeout_ms, struct store **out, struct vega_error *err);

/* worker_run() on the store that `open` opens. */
int worker_run_on(const struct worker_config *config, worker_opener *open,
        struct worker_counts *counts, int *signal_seen, struct vega_error *err);

#endif
