/* Option tables: parsing of arguments, setting of fields, near misses, and the text of --help
 * made from the same rows. */
#include "base/option.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "base/escape.h"

#define COMMON(member) .offset = offsetof(struct option_common, member)

const struct option_row option_common_rows[] = {
        {"help", 'h', OPT_FLAG, COMMON(help), 0, NULL, NULL, "Other", "print this help and exit"},
        {"version", 0, OPT_FLAG, COMMON(version), 0, NULL, NULL, "Other",
                "print the version and exit"},
        {"vega-options", 0, OPT_FLAG, COMMON(describe), 0, NULL, NULL, "Other", NULL},
};
const size_t option_common_count = sizeof option_common_rows / sizeof *option_common_rows;

static const char *const type_names[] = {
        [OPT_FLAG] = "flag",
        [OPT_COUNT] = "count",
        [OPT_NUMBER] = "number",
        [OPT_SIZE] = "size",
        [OPT_DURATION] = "duration",
        [OPT_TIME] = "time",
        [OPT_TEXT] = "text",
        [OPT_LIST] = "list",
        [OPT_CHOICE] = "choice",
        [OPT_CHOICES] = "choices",
};

static bool takes_value(const struct option_row *row)
{
	return row->type != OPT_FLAG && row->type != OPT_COUNT;
}

/* May the value be left out? */
static bool is_optional(const struct option_row *row)
{
	return row->metavar && row->metavar[0] == '[';
}

static bool can_be_given(const char *choice)
{
	return isalnum((unsigned char)*choice);
}

/* The choices that can be given, with a separator between. */
static void add_choices(struct buf *out, const struct option_row *row, const char *separator)
{
	const char *between = "";
	for (size_t i = 0; row->choices[i]; i++) {
		if (can_be_given(row->choices[i])) {
			buf_add_str(out, between);
			buf_add_str(out, row->choices[i]);
			between = separator;
		}
	}
}

/* --- Setting a field ------------------------------------------------------------------------- */

static int prefix_error(const struct option_row *row, int code, const struct vega_error *cause,
        struct vega_error *err)
{
	vega_fail(err, code, "--%s %s", row->name, cause->text);
	if (err) {
		err->sys = cause->sys;
	}
	return code;
}

static int set_flag(
        const struct option_row *row, void *field, const char *text, struct vega_error *err)
{
	if (!text || strcmp(text, "true") == 0) {
		*(bool *)field = true;
	} else if (strcmp(text, "false") == 0) {
		*(bool *)field = false;
	} else {
		return vega_fail(err, VEGA_USAGE, "--%s %s: not true or false", row->name, text);
	}
	return 0;
}

static int set_count(unsigned *field, const char *text, struct vega_error *err)
{
	uint64_t value = *field + UINT64_C(1);
	int code = text ? parse_u64(text, &value, err) : 0;
	if (code == 0) {
		*field = value < UINT32_MAX ? (unsigned)value : UINT32_MAX;
	}
	return code;
}

static int set_number(enum option_type type, struct option_number *field, const char *text,
        struct vega_error *err)
{
	int code = type == OPT_SIZE       ? parse_size(text, &field->value, err)
	           : type == OPT_DURATION ? parse_duration(text, &field->value, err)
	                                  : parse_u64(text, &field->value, err);
	if (code == 0) {
		field->set = true;
	}
	return code;
}

static int set_text(char **field, const char *text, struct vega_error *err)
{
	char *copy = strdup(text);
	if (!copy) {
		return vega_fail_nomem(err);
	}
	free(*field);
	*field = copy;
	return 0;
}

static int find_choice(const struct option_row *row, const char *text, size_t len, unsigned *index,
        struct vega_error *err)
{
	for (unsigned i = 0; row->choices[i]; i++) {
		if (strlen(row->choices[i]) == len && can_be_given(row->choices[i]) &&
		        memcmp(row->choices[i], text, len) == 0) {
			*index = i;
			return 0;
		}
	}
	struct buf allowed = BUF_INIT;
	add_choices(&allowed, row, ", ");
	const char *list = buf_cstr(&allowed);
	int shown = len > 200 ? 200 : (int)len;
	vega_fail(err, VEGA_USAGE, "%.*s: not one of %s", shown ? shown : 2, shown ? text : "''",
	        list ? list : "its choices");
	buf_release(&allowed);
	return VEGA_USAGE;
}

static int set_choices(
        const struct option_row *row, uint32_t *field, const char *text, struct vega_error *err)
{
	uint32_t bits = 0;
	for (const char *s = text;; s++) {
		size_t len = strcspn(s, ",");
		unsigned index;
		int code = find_choice(row, s, len, &index, err);
		if (code) {
			return code;
		}
		bits |= UINT32_C(1) << index;
		s += len;
		if (!*s) {
			break;
		}
	}
	*field |= bits;
	return 0;
}

static int set_value(const struct option_row *row, void *field, const char *text,
        struct vega_time now, struct vega_error *err)
{
	switch (row->type) {
	case OPT_COUNT:
		return set_count(field, text, err);
	case OPT_NUMBER:
	case OPT_SIZE:
	case OPT_DURATION:
		return set_number(row->type, field, text, err);
	case OPT_TIME: {
		struct option_time *time = field;
		int code = parse_time(text, now, &time->value, err);
		time->set = time->set || code == 0;
		return code;
	}
	case OPT_TEXT:
		return set_text(field, text, err);
	case OPT_LIST:
		return strlist_add(field, text) ? 0 : vega_fail_nomem(err);
	case OPT_CHOICE:
		return find_choice(row, text, strlen(text), field, err);
	case OPT_CHOICES:
		return set_choices(row, field, text, err);
	case OPT_FLAG:
		break;
	}
	return VEGA_USAGE;
}

static int set_field(const struct option_row *row, void *target, const char *text,
        struct vega_time now, struct vega_error *err)
{
	void *field = (char *)target + row->offset;
	if (row->type == OPT_FLAG) {
		return set_flag(row, field, text, err);
	}
	if (!text && is_optional(row)) {
		text = "";
	}
	if (!text && takes_value(row)) {
		return vega_fail(err, VEGA_USAGE, "--%s needs a value (%s)", row->name,
		        row->metavar ? row->metavar : type_names[row->type]);
	}
	struct vega_error cause = {0};
	int code = set_value(row, field, text, now, &cause);
	return code == VEGA_USAGE ? prefix_error(row, code, &cause, err)
	       : code             ? vega_fail(err, code, "%s", cause.text)
	                          : 0;
}

int option_set(const struct option_row *row, void *target, const char *text, struct vega_error *err)
{
	return set_field(row, target, text, vega_now(), err);
}

void option_release(const struct option_row *rows, size_t count, void *target)
{
	for (size_t i = 0; i < count; i++) {
		void *field = (char *)target + rows[i].offset;
		if (rows[i].type == OPT_TEXT) {
			char **text = field;
			free(*text);
			*text = NULL;
		} else if (rows[i].type == OPT_LIST) {
			strlist_release(field);
		}
	}
}

/* --- Near misses ----------------------------------------------------------------------------- */

#define NAME_MAX_LENGTH 40

/*
 * Edit distance with transpositions of neighbours (optimal string alignment; Damerau 1964). Hyphens
 * are left out, so that "maxsize" is "max-size". Longer names than NAME_MAX_LENGTH are far away.
 */
static unsigned distance(const char *a, const char *b)
{
	char left[NAME_MAX_LENGTH], right[NAME_MAX_LENGTH];
	unsigned rows[NAME_MAX_LENGTH + 1][NAME_MAX_LENGTH + 1];
	size_t n = 0, m = 0;
	for (; *a && n < NAME_MAX_LENGTH; a++) {
		if (*a != '-' && *a != '_') {
			left[n++] = (char)tolower((unsigned char)*a);
		}
	}
	for (; *b && m < NAME_MAX_LENGTH; b++) {
		if (*b != '-') {
			right[m++] = *b;
		}
	}
	for (size_t i = 0; i <= n; i++) {
		for (size_t j = 0; j <= m; j++) {
			if (i == 0 || j == 0) {
				rows[i][j] = (unsigned)(i + j);
				continue;
			}
			unsigned change = rows[i - 1][j - 1] + (left[i - 1] != right[j - 1]);
			unsigned drop = rows[i - 1][j] + 1, insert = rows[i][j - 1] + 1;
			unsigned best = drop < insert ? drop : insert;
			best = change < best ? change : best;
			if (i > 1 && j > 1 && left[i - 1] == right[j - 2] &&
			        left[i - 2] == right[j - 1] && rows[i - 2][j - 2] + 1 < best) {
				best = rows[i - 2][j - 2] + 1;
			}
			rows[i][j] = best;
		}
	}
	return rows[n][m];
}

/* What the user may have meant: the nearest name, else the only one that it begins. */
static const struct option_row *near_miss(
        const struct option_table *tables, size_t table_count, const char *name)
{
	const struct option_row *nearest = NULL, *begins = NULL;
	size_t len = strlen(name), beginnings = 0;
	unsigned least = len < 4 ? 1 : len < 8 ? 2 : 3;
	least++;
	for (size_t t = 0; t < table_count; t++) {
		for (size_t i = 0; i < tables[t].count; i++) {
			const struct option_row *row = &tables[t].rows[i];
			if (!row->help) {
				continue;
			}
			unsigned far = distance(name, row->name);
			if (far < least && far < strlen(row->name)) {
				least = far;
				nearest = row;
			}
			if (len >= 2 && strncmp(row->name, name, len) == 0) {
				begins = row;
				beginnings++;
			}
		}
	}
	return beginnings == 1 ? begins : nearest;
}

/* --- Parsing --------------------------------------------------------------------------------- */

struct parser {
	const struct option_table *tables;
	size_t table_count;
	int argc, at; /* argv[at] is being looked at */
	char **argv;
	struct vega_time now; /* one for all ages */
	struct option_given *given;
	struct vega_error *err;
};

/* A row by its name of len bytes, or by its letter when name is NULL; and its target. */
static const struct option_row *find_row(
        const struct parser *p, const char *name, size_t len, char letter, void **target)
{
	for (size_t t = 0; t < p->table_count; t++) {
		for (size_t i = 0; i < p->tables[t].count; i++) {
			const struct option_row *row = &p->tables[t].rows[i];
			bool found =
			        name ? strlen(row->name) == len && memcmp(row->name, name, len) == 0
			             : row->letter == letter;
			if (found) {
				*target = p->tables[t].target;
				return row;
			}
		}
	}
	return NULL;
}

static int note_given(struct parser *p, const struct option_row *row)
{
	struct option_given *given = p->given;
	if (!given) {
		return 0;
	}
	if (given->count == given->cap) {
		size_t cap = given->cap ? given->cap * 2 : 16;
		const struct option_row **rows = reallocarray(given->rows, cap, sizeof *rows);
		if (!rows) {
			return vega_fail_nomem(p->err);
		}
		given->rows = rows;
		given->cap = cap;
	}
	given->rows[given->count++] = row;
	return 0;
}

/* Set a row from the text that stands with it, or from the next argument. */
static int take(struct parser *p, const struct option_row *row, void *target, const char *text)
{
	if (takes_value(row) && !is_optional(row) && !text && p->at + 1 < p->argc) {
		text = p->argv[++p->at];
	}
	int code = set_field(row, target, text, p->now, p->err);
	return code ? code : note_given(p, row);
}

static int unknown_long(const struct parser *p, const char *name, size_t len)
{
	char text[NAME_MAX_LENGTH * 2];
	const struct option_row *meant = NULL;
	if (len < sizeof text) {
		memcpy(text, name, len);
		text[len] = '\0';
		meant = near_miss(p->tables, p->table_count, text);
	}
	int shown = len > 200 ? 200 : (int)len;
	if (meant) {
		return vega_fail(p->err, VEGA_USAGE, "unknown option --%.*s; did you mean --%s?",
		        shown, name, meant->name);
	}
	return vega_fail(p->err, VEGA_USAGE, "unknown option --%.*s", shown, name);
}

static int parse_long(struct parser *p, const char *name)
{
	size_t len = strcspn(name, "=");
	const char *value = name[len] ? name + len + 1 : NULL;
	void *target;
	const struct option_row *row = find_row(p, name, len, 0, &target);
	if (!row) {
		return unknown_long(p, name, len);
	}
	if (value && !takes_value(row)) {
		return vega_fail(p->err, VEGA_USAGE, "--%s takes no value", row->name);
	}
	return take(p, row, target, value);
}

static int parse_letters(struct parser *p, const char *letters)
{
	void *target;
	if (letters[1] && find_row(p, letters, strcspn(letters, "="), 0, &target)) {
		return vega_fail(p->err, VEGA_USAGE,
		        "-%s: long options have two dashes; write --%s", letters, letters);
	}
	for (const char *s = letters; *s; s++) {
		const struct option_row *row = find_row(p, NULL, 0, *s, &target);
		if (!row) {
			return vega_fail(p->err, VEGA_USAGE,
			        letters[1] ? "unknown option -%c in -%s" : "unknown option -%c", *s,
			        letters);
		}
		bool value = takes_value(row) && !is_optional(row);
		int code = take(p, row, target, value && s[1] ? s + 1 : NULL);
		if (code || value) {
			return code;
		}
	}
	return 0;
}

int option_parse(const struct option_table *tables, size_t table_count, int argc, char **argv,
        char ***operands, size_t *operand_count, int *rest, struct option_given *given,
        struct vega_error *err)
{
	struct parser p = {tables, table_count, argc, 1, argv, vega_now(), given, err};
	int code = 0;
	*operand_count = 0;
	*operands = calloc((size_t)argc + 1, sizeof **operands);
	if (!*operands) {
		return vega_fail_nomem(err);
	}
	if (rest) {
		*rest = argc;
	}
	for (; p.at < argc && code == 0; p.at++) {
		char *arg = argv[p.at];
		if (strcmp(arg, "--") == 0) {
			p.at++;
			break;
		}
		if (arg[0] != '-' || arg[1] == '\0') {
			(*operands)[(*operand_count)++] = arg;
		} else if (arg[1] == '-') {
			code = parse_long(&p, arg + 2);
		} else {
			code = parse_letters(&p, arg + 1);
		}
	}
	if (code) {
		free(*operands);
		*operands = NULL;
		*operand_count = 0;
		if (given) {
			free(given->rows);
			*given = (struct option_given){0};
		}
		return code;
	}
	if (rest) {
		*rest = p.at;
		return 0;
	}
	for (; p.at < argc; p.at++) {
		(*operands)[(*operand_count)++] = argv[p.at];
	}
	return 0;
}

/* --- Help and description -------------------------------------------------------------------- */

#define HELP_WIDTH 80
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
		buf_printf(out, is_optional(row) ? "%s" : " %s", row->metavar);
	} else if (row->choices) {
		buf_add_char(out, ' ');
		add_choices(out, row, "|");
	}
}

static void pad_to(struct buf *out, size_t from, size_t column)
{
	for (; from < column; from++) {
		buf_add_char(out, ' ');
	}
}

/* Words from `column` on, broken before `width`; later lines begin at `column` too. */
static void add_wrapped(struct buf *out, const char *text, size_t column, size_t width)
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

static void add_row(struct buf *out, const struct option_row *row, size_t column, size_t width)
{
	size_t start = out->len;
	add_left(out, row);
	size_t left = out->len - start;
	if (left + 2 > column) {
		buf_add_char(out, '\n');
		left = 0;
	}
	pad_to(out, left, column);
	add_wrapped(out, row->help, column, width);
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
	size_t column, width;
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
	struct help help = {&text, LEFT_LEAST, width ? width : HELP_WIDTH};
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
	        row->letter ? row->letter : '-', type_names[row->type],
	        row->metavar ? row->metavar : "-");
	if (row->choices) {
		add_choices(out, row, ",");
	} else {
		buf_add_char(out, '-');
	}
	buf_printf(out, "\t%s\n", row->help);
}

void option_describe(struct buf *out, const struct option_table *tables, size_t table_count)
{
	each_row(tables, table_count, describe_row, out);
}
