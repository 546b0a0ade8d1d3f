#include "record/table.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

#include "base/parse.h"
#include "record/line.h"
#include "record/record_internal.h"

#define LEAST_WIDTH 36 /* of a table beside another */
#define SPACE 4        /* between them */

struct row {
	char *label;
	size_t len;
	double bytes, files;
};

struct table {
	const char *title;
	struct row rows[TABLE_ROWS];
	size_t count;
	double bytes;   /* of all rows */
	double largest; /* of one: its bar is full */
};

/* Where tables come from, in the order of their importance. */
static const struct source {
	const char *member, *key, *title;
	bool ordered;  /* its rows are a scale: none is left out between the first and the last */
	size_t least;  /* rows that make it worth showing */
	size_t beside; /* shown only when so many fit side by side */
} sources[] = {
        {.member = "by_extension", .key = "extension", .title = "by extension", .least = 1},
        {.member = "by_age", .key = "age", .title = "by age", .ordered = true, .least = 1},
        {.member = "by_owner", .key = "owner", .title = "by owner", .least = 2},
        {.member = "by_size",
                .key = "size",
                .title = "by size",
                .ordered = true,
                .least = 1,
                .beside = 3},
};

#define SOURCES (sizeof sources / sizeof *sources)

static void release_table(struct table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		free(table->rows[i].label);
	}
}

static bool set_label(struct row *row, struct buf *label)
{
	size_t len = label->len;
	row->label = buf_detach(label);
	row->len = row->label ? len : 0;
	return row->label;
}

static bool read_label(struct row *row, const cJSON *item, const struct source *source)
{
	struct buf label = BUF_INIT;
	record_add_path(&label, item, source->key);
	if (label.len == 0) {
		const cJSON *uid = cJSON_GetObjectItemCaseSensitive(item, "uid");
		if (cJSON_IsNumber(uid)) {
			buf_printf(&label, "%.0f", uid->valuedouble);
		} else {
			buf_add_str(&label, "(none)");
		}
	}
	return set_label(row, &label);
}

/* The rows of a scale, without the empty ones at either end. */
static void bounds(const cJSON *list, bool ordered, size_t *first, size_t *end)
{
	size_t index = 0;
	bool found = false;
	const cJSON *item;
	*first = *end = 0;
	cJSON_ArrayForEach(item, list)
	{
		if (!ordered || record_number(item, "files") > 0) {
			*first = found ? *first : index;
			*end = index + 1;
			found = true;
		}
		index++;
	}
}

/* Which row the item is added to: one of `rows`, of which the first takes the beginning of a scale,
 * or the last the rest of the others. */
static size_t row_of(size_t at, size_t count, size_t rows, bool ordered)
{
	size_t over = count > rows ? count - rows : 0;
	return ordered ? (at > over ? at - over : 0) : at < rows ? at : rows - 1;
}

static bool add_item(struct table *table, size_t at, const cJSON *item, const struct source *source,
        const char *measure)
{
	struct row *row = &table->rows[at];
	double bytes = record_number(item, measure);
	if (!row->label || source->ordered) { /* "<4K" and "<64K" together are "<64K" */
		free(row->label);
		if (!read_label(row, item, source)) {
			return false;
		}
		table->count = at + 1;
	}
	row->bytes += bytes;
	row->files += record_number(item, "files");
	table->bytes += bytes;
	table->largest = row->bytes > table->largest ? row->bytes : table->largest;
	return true;
}

/* False when there is no memory. A table of too few rows is left empty. */
static bool read_table(struct table *table, const struct source *source, const cJSON *summarize,
        const char *measure, size_t rows)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(summarize, source->member), *item;
	size_t first, end, index = 0;
	*table = (struct table){.title = source->title};
	bounds(list, source->ordered, &first, &end);
	size_t count = end - first;
	if (count < source->least) {
		return true;
	}
	cJSON_ArrayForEach(item, list)
	{
		size_t at = index++ - first;
		if (index <= first || index > end) {
			continue;
		}
		if (!add_item(table, row_of(at, count, rows, source->ordered), item, source,
		            measure)) {
			return false;
		}
	}
	if (count > rows && !source->ordered) {
		struct buf label = BUF_INIT;
		format_count(&label, count - rows + 1);
		buf_add_str(&label, " more");
		free(table->rows[rows - 1].label);
		return set_label(&table->rows[rows - 1], &label);
	}
	return true;
}

/* Columns of the parts of each row; a part of no columns is left out. */
struct layout {
	size_t label, bar, share, files;
};

static struct layout lay_out(
        const struct table *table, const struct format_options *options, size_t width)
{
	struct layout layout = {0};
	size_t label = 0, most = 0;
	for (size_t i = 0; i < table->count; i++) {
		size_t columns = name_columns(options, table->rows[i].label, table->rows[i].len);
		label = columns > label ? columns : label;
		struct buf count = BUF_INIT;
		format_count(&count, (unsigned __int128)table->rows[i].files);
		most = count.len > most ? count.len : most;
		buf_release(&count);
	}
	layout.share = width >= 24 ? 5 : 0;
	layout.files = width >= 32 ? 2 + (most > 5 ? most : 5) : 0;
	size_t numbers = 1 + SIZE_COLUMNS + layout.share + layout.files;
	size_t room = width > numbers + 4 ? width - numbers : 4;
	size_t widest =
	        room >= 12 ? room - 4 : room; /* a bar can be short, a name should be read */
	layout.label = label < widest ? label : widest;
	layout.bar = room >= layout.label + 4 ? room - layout.label - 1 : 0;
	return layout;
}

static void draw_title(struct line *line, const struct format_options *options, const char *title,
        const struct layout *layout, size_t width)
{
	line_add_name(line, options, STYLE_TITLE, title, strlen(title), width, 0.5);
	if (layout->files) {
		line_add_right(line, options, STYLE_DIM, "files", width - line->columns);
	}
}

static void draw_row(struct line *line, const struct format_options *options,
        const struct table *table, const struct row *row, const struct layout *layout)
{
	double share = table->bytes > 0 ? row->bytes / table->bytes : 0;
	size_t at = layout->label;
	line_add_name(line, options, STYLE_PLAIN, row->label, row->len, layout->label, 0.5);
	line_pad(line, at);
	if (layout->bar) {
		line_pad(line, ++at);
		line_add_bar(line, options, table->largest > 0 ? row->bytes / table->largest : 0, 0,
		        layout->bar);
		at += layout->bar;
	}
	line_pad(line, at + 1);
	line_add_size(line, options, row->bytes, SIZE_COLUMNS);
	if (layout->share) {
		line_pad(line, line->columns + 1);
		line_add_share(line, options, share);
	}
	if (layout->files) {
		line_add_count(line, options, row->files, layout->files);
	}
}

/* One column of the page: tables above one another. */
struct stack {
	struct line lines[SOURCES * (TABLE_ROWS + 2)];
	size_t count;
};

static void draw_table(struct stack *stack, const struct format_options *options,
        const struct table *table, size_t width)
{
	struct layout layout = lay_out(table, options, width);
	if (stack->count) {
		stack->count++; /* an empty line */
	}
	draw_title(&stack->lines[stack->count++], options, table->title, &layout, width);
	for (size_t i = 0; i < table->count; i++) {
		draw_row(&stack->lines[stack->count++], options, table, &table->rows[i], &layout);
	}
}

static void write_stacks(struct buf *out, struct stack *stacks, size_t count, size_t width)
{
	struct line line = {.text = BUF_INIT};
	for (size_t row = 0;; row++) {
		bool any = false;
		for (size_t i = 0; i < count; i++) {
			if (row < stacks[i].count) {
				struct line *part = &stacks[i].lines[row];
				line_pad(&line, i * (width + SPACE));
				buf_add(&line.text, part->text.data, part->text.len);
				line.text.failed |= part->text.failed;
				line.columns += part->columns;
				any = true;
			}
		}
		if (!any) {
			break;
		}
		line_end(&line, out);
	}
	buf_release(&line.text);
}

/* Each table goes below the shortest stack. */
static void draw_beside(struct buf *out, const struct format_options *options,
        const struct table *tables, size_t table_count, size_t stack_count)
{
	struct stack *stacks = calloc(stack_count, sizeof *stacks);
	size_t width = (options->width + SPACE) / stack_count;
	width = width > SPACE ? width - SPACE : 1;
	if (!stacks) {
		out->failed = true;
		return;
	}
	for (size_t i = 0; i < table_count; i++) {
		struct stack *shortest = &stacks[0];
		for (size_t j = 1; j < stack_count; j++) {
			shortest = stacks[j].count < shortest->count ? &stacks[j] : shortest;
		}
		draw_table(shortest, options, &tables[i], width);
	}
	write_stacks(out, stacks, stack_count, width);
	for (size_t i = 0; i < stack_count; i++) {
		for (size_t j = 0; j < stacks[i].count; j++) {
			buf_release(&stacks[i].lines[j].text);
		}
	}
	free(stacks);
}

void tables_draw(struct buf *out, const struct format_options *options, const cJSON *summarize,
        const struct measure *measure, size_t rows)
{
	struct table tables[SOURCES];
	size_t count = 0, fit = (options->width + SPACE) / (LEAST_WIDTH + SPACE);
	for (size_t i = 0; i < SOURCES; i++) {
		if (fit < sources[i].beside) {
			continue;
		}
		bool read = read_table(&tables[count], &sources[i], summarize, measure->key, rows);
		if (!read) {
			out->failed = true;
		}
		count += tables[count].count > 0;
	}
	if (count) {
		line_gap(out);
		draw_beside(out, options, tables, count, fit < 1 ? 1 : fit < count ? fit : count);
	}
	for (size_t i = 0; i < count; i++) {
		release_table(&tables[i]);
	}
}

/* The day of an RFC 3339 time; "" for a time that has none. */
static const char *day_of(const cJSON *file, char day[static 11])
{
	const char *time = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(file, "mtime"));
	day[0] = '\0';
	if (time && strlen(time) > 10 && time[10] == 'T') {
		memcpy(day, time, 10);
		day[10] = '\0';
	}
	return day;
}

void files_draw(struct buf *out, const struct format_options *options, const cJSON *files,
        const struct measure *measure, size_t limit)
{
	struct line line = {.text = BUF_INIT};
	struct buf path = BUF_INIT;
	const cJSON *file;
	size_t rows = 0;
	size_t width = options->width, day = width >= 56 ? 12 : 0;
	size_t before = SIZE_COLUMNS + day + 2, room = width > before ? width - before : 1;
	if (cJSON_GetArraySize(files) == 0 || limit == 0) {
		return;
	}
	line_gap(out);
	if (width >= NARROW) {
		line_add_right(&line, options, STYLE_TITLE, measure->title, SIZE_COLUMNS);
		line_add_right(&line, options, STYLE_TITLE, day ? "modified" : "", day);
		line_pad(&line, before);
	}
	line_add(&line, options, STYLE_TITLE, "largest files");
	line_end(&line, out);
	cJSON_ArrayForEach(file, files)
	{
		char text[11];
		if (rows++ == limit) {
			break;
		}
		buf_clear(&path);
		record_add_path(&path, file, "path");
		line_add_size(&line, options, record_number(file, measure->key), SIZE_COLUMNS);
		if (day) {
			line_add_right(&line, options, STYLE_DIM, day_of(file, text), day);
		}
		line_pad(&line, before);
		line_add_name(&line, options, STYLE_PLAIN, path.data, path.len, room, 0.7);
		line_end(&line, out);
	}
	out->failed |= path.failed;
	buf_release(&path);
	buf_release(&line.text);
}
