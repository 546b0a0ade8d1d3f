/* The tree of the largest directories. */
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
 * Draws summarize.largest_directories (a list in any order, each with its parents up to a root).
 * Draws nothing for an empty list.
 */
void tree_draw(struct buf *out, const struct format_options *options,
        const struct cJSON *directories, const struct measure *measure);

#endif
