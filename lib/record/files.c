/* The list of the largest files: size, day, path. */
#include "record/files.h"

#include "record/line.h"
#include "record/record_internal.h"

/* The day of an RFC 3339 time; "" for a time that has none. */
static const char *day_of(struct scan_value file, char day[static 11])
{
	struct scan_value time = scan_member(file, "mtime");
	day[0] = '\0';
	if (time.len > 12 && time.at[0] == '"' && time.at[11] == 'T') {
		memcpy(day, time.at + 1, 10);
		day[10] = '\0';
	}
	return day;
}

void files_draw(struct buf *out, const struct format_options *options, struct scan_value files,
        const char *title, const struct measure *measure, size_t limit)
{
	struct line line = {.text = BUF_INIT};
	struct buf path = BUF_INIT;
	struct scan_value file;
	size_t offset = 0;
	size_t width = options->width, day = width >= 56 ? 12 : 0;
	size_t before = SIZE_COLUMNS + day + 2, room = width > before ? width - before : 1;
	if (limit == 0 || !scan_item(files, &offset, &file)) {
		return;
	}
	line_gap(out);
	if (width >= NARROW) {
		line_add_right(&line, options, STYLE_TITLE, measure->bytes_title, SIZE_COLUMNS);
		line_add_right(&line, options, STYLE_TITLE, day ? "modified" : "", day);
		line_pad(&line, before);
	}
	line_add(&line, options, STYLE_TITLE, title);
	line_end(&line, out);
	do {
		char text[11];
		buf_clear(&path);
		record_add_path(&path, file, "path");
		line_add_size(&line, options, record_count(file, measure->bytes), SIZE_COLUMNS);
		if (day) {
			line_add_right(&line, options, STYLE_DIM, day_of(file, text), day);
		}
		line_pad(&line, before);
		line_add_name(&line, options, STYLE_PLAIN, path.data, path.len, room, 0.7);
		line_end(&line, out);
	} while (--limit > 0 && scan_item(files, &offset, &file));
	out->failed |= path.failed;
	buf_release(&path);
	buf_release(&line.text);
}
