/* The list of the largest files. */
#ifndef VEGA_RECORD_FILES_H
#define VEGA_RECORD_FILES_H

#include "record/tree.h"

/* At most `limit` of the files of a table. Draws nothing for an empty list. */
void files_draw(struct buf *out, const struct format_options *options, struct scan_value files,
        const char *title, const struct measure *measure, size_t limit);

#endif
