/* vega-admin stats: what there is to do, and how fast it is done. */
#ifndef VEGA_CMD_STATS_H
#define VEGA_CMD_STATS_H

#include "base/error.h"
#include "store/store.h"

enum stats_format { STATS_TEXT, STATS_JSON, STATS_PROMETHEUS };

int stats_print(struct store *store, enum stats_format format, struct vega_error *err);

#endif
