/* Arguments against option tables: which row each is, where its value stands, and which are
 * operands. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/option_internal.h"
#include "base/option_words.h"

struct parser {
	const struct option_table *tables;
	size_t table_count;
	int argc, at; /* argv[at] is being looked at */
	char **argv;
	struct vega_time now; /* one for all ages */
	struct option_given *given;
	bool *asked; /* for help, by its letter */
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

/* A value that this row would take for something else than was meant. */
static int check_value(
        struct parser *p, const struct option_row *row, bool by_letter, const char *text)
{
	char name[OPTION_NAME_MAX + 3] = {'-', row->letter, '\0'};
	const char *write =
	        by_letter ? option_word_value(p->tables, p->table_count, name, text) : NULL;
	if (!write) {
		snprintf(name, sizeof name, "--%s", row->name);
		write = option_word_value(p->tables, p->table_count, name, text);
	}
	return write ? vega_fail(p->err, VEGA_USAGE, "%s %s: %s", name, text, write) : 0;
}

/* Set a row from the text that stands with it, or from the next argument. */
static int take(struct parser *p, const struct option_row *row, bool by_letter, void *target,
        const char *text)
{
	if (option_takes_value(row) && !option_is_optional(row) && !text && p->at + 1 < p->argc) {
		text = p->argv[++p->at];
	}
	int code = text ? check_value(p, row, by_letter, text) : 0;
	if (code) {
		return code;
	}
	if (p->given && p->given->redirect) {
		code = p->given->redirect(p->given->context, row, &target, p->err);
		if (code) {
			return code;
		}
	}
	code = option_set_at(row, target, text, p->now, p->err);
	return code ? code : note_given(p, row);
}

/* An option that no table has, of len bytes with its dashes: ours for it, else one that is written
 * nearly so. */
static int unknown(const struct parser *p, const char *option, size_t len, const char *where)
{
	char text[OPTION_NAME_MAX * 2];
	const struct option_row *meant = NULL;
	const char *write = NULL;
	if (len < sizeof text) {
		memcpy(text, option, len);
		text[len] = '\0';
		write = option_word(p->tables, p->table_count, text);
		meant = len > 2 && !write ? option_near_miss(p->tables, p->table_count, text + 2)
		                          : NULL;
	}
	int shown = len > 200 ? 200 : (int)len;
	const char *in = *where ? " in " : "";
	if (write) {
		return vega_fail(p->err, VEGA_USAGE, "unknown option %.*s%s%s; %s", shown, option,
		        in, where, write);
	}
	if (meant) {
		return vega_fail(p->err, VEGA_USAGE, "unknown option %.*s; did you mean --%s?",
		        shown, option, meant->name);
	}
	return vega_fail(p->err, VEGA_USAGE, "unknown option %.*s%s%s", shown, option, in, where);
}

static int parse_long(struct parser *p, const char *arg)
{
	const char *name = arg + 2;
	size_t len = strcspn(name, "=");
	const char *value = name[len] ? name + len + 1 : NULL;
	void *target;
	const struct option_row *row =
	        option_find(p->tables, p->table_count, name, len, 0, &target);
	if (!row) {
		return unknown(p, arg, len + 2, "");
	}
	if (value && !option_takes_value(row)) {
		return vega_fail(p->err, VEGA_USAGE, "--%s takes no value", row->name);
	}
	return take(p, row, false, target, value);
}

/* A word with one dash that is no cluster. */
static int check_cluster(struct parser *p, const char *arg)
{
	size_t len = strcspn(arg, "=");
	char word[OPTION_NAME_MAX];
	void *target;
	if (len > 2 && len < sizeof word) {
		memcpy(word, arg, len);
		word[len] = '\0';
		if (option_word(p->tables, p->table_count, word)) {
			return unknown(p, arg, len, "");
		}
	}
	if (len > 2 && option_find(p->tables, p->table_count, arg + 1, len - 1, 0, &target)) {
		return vega_fail(p->err, VEGA_USAGE, "%s: long options have two dashes; write -%s",
		        arg, arg);
	}
	return 0;
}

static int parse_letters(struct parser *p, const char *arg)
{
	int code = check_cluster(p, arg);
	for (const char *s = arg + 1; !code && *s; s++) {
		void *target;
		const struct option_row *row =
		        option_find(p->tables, p->table_count, NULL, 0, *s, &target);
		if (!row) {
			return unknown(p, (char[]){'-', *s, '\0'}, 2, arg[2] ? arg : "");
		}
		if (row == &option_common_rows[0]) {
			p->asked = (bool *)((char *)target + row->offset);
		}
		bool value = option_takes_value(row) && !option_is_optional(row);
		code = take(p, row, true, target, value && s[1] ? s + 1 : NULL);
		if (value) {
			break;
		}
	}
	return code;
}

int option_parse(const struct option_table *tables, size_t table_count, int argc, char **argv,
        char ***operands, size_t *operand_count, int *rest, struct option_given *given,
        struct vega_error *err)
{
	struct parser p = {tables, table_count, argc, 1, argv, vega_now(), given, NULL, err};
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
			code = parse_long(&p, arg);
		} else {
			code = parse_letters(&p, arg);
		}
	}
	if (code && p.asked) {
		*p.asked = false;
	}
	if (code) {
		free(*operands);
		*operands = NULL;
		*operand_count = 0;
		if (given) {
			free(given->rows);
			given->rows = NULL;
			given->count = given->cap = 0;
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
