/* Arguments against option tables: which row each is, where its value stands, and which are
 * operands. */
#include <stdlib.h>

#include "base/check.h"
#include "base/option_internal.h"

struct parser {
	const struct option_table *tables;
	size_t table_count;
	int argc, at; /* argv[at] is being looked at */
	char **argv;
	struct vega_time now; /* one for all ages */
	struct option_given *given;
	struct vega_error *err;
};

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
	if (option_takes_value(row) && !option_is_optional(row) && !text && p->at + 1 < p->argc) {
		text = p->argv[++p->at];
	}
	int code = option_set_at(row, target, text, p->now, p->err);
	return code ? code : note_given(p, row);
}

static int unknown_long(const struct parser *p, const char *name, size_t len)
{
	char text[OPTION_NAME_MAX * 2];
	const struct option_row *meant = NULL;
	if (len < sizeof text) {
		memcpy(text, name, len);
		text[len] = '\0';
		meant = option_near_miss(p->tables, p->table_count, text);
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
	const struct option_row *row =
	        option_find(p->tables, p->table_count, name, len, 0, &target);
	if (!row) {
		return unknown_long(p, name, len);
	}
	if (value && !option_takes_value(row)) {
		return vega_fail(p->err, VEGA_USAGE, "--%s takes no value", row->name);
	}
	return take(p, row, target, value);
}

static int parse_letters(struct parser *p, const char *letters)
{
	void *target;
	if (letters[1] && option_find(p->tables, p->table_count, letters, strcspn(letters, "="), 0,
	                          &target)) {
		return vega_fail(p->err, VEGA_USAGE,
		        "-%s: long options have two dashes; write --%s", letters, letters);
	}
	for (const char *s = letters; *s; s++) {
		const struct option_row *row =
		        option_find(p->tables, p->table_count, NULL, 0, *s, &target);
		if (!row) {
			return vega_fail(p->err, VEGA_USAGE,
			        letters[1] ? "unknown option -%c in -%s" : "unknown option -%c", *s,
			        letters);
		}
		bool value = option_takes_value(row) && !option_is_optional(row);
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
	CHECK(option_well_formed(tables, table_count));
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
