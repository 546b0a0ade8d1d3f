/* Option tables: the questions that a row answers, and the setting of its field from a text. */
#include "base/option.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/option_internal.h"

#define COMMON(member) .offset = offsetof(struct option_common, member)

const struct option_row option_common_rows[] = {
        {"help", 'h', OPT_FLAG, COMMON(help), 0, NULL, NULL, "Other", "print this help and exit"},
        {"version", 0, OPT_FLAG, COMMON(version), 0, NULL, NULL, "Other",
                "print the version and exit"},
        {"vega-options", 0, OPT_FLAG, COMMON(describe), 0, NULL, NULL, "Other", NULL},
};
const size_t option_common_count = sizeof option_common_rows / sizeof *option_common_rows;

const char *const option_type_names[] = {
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

bool option_takes_value(const struct option_row *row)
{
	return row->type != OPT_FLAG && row->type != OPT_COUNT;
}

/* May the value be left out? */
bool option_is_optional(const struct option_row *row)
{
	return row->metavar && row->metavar[0] == '[';
}

static bool can_be_given(const char *choice)
{
	return isalnum((unsigned char)*choice);
}

/* The choices that can be given, with a separator between. */
void option_add_choices(struct buf *out, const struct option_row *row, const char *separator)
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

/* One bit of an OPT_CHOICES field each. */
#define CHOICES_MAX 32

static bool row_well_formed(const struct option_row *row)
{
	bool chosen = row->type == OPT_CHOICE || row->type == OPT_CHOICES;
	size_t choices = 0;
	while (row->choices && row->choices[choices]) {
		choices++;
	}
	return row->name && strlen(row->name) <= OPTION_NAME_MAX && (row->heading || !row->help) &&
	       (row->type == OPT_FLAG || row->type == OPT_COUNT || chosen || row->metavar) &&
	       (option_takes_value(row) || !row->metavar) &&
	       (!option_is_optional(row) || row->type == OPT_TEXT || row->type == OPT_CHOICE) &&
	       chosen == (choices > 0) && choices <= CHOICES_MAX;
}

bool option_well_formed(const struct option_table *tables, size_t table_count)
{
	void *target;
	for (size_t t = 0; t < table_count; t++) {
		for (size_t i = 0; i < tables[t].count; i++) {
			const struct option_row *row = &tables[t].rows[i];
			if (!row_well_formed(row) ||
			        option_find(tables, table_count, row->name, strlen(row->name), 0,
			                &target) != row ||
			        (row->letter && option_find(tables, table_count, NULL, 0,
			                                row->letter, &target) != row)) {
				return false;
			}
		}
	}
	return true;
}

/* Most names differ in their first bytes. */
static bool is_name(const char *row, const char *name, size_t len)
{
	size_t at = 0;
	while (at < len && row[at] == name[at]) {
		at++;
	}
	return at == len && !row[at];
}

const struct option_row *option_find(const struct option_table *tables, size_t table_count,
        const char *name, size_t len, char letter, void **target)
{
	for (size_t t = 0; t < table_count; t++) {
		for (size_t i = 0; i < tables[t].count; i++) {
			const struct option_row *row = &tables[t].rows[i];
			bool found = name ? is_name(row->name, name, len) : row->letter == letter;
			if (found) {
				*target = tables[t].target;
				return row;
			}
		}
	}
	return NULL;
}

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
	option_add_choices(&allowed, row, ", ");
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
		if (!*text && option_is_optional(row)) {
			*(unsigned *)field = OPTION_CHOICE_BARE;
			return 0;
		}
		return find_choice(row, text, strlen(text), field, err);
	case OPT_CHOICES:
		return set_choices(row, field, text, err);
	case OPT_FLAG:
		break;
	}
	return VEGA_USAGE;
}

int option_set_at(const struct option_row *row, void *target, const char *text,
        struct vega_time now, struct vega_error *err)
{
	void *field = (char *)target + row->offset;
	if (row->type == OPT_FLAG) {
		return set_flag(row, field, text, err);
	}
	if (!text && option_is_optional(row)) {
		text = "";
	}
	if (!text && option_takes_value(row)) {
		return vega_fail(err, VEGA_USAGE, "--%s needs a value (%s)", row->name,
		        row->metavar ? row->metavar : option_type_names[row->type]);
	}
	struct vega_error cause = {0};
	int code = set_value(row, field, text, now, &cause);
	return code == VEGA_USAGE ? prefix_error(row, code, &cause, err)
	       : code             ? vega_fail(err, code, "%s", cause.text)
	                          : 0;
}

int option_set(const struct option_row *row, void *target, const char *text, struct vega_error *err)
{
	return option_set_at(row, target, text, vega_now(), err);
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
