/*
 * Records kept for the end, to be written in the order of their paths. A sorter belongs to one
 * thread; the merge reads those of all. Everything is kept in memory.
 */
#ifndef VEGA_RECORD_SORTER_H
#define VEGA_RECORD_SORTER_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "record/record.h"

/* One record as bytes. Both pointers lead into the sorter's arena, the path often into the bytes.
 */
struct kept {
	const char *path;
	const char *bytes;
	uint32_t path_len;
	uint32_t len;
};

struct sorter_run;

/* Zeroed: empty. */
struct sorter {
	struct sorter_run *runs; /* the newest first; only that one may be short of full */
	struct buf path;         /* scratch: the path of the record being kept */
	struct arena arena;      /* paths and bytes of the records in runs */
};

/* Keeps a copy of what a record became, under the record's path. False: no memory. */
bool sorter_keep(struct sorter *sorter, const struct record *record, const struct buf *bytes);

/*
 * Calls each() for all that `count` sorters keep, by path; records of one path by their bytes, so
 * that the order never depends on threads. Ends early when each() returns false. False: no memory,
 * and nothing was called.
 */
bool sorter_merge(struct sorter *const *sorters, size_t count,
        bool (*each)(void *context, const struct kept *kept), void *context);

void sorter_release(struct sorter *sorter);

#endif
