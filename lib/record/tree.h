/* The tree of directories. */
#ifndef VEGA_RECORD_TREE_H
#define VEGA_RECORD_TREE_H

#include "base/buf.h"
#include "record/format.h"

struct cJSON;

/* Which bytes are shown: the member of each object, and what they are called. */
struct measure {
	const char *key, *title;
};

/*
 * Draws directories as summarize lists them (in any order, each with its parents up to a root), the
 * largest first, and of them, roots first, the `limit` largest. `total`: the bytes of which each is
 * a share, listed or not. Draws nothing for an empty list.
 */
void tree_draw(struct buf *out, const struct format_options *options,
        const struct cJSON *directories, const char *title, const struct measure *measure,
        double total, size_t limit);

#endif
