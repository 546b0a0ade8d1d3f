/* From a specification to its canonical JSON. */
#include "spec/spec_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

static void write_bytes(struct json *json, const char *text)
{
	size_t len = strlen(text);
	if (utf8_valid(text, len)) {
		json_text(json, text, len);
		return;
	}
	struct buf base64 = BUF_INIT;
	buf_add_base64(&base64, text, len);
	const char *encoded = buf_cstr(&base64);
	json_object_begin(json);
	json_member_str(json, "b64", encoded ? encoded : "");
	json_object_end(json);
	json->out->failed |= !encoded;
	buf_release(&base64);
}

static void write_list(struct json *json, const struct strlist *list)
{
	json_array_begin(json);
	for (size_t i = 0; i < list->count; i++) {
		write_bytes(json, list->items[i]);
	}
	json_array_end(json);
}

static void write_number(struct json *json, uint64_t value)
{
	char digits[21];
	if (value <= SPEC_EXACT_MAX) {
		json_u64(json, value);
	} else {
		snprintf(digits, sizeof digits, "%" PRIu64, value);
		json_str(json, digits);
	}
}

static void write_choices(struct json *json, const struct option_row *row, uint32_t bits)
{
	json_array_begin(json);
	for (unsigned i = 0; row->choices[i]; i++) {
		if (bits & UINT32_C(1) << i) {
			json_str(json, row->choices[i]);
		}
	}
	json_array_end(json);
}

static void write_value(struct json *json, const struct option_row *row, const struct spec *spec)
{
	const void *field = spec_field(row, spec);
	switch (row->type) {
	case OPT_FLAG:
		json_bool(json, *(const bool *)field);
		break;
	case OPT_COUNT:
		json_u64(json, *(const unsigned *)field);
		break;
	case OPT_NUMBER:
	case OPT_SIZE:
	case OPT_DURATION:
		write_number(json, ((const struct option_number *)field)->value);
		break;
	case OPT_TIME: {
		const struct vega_time *time = &((const struct option_time *)field)->value;
		json_time(json, time->sec, time->nsec);
		break;
	}
	case OPT_TEXT:
		write_bytes(json, *(char *const *)field);
		break;
	case OPT_LIST:
		write_list(json, field);
		break;
	case OPT_CHOICE:
		if (option_is_optional(row) && *(const unsigned *)field == OPTION_CHOICE_BARE) {
			json_bool(json, true);
			break;
		}
		json_str(json, row->choices[*(const unsigned *)field]);
		break;
	case OPT_CHOICES:
		write_choices(json, row, *(const uint32_t *)field);
		break;
	}
}

static void write_members(struct json *json, const struct spec *spec)
{
	const struct option_row *row;
	json_object_begin(json);
	for (size_t i = 0; (row = spec_row_at(i)); i++) {
		char name[SPEC_NAME_SIZE];
		spec_json_name(row, name);
		if (*name && spec_row_is_set(row, spec)) {
			json_key(json, name);
			write_value(json, row, spec);
		}
	}
	json_object_end(json);
}

static bool has_options(const struct spec *spec)
{
	const struct option_row *row;
	for (size_t i = 0; (row = spec_row_at(i)); i++) {
		if (spec_row_is_set(row, spec)) {
			return true;
		}
	}
	return false;
}

static void write_options(struct json *json, const struct spec *spec)
{
	if (has_options(spec)) {
		json_key(json, "options");
		write_members(json, spec);
	}
	if (spec->without.count) {
		json_key(json, "not");
		json_array_begin(json);
		for (size_t i = 0; i < spec->without.count; i++) {
			write_members(json, spec->without.items[i]);
		}
		json_array_end(json);
	}
}

static void write_alternatives(struct json *json, const struct spec *spec)
{
	if (!spec->others.count) {
		return;
	}
	json_key(json, "or");
	json_array_begin(json);
	for (size_t i = 0; i < spec->others.count; i++) {
		json_object_begin(json);
		write_options(json, spec->others.items[i]);
		json_object_end(json);
	}
	json_array_end(json);
}

void spec_to_json(const struct spec *spec, struct buf *out)
{
	struct json json = json_writer(out);
	json_object_begin(&json);
	json_member_u64(&json, "v", SPEC_VERSION);
	json_key(&json, "operations");
	json_array_begin(&json);
	const struct operation *operation;
	for (unsigned i = 0; (operation = spec_next_operation(spec, &i));) {
		json_str(&json, operation->name);
	}
	json_array_end(&json);
	json_key(&json, "roots");
	write_list(&json, &spec->roots);
	write_options(&json, spec);
	write_alternatives(&json, spec);
	if (spec->command.count) {
		json_key(&json, "command");
		write_list(&json, &spec->command);
	}
	json_object_end(&json);
}
