/* vega-status's list of workers. */
#ifndef VEGA_CMD_WORKER_LIST_H
#define VEGA_CMD_WORKER_LIST_H

#include <stdbool.h>

#include "store/store.h"

/* Print the workers, by name: on a terminal a table; else a worker a line, with tabs between its
 * name, alive or lost, when it was seen, what it runs and could run, its version and queues; or
 * JSON. */
int worker_list(struct store *store, bool json, struct vega_error *err);

#endif
