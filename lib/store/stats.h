/* What there is to do in a store, and how fast it is done. */
#ifndef VEGA_STORE_STATS_H
#define VEGA_STORE_STATS_H

#include "base/buf.h"
#include "base/error.h"
#include "store/store.h"

/* Text for people, an object, or Prometheus' text format 0.0.4. */
enum stats_format { STATS_TEXT, STATS_JSON, STATS_PROMETHEUS };

/* Adds the report to `out`, whose failure is the caller's to see. */
int stats_report(
        struct store *store, enum stats_format format, struct buf *out, struct vega_error *err);

#endif
