/* Pictures: what people see of a summary. */
#ifndef VEGA_RECORD_RENDER_H
#define VEGA_RECORD_RENDER_H

#include "base/buf.h"
#include "record/format.h"

/* "2 entries could not be read, 1 file could not be written": `unwritten` of the errors are failed
 * writes. */
void record_add_faults(struct buf *out, unsigned __int128 errors, unsigned __int128 unwritten);

/* The readable picture of a summary object, drawn from options->schemas: what the text format
 * prints, and vega-status --result on a terminal. Text that is not JSON, or does not fit in memory,
 * sets out->failed. */
void render_summary(
        struct buf *out, const struct format_options *options, const char *json, size_t len);

/* Of the operations whose records are lines of their own and whose picture tells what came of them
 * (answers_on_terminal): only that, as lines. */
void render_facts(
        struct buf *out, const struct format_options *options, const char *json, size_t len);

#endif
