/* The tree of directories. */
#ifndef VEGA_RECORD_TREE_H
#define VEGA_RECORD_TREE_H

#include "base/buf.h"
#include "record/format.h"
#include "record/scan.h"

/* Which numbers of each row are shown: a member of bytes and one that counts, with their headings.
 */
struct measure {
	const char *bytes, *bytes_title;
	const char *count, *count_title;
};

/*
 * Draws directories (in any order, each with its parents up to a root), the largest first, and of
 * them, roots first, the `limit` largest. `total`: the bytes of which each is a share, listed or
 * not. A chain of directories, each of which holds nothing but the next, or has its bytes, is one
 * row: "a/b/c". Draws nothing for an empty list. Returns the rows of directories.
 */
size_t tree_draw(struct buf *out, const struct format_options *options,
        struct scan_value directories, const char *title, const struct measure *measure,
        unsigned __int128 total, size_t limit);

#endif
