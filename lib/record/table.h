/* The tables of a summary: by extension, by age, by owner, by size; and the largest files. */
#ifndef VEGA_RECORD_TABLE_H
#define VEGA_RECORD_TABLE_H

#include "base/buf.h"
#include "record/format.h"
#include "record/tree.h"

/*
 * All tables of summarize that have something to say, side by side where the window is wide; of
 * each at most `rows` rows (at least 2; TABLE_ROWS at most), the last of which may stand for all
 * others, or, of a scale, the first.
 */
#define TABLE_ROWS ((size_t)9)
void tables_draw(struct buf *out, const struct format_options *options,
        const struct cJSON *summarize, const struct measure *measure, size_t rows);

/* summarize.largest_files, at most `limit` of them. Draws nothing for an empty list. */
void files_draw(struct buf *out, const struct format_options *options, const struct cJSON *files,
        const struct measure *measure, size_t limit);

#endif
