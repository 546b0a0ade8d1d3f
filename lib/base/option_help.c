/* Option tables as text: --help for people, and the description that the man pages and the
 * completions are made from. */
#include "base/escape.h"
#include "base/option_internal.h"

#define LEFT_LEAST 16
#define LEFT_MOST 30

/* "  -n, --name GLOB" */
static void add_left(struct buf *out, const struct option_row *row)
{
	if (row->letter) {
		buf_printf(out, "  -%c, --%s", row->letter, row->name);
	} else {
		buf_printf(out, "      --%s", row->name);
	}
	if (row->metavar) {
		buf_printf(out, option_is_optional(row) ? "%s" : " %s", row->metavar);
	} else if (row->choices) {
		buf_add_char(out, ' ');
		option_add_choices(out, row, "|");
	}
}

static void pad_to(struct buf *out, size_t from, size_t column)
{
	for (; from < column; from++) {
		buf_add_char(out, ' ');
	}
}

void option_wrap(struct buf *out, const char *text, size_t column, unsigned width)
{
	size_t at = column;
	for (const char *s = text; *s;) {
		size_t len = strcspn(s, " ");
		size_t columns = display_width(s, len);
		if (at > column && at + 1 + columns > width) {
			buf_add_char(out, '\n');
			pad_to(out, 0, column);
			at = column;
		} else if (at > column) {
			buf_add_char(out, ' ');
			at++;
		}
		buf_add(out, s, len);
		at += columns;
		s += len;
		s += strspn(s, " ");
	}
	buf_add_char(out, '\n');
}

static void add_row(struct buf *out, const struct option_row *row, size_t column, unsigned width)
{
	size_t start = out->len;
	add_left(out, row);
	size_t left = out->len - start;
	if (left + 2 > column) {
		buf_add_char(out, '\n');
		left = 0;
	}
	pad_to(out, left, column);
	option_wrap(out, row->help, column, width);
}

typedef void row_visit(void *context, const struct option_row *row, bool first);

/* Does a row that is shown, before row `at` of table `last`, stand under this heading? */
static bool heading_seen(
        const struct option_table *tables, size_t last, size_t at, const char *heading)
{
	for (size_t t = 0; t <= last; t++) {
		for (size_t i = 0; i < (t < last ? tables[t].count : at); i++) {
			const struct option_row *row = &tables[t].rows[i];
			if (row->help && strcmp(row->heading, heading) == 0) {
				return true;
			}
		}
	}
	return false;
}

static void visit_heading(const struct option_table *tables, size_t table_count,
        const char *heading, row_visit *visit, void *context)
{
	bool first = true;
	for (size_t t = 0; t < table_count; t++) {
		for (size_t i = 0; i < tables[t].count; i++) {
			const struct option_row *row = &tables[t].rows[i];
			if (row->help && strcmp(row->heading, heading) == 0) {
				visit(context, row, first);
				first = false;
			}
		}
	}
}

/*
 * Every row that is shown, heading by heading in the order of their first rows: tables may share a
 * heading. `first` marks the first row of one.
 */
static void each_row(
        const struct option_table *tables, size_t table_count, row_visit *visit, void *context)
{
	for (size_t t = 0; t < table_count; t++) {
		for (size_t i = 0; i < tables[t].count; i++) {
			const struct option_row *row = &tables[t].rows[i];
			if (row->help && !heading_seen(tables, t, i, row->heading)) {
				visit_heading(tables, table_count, row->heading, visit, context);
			}
		}
	}
}

struct help {
	struct buf *out;
	size_t column;
	unsigned width;
};

static void measure_row(void *context, const struct option_row *row, bool first)
{
	(void)first;
	struct help *help = context;
	struct buf left = BUF_INIT;
	add_left(&left, row);
	if (left.len + 2 > help->column && left.len + 2 <= LEFT_MOST) {
		help->column = left.len + 2;
	}
	buf_release(&left);
}

static void help_row(void *context, const struct option_row *row, bool first)
{
	struct help *help = context;
	if (first) {
		buf_printf(help->out, "%s%s:\n", help->out->len ? "\n" : "", row->heading);
	}
	add_row(help->out, row, help->column, help->width);
}

void option_help(
        struct buf *out, const struct option_table *tables, size_t table_count, unsigned width)
{
	struct buf text = BUF_INIT;
	struct help help = {&text, LEFT_LEAST, width ? width : OPTION_HELP_WIDTH};
	each_row(tables, table_count, measure_row, &help);
	if (help.width < help.column + 24) {
		help.column = 10;
	}
	each_row(tables, table_count, help_row, &help);
	buf_add(out, text.data, text.len);
	out->failed = out->failed || text.failed;
	buf_release(&text);
}

static void describe_row(void *context, const struct option_row *row, bool first)
{
	(void)first;
	struct buf *out = context;
	buf_printf(out, "%s\t%s\t%c\t%s\t%s\t", row->heading, row->name,
	        row->letter ? row->letter : '-', option_type_names[row->type],
	        row->metavar ? row->metavar : "-");
	if (row->choices) {
		option_add_choices(out, row, ",");
	} else {
		buf_add_char(out, '-');
	}
	buf_printf(out, "\t%s\n", row->help);
}

void option_describe(struct buf *out, const struct option_table *tables, size_t table_count)
{
	each_row(tables, table_count, describe_row, out);
}
