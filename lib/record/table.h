/* The tables of a summary: its rankings and its scales. */
#ifndef VEGA_RECORD_TABLE_H
#define VEGA_RECORD_TABLE_H

#include "record/schema.h"
#include "record/tree.h"

/*
 * All rankings and scales of a summary that have something to say, side by side where the window is
 * wide; of each at most `rows` rows (at least 2; TABLE_ROWS at most), the last of which may stand
 * for all others, or, of a scale, the first. A folded row says what is in it. With
 * `few`, only the most important tables, as many as fit side by side, but two. lists[i] is the
 * array of schema->tables[i], if any.
 */
#define TABLE_ROWS ((size_t)9)
void tables_draw(struct buf *out, const struct format_options *options,
        const struct record_schema *schema, const struct scan_value *lists,
        const struct measure *measure, size_t rows, bool few);

#endif
