/* Putting lines of a picture together: columns, colours, bars, and names cut to fit. */
#include "record/line.h"

#include "base/escape.h"
#include "base/json.h"
#include "base/parse.h"
#include "record/record_internal.h"

static const char *const colors[] = {
        [STYLE_PLAIN] = "",
        [STYLE_TITLE] = "\033[1m",
        [STYLE_SIZE] = "\033[32m",
        [STYLE_NAME] = "\033[1;34m",
        [STYLE_BAR] = "\033[36m",
        [STYLE_DIM] = "\033[90m",
        [STYLE_ALERT] = "\033[1;31m",
};

void line_clear(struct line *line)
{
	buf_clear(&line->text);
	line->columns = 0;
}

static void begin_style(struct line *line, const struct format_options *options, enum style style)
{
	if (options->color && style != STYLE_PLAIN) {
		buf_add_str(&line->text, colors[style]);
	}
}

static void end_style(struct line *line, const struct format_options *options, enum style style)
{
	if (options->color && style != STYLE_PLAIN) {
		buf_add_str(&line->text, "\033[0m");
	}
}

void line_add(
        struct line *line, const struct format_options *options, enum style style, const char *text)
{
	size_t len = strlen(text);
	if (len) {
		begin_style(line, options, style);
		buf_add(&line->text, text, len);
		end_style(line, options, style);
		line->columns += display_width(text, len);
	}
}

void line_pad(struct line *line, size_t columns)
{
	for (; line->columns < columns; line->columns++) {
		buf_add_char(&line->text, ' ');
	}
}

void line_add_right(struct line *line, const struct format_options *options, enum style style,
        const char *text, size_t width)
{
	size_t columns = display_width(text, strlen(text));
	line_pad(line, line->columns + (columns < width ? width - columns : 0));
	line_add(line, options, style, text);
}

/* The same for a text that is done with. */
static void add_right(struct line *line, const struct format_options *options, enum style style,
        struct buf *text, size_t width)
{
	if (buf_cstr(text)) {
		line_add_right(line, options, style, text->data, width);
	} else {
		line->text.failed = true;
	}
	buf_release(text);
}

void line_add_size(struct line *line, const struct format_options *options, unsigned __int128 bytes,
        size_t width)
{
	struct buf text = BUF_INIT;
	format_size(&text, bytes);
	add_right(line, options, STYLE_SIZE, &text, width);
}

void line_add_count(struct line *line, const struct format_options *options,
        unsigned __int128 count, size_t width)
{
	struct buf text = BUF_INIT;
	format_count(&text, count);
	add_right(line, options, STYLE_PLAIN, &text, width);
}

/* A part is no more than its whole, but what is read may say so. */
static double at_most_one(double share)
{
	return share < 1 ? share : 1;
}

void line_add_share(struct line *line, const struct format_options *options, double share)
{
	struct buf text = BUF_INIT;
	buf_printf(&text, "%.0f%%", at_most_one(share) * 100);
	add_right(line, options, STYLE_PLAIN, &text, 4);
}

void line_add_bar(struct line *line, const struct format_options *options, double share,
        double whole, size_t width)
{
	size_t halves = (size_t)(at_most_one(share) * (double)width * 2 + 0.5);
	size_t end = (size_t)(at_most_one(whole) * (double)width + 0.5), drawn = 0;
	if (halves == 0 && share > 0) {
		halves = 1;
	}
	struct buf bar = BUF_INIT;
	for (; drawn < halves / 2; drawn++) {
		buf_add_str(&bar, options->utf8 ? "━" : "#");
	}
	if (halves % 2 && options->utf8) {
		buf_add_str(&bar, "╸");
		drawn++;
	}
	add_right(line, options, STYLE_BAR, &bar, 0);
	for (; drawn < end; drawn++) {
		buf_add_str(&bar, options->utf8 ? "─" : ".");
	}
	add_right(line, options, STYLE_DIM, &bar, 0);
}

/* Columns and bytes of what must stay together at the beginning of escaped text: an escape, or a
 * character with what combines with it. */
static size_t unit(const char *text, size_t len, size_t *columns)
{
	uint32_t code;
	size_t bytes = *text == '\\' ? (len > 1 && text[1] >= '0' && text[1] <= '7' ? 4 : 2)
	                             : utf8_decode(text, len, &code);
	if (bytes == 0 || bytes > len) {
		bytes = 1;
	}
	*columns = display_width(text, bytes);
	while (bytes < len) {
		size_t next = utf8_decode(text + bytes, len - bytes, &code);
		if (next < 2 || display_width(text + bytes, next) > 0) {
			break;
		}
		bytes += next;
	}
	return bytes;
}

/* Copies what fits of text, which takes more than `width` columns. Returns the columns. */
static size_t shorten(struct buf *out, const struct format_options *options, const char *text,
        size_t len, size_t width, double tail)
{
	size_t tail_room = (size_t)((double)(width - 1) * tail), head_room = width - 1 - tail_room;
	size_t left = display_width(text, len), taken = 0, at = 0, columns;
	for (size_t bytes; at < len; at += bytes) {
		bytes = unit(text + at, len - at, &columns);
		if (taken + columns > head_room) {
			break;
		}
		buf_add(out, text + at, bytes);
		taken += columns;
		left -= columns;
	}
	buf_add_str(out, options->utf8 ? "…" : "~");
	while (at < len && left > tail_room) {
		at += unit(text + at, len - at, &columns);
		left -= columns;
	}
	buf_add(out, text + at, len - at);
	return taken + 1 + left;
}

void line_add_name(struct line *line, const struct format_options *options, enum style style,
        const char *bytes, size_t len, size_t width, double tail)
{
	struct buf escaped = BUF_INIT;
	record_add_escaped(&escaped, options, bytes, len);
	size_t columns = display_width(escaped.data, escaped.len);
	begin_style(line, options, style);
	if (columns <= width) {
		buf_add(&line->text, escaped.data, escaped.len);
	} else if (width > 0) {
		columns = shorten(&line->text, options, escaped.data, escaped.len, width, tail);
	} else {
		columns = 0;
	}
	end_style(line, options, style);
	line->columns += columns;
	line->text.failed |= escaped.failed;
	buf_release(&escaped);
}

size_t name_columns(const struct format_options *options, const char *bytes, size_t len)
{
	struct buf escaped = BUF_INIT;
	record_add_escaped(&escaped, options, bytes, len);
	size_t columns = display_width(escaped.data, escaped.len);
	buf_release(&escaped);
	return columns;
}

void line_end(struct line *line, struct buf *out)
{
	size_t len = line->text.len;
	while (len && line->text.data[len - 1] == ' ') {
		len--;
	}
	buf_add(out, line->text.data, len);
	buf_add_char(out, '\n');
	out->failed |= line->text.failed;
	line_clear(line);
}

void line_gap(struct buf *out)
{
	if (out->len && !(out->len > 1 && memcmp(out->data + out->len - 2, "\n\n", 2) == 0)) {
		buf_add_char(out, '\n');
	}
}
