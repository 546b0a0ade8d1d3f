/* The tables of a summary, laid out beside one another as far as the window is wide. */
#include "record/table.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/parse.h"
#include "record/line.h"
#include "record/record_internal.h"

#define LEAST_WIDTH 36 /* of a table beside another */
#define SPACE 4        /* between them */

struct row {
	char *label;
	size_t len;
	unsigned __int128 bytes, files;
};

struct table {
	const char *title;
	struct row rows[TABLE_ROWS];
	size_t count;
	unsigned __int128 bytes;   /* of all rows */
	unsigned __int128 largest; /* of one: its bar is full */
};

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

static bool read_label(struct row *row, struct scan_value item, const struct record_table *source)
{
	struct buf label = BUF_INIT;
	record_add_path(&label, item, source->row);
	if (label.len == 0) {
		struct scan_value number = {0};
		if (source->unnamed) {
			number = scan_member(item, source->unnamed);
		}
		if (scan_is_number(number)) {
			buf_add(&label, number.at, number.len);
		} else {
			buf_add_str(&label, "(none)");
		}
	}
	return set_label(row, &label);
}

/* How the items of a list go into rows. */
struct folding {
	size_t first, end; /* the items that are drawn: a scale, without the empty ones at its ends
	                    */
	size_t rows;       /* that they are folded into */
	bool over;         /* more of them than rows */
	bool apart;        /* an item is apart: its row is the last, */
	bool shared;       /* and the others' last, too */
};

static bool is_apart(struct scan_value item, const struct record_table *source)
{
	struct buf label = BUF_INIT;
	if (source->apart) {
		record_add_path(&label, item, source->row);
	}
	bool apart = label.len && label.len == strlen(source->apart) &&
	             memcmp(label.data, source->apart, label.len) == 0;
	buf_release(&label);
	return apart;
}

static struct folding fold(
        struct scan_value list, const struct record_table *source, const char *count, size_t rows)
{
	struct folding folding = {.rows = rows};
	size_t index = 0;
	bool found = false;
	struct scan_value item;
	for (size_t offset = 0; scan_item(list, &offset, &item); index++) {
		bool any = source->kind != TABLE_SCALE || record_count(item, count) > 0;
		if (is_apart(item, source)) {
			folding.apart = folding.apart || any;
		} else if (any) {
			folding.first = found ? folding.first : index;
			folding.end = index + 1;
			found = true;
		}
	}
	size_t items = folding.end - folding.first;
	folding.shared = folding.apart && rows <= 2 && items >= rows;
	folding.rows -= folding.apart && !folding.shared;
	folding.over = items > folding.rows;
	return folding;
}

/* Which row the item of that index is added to: the last of them takes the rest, or, of a scale
 * that begins with what may be folded, the first takes the beginning. */
static size_t row_of(size_t index, const struct folding *folding, const struct record_table *source)
{
	size_t at = index - folding->first, items = folding->end - folding->first;
	size_t over = folding->over ? items - folding->rows : 0;
	if (source->kind == TABLE_SCALE && !source->from_end) {
		return at > over ? at - over : 0;
	}
	return at < folding->rows ? at : folding->rows - 1;
}

static void count_item(
        struct table *table, size_t at, struct scan_value item, const struct measure *measure)
{
	struct row *row = &table->rows[at];
	unsigned __int128 bytes = record_count(item, measure->bytes);
	row->bytes += bytes;
	row->files += record_count(item, measure->count);
	table->bytes += bytes;
	table->largest = row->bytes > table->largest ? row->bytes : table->largest;
	table->count = at + 1 > table->count ? at + 1 : table->count;
}

static bool add_item(struct table *table, size_t at, struct scan_value item,
        const struct record_table *source, const struct measure *measure)
{
	CHECK(at < TABLE_ROWS);
	struct row *row = &table->rows[at];
	/* "<4K" and "<64K" together are "<64K" */
	if (!row->label || (source->kind == TABLE_SCALE && !source->from_end)) {
		free(row->label);
		if (!read_label(row, item, source)) {
			return false;
		}
	}
	count_item(table, at, item, measure);
	return true;
}

/* Of a scale whose end was folded: what is not "<7d" is ">=7d". */
static bool name_rest(struct table *table, const struct folding *folding, const char *apart)
{
	struct buf label = BUF_INIT;
	struct row *row = &table->rows[folding->rows - 1];
	const struct row *before = folding->rows > 1 ? row - 1 : NULL;
	if (!folding->over) {
		buf_add(&label, row->label, row->len);
	} else if (before && before->len > 1 && *before->label == '<') {
		buf_add_str(&label, ">=");
		buf_add(&label, before->label + 1, before->len - 1);
	} else {
		buf_add_str(&label, "the rest");
	}
	if (folding->shared) {
		buf_printf(&label, ", %s", apart);
	}
	free(row->label);
	return set_label(row, &label);
}

static bool name_folded(
        struct table *table, const struct folding *folding, const struct record_table *source)
{
	if (source->kind == TABLE_SCALE) {
		bool named = source->from_end && (folding->over || folding->shared);
		return !named || name_rest(table, folding, source->apart);
	}
	if (!folding->over) {
		return true;
	}
	size_t at = folding->rows - 1;
	struct buf label = BUF_INIT;
	format_count(&label, folding->end - folding->first - folding->rows + 1);
	buf_add_str(&label, " more");
	free(table->rows[at].label);
	return set_label(&table->rows[at], &label);
}

/* False when there is no memory. A table of too few rows is left empty. */
static bool read_table(struct table *table, const struct record_table *source,
        struct scan_value list, const struct measure *measure, size_t rows)
{
	struct scan_value item;
	struct folding folding = fold(list, source, measure->count, rows);
	size_t index = 0, items = folding.end - folding.first;
	*table = (struct table){.title = source->title};
	if (items + folding.apart < source->least) {
		return true;
	}
	for (size_t offset = 0; scan_item(list, &offset, &item); index++) {
		bool apart = is_apart(item, source), drawn = apart ? folding.apart : true;
		if (!drawn || (!apart && (index < folding.first || index >= folding.end))) {
			continue;
		}
		size_t last = items < folding.rows ? items : folding.rows;
		size_t at = apart ? last < rows ? last : rows - 1 : row_of(index, &folding, source);
		if (!add_item(table, at, item, source, measure)) {
			return false;
		}
	}
	return name_folded(table, &folding, source);
}

/* Columns of the parts of each row; a part of no columns is left out. */
#define BAR_LEAST 4

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
		format_count(&count, table->rows[i].files);
		most = count.len > most ? count.len : most;
		buf_release(&count);
	}
	layout.share = width >= 24 ? 5 : 0;
	layout.files = width >= 32 ? 2 + (most > 5 ? most : 5) : 0;
	size_t numbers = 1 + SIZE_COLUMNS + layout.share + layout.files;
	size_t room = width > numbers + 4 ? width - numbers : 4;
	size_t widest =
	        room >= 12 ? room - 4 : room; /* a bar can be short, a name should be read */
	/* Where there is room for one of them, a name is worth more than a bar. */
	widest = room < 2 * BAR_LEAST + 8 && label <= room ? room : widest;
	layout.label = label < widest ? label : widest;
	layout.bar = room >= layout.label + BAR_LEAST ? room - layout.label - 1 : 0;
	return layout;
}

static void draw_title(struct line *line, const struct format_options *options, const char *title,
        const struct measure *measure, const struct layout *layout, size_t width)
{
	line_add_name(line, options, STYLE_TITLE, title, strlen(title), width, 0.5);
	if (layout->files) {
		line_add_right(
		        line, options, STYLE_DIM, measure->count_title, width - line->columns);
	}
}

static void draw_row(struct line *line, const struct format_options *options,
        const struct table *table, const struct row *row, const struct layout *layout)
{
	size_t at = layout->label;
	line_add_name(line, options, STYLE_PLAIN, row->label, row->len, layout->label, 0.5);
	line_pad(line, at);
	if (layout->bar) {
		line_pad(line, ++at);
		line_add_bar(line, options, share_of(row->bytes, table->largest), 0, layout->bar);
		at += layout->bar;
	}
	line_pad(line, at + 1);
	line_add_size(line, options, row->bytes, SIZE_COLUMNS);
	if (layout->share) {
		line_pad(line, line->columns + 1);
		line_add_share(line, options, share_of(row->bytes, table->bytes));
	}
	if (layout->files) {
		line_add_count(line, options, row->files, layout->files);
	}
}

/* One column of the page: tables above one another. */
struct stack {
	struct line lines[SCHEMA_TABLES_MAX * (TABLE_ROWS + 2)];
	size_t count;
};

static void draw_table(struct stack *stack, const struct format_options *options,
        const struct table *table, const struct measure *measure, size_t width)
{
	struct layout layout = lay_out(table, options, width);
	CHECK(stack->count + 2 + table->count <= sizeof stack->lines / sizeof *stack->lines);
	if (stack->count) {
		stack->count++; /* an empty line */
	}
	draw_title(&stack->lines[stack->count++], options, table->title, measure, &layout, width);
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
        const struct table *tables, size_t table_count, const struct measure *measure,
        size_t stack_count)
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
		draw_table(shortest, options, &tables[i], measure, width);
	}
	write_stacks(out, stacks, stack_count, width);
	for (size_t i = 0; i < stack_count; i++) {
		for (size_t j = 0; j < stacks[i].count; j++) {
			buf_release(&stacks[i].lines[j].text);
		}
	}
	free(stacks);
}

/* The tables, the most important first. Returns how many. */
static size_t read_tables(struct table tables[SCHEMA_TABLES_MAX], bool *failed,
        const struct record_schema *schema, const struct scan_value *lists,
        const struct measure *measure, size_t rows, size_t fit)
{
	size_t count = 0;
	CHECK(schema->table_count <= SCHEMA_TABLES_MAX);
	for (unsigned place = 1; place <= SCHEMA_TABLES_MAX; place++) {
		for (size_t i = 0; i < schema->table_count; i++) {
			const struct record_table *source = &schema->tables[i];
			if (source->place != place || fit < source->beside) {
				continue;
			}
			*failed |= !read_table(&tables[count], source, lists[i], measure, rows);
			count += tables[count].count > 0;
		}
	}
	return count;
}

void tables_draw(struct buf *out, const struct format_options *options,
        const struct record_schema *schema, const struct scan_value *lists,
        const struct measure *measure, size_t rows, bool few)
{
	struct table tables[SCHEMA_TABLES_MAX];
	size_t fit = (options->width + SPACE) / (LEAST_WIDTH + SPACE);
	size_t count = read_tables(tables, &out->failed, schema, lists, measure, rows, fit);
	size_t most = !few ? count : fit > 2 ? fit : 2;
	for (; count > most; count--) {
		release_table(&tables[count - 1]);
	}
	if (count) {
		line_gap(out);
		draw_beside(out, options, tables, count, measure,
		        fit < 1       ? 1
		        : fit < count ? fit
		                      : count);
	}
	for (size_t i = 0; i < count; i++) {
		release_table(&tables[i]);
	}
}
