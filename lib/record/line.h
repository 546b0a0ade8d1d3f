/*
 * Lines of a picture: text whose columns are counted while it is put together, so that colours and
 * wide characters do not disturb the alignment.
 */
#ifndef VEGA_RECORD_LINE_H
#define VEGA_RECORD_LINE_H

#include "base/buf.h"
#include "record/format.h"

enum style { STYLE_PLAIN, STYLE_TITLE, STYLE_SIZE, STYLE_NAME, STYLE_BAR, STYLE_DIM, STYLE_ALERT };

struct line {
	struct buf text;
	size_t columns; /* that text takes */
};

#define SIZE_COLUMNS 9 /* that a size takes: "999.9 MiB" */
#define NARROW 35      /* below this width, a picture leaves out what it can */

void line_clear(struct line *line);

/* Text that is safe to print. Without colour, styles are nothing. */
void line_add(struct line *line, const struct format_options *options, enum style style,
        const char *text);

/* Spaces until the line has that many columns. */
void line_pad(struct line *line, size_t columns);

/* Right-aligned in `width` columns. */
void line_add_right(struct line *line, const struct format_options *options, enum style style,
        const char *text, size_t width);
void line_add_size(struct line *line, const struct format_options *options, unsigned __int128 bytes,
        size_t width);
void line_add_count(struct line *line, const struct format_options *options,
        unsigned __int128 count, size_t width);
/* A part of a whole; 0 of nothing. */
static inline double share_of(unsigned __int128 part, unsigned __int128 whole)
{
	return whole ? (double)part / (double)whole : 0;
}

/* "59%" in four columns. */
void line_add_share(struct line *line, const struct format_options *options, double share);

/*
 * A bar of share × width columns, and behind it, in another shade, one of whole × width. Both are
 * 0…1. Nothing is drawn after the longer one.
 */
void line_add_bar(struct line *line, const struct format_options *options, double share,
        double whole, size_t width);

/*
 * A name in at most `width` columns: escaped, and shortened in its middle, never within a character
 * or an escape. tail: the share of the columns that its end gets (a path's end says more).
 */
void line_add_name(struct line *line, const struct format_options *options, enum style style,
        const char *bytes, size_t len, size_t width, double tail);

/* The columns that the whole name would take. */
size_t name_columns(const struct format_options *options, const char *bytes, size_t len);

/* Ends the line, without the spaces at its end, and clears it. */
void line_end(struct line *line, struct buf *out);

/* An empty line between two parts of a picture: not before the first, and never two. */
void line_gap(struct buf *out);

#endif
