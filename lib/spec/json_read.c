/* From JSON to a specification: strictly, because it may be anyone's. */
#include "spec/spec_internal.h"

#include <inttypes.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/json.h"

/* {"options":{"name":[{"b64":"…"}]}} is the deepest that there is to read. */
#define DEPTH_MAX 8

/*
 * What cJSON would let through or pay too much for: NUL (also as \u0000, which would cut a string
 * short), invalid UTF-8, deep nesting, and more values than any honest specification has.
 */
static int scan(const char *json, size_t len, struct vega_error *err)
{
	if (len > SPEC_JSON_MAX) {
		return vega_fail(err, VEGA_USAGE,
		        "the specification is larger than %zu MiB; name fewer roots",
		        SPEC_JSON_MAX >> 20);
	}
	if (!utf8_valid(json, len)) {
		return vega_fail(err, VEGA_USAGE,
		        "the specification is not JSON: it is not UTF-8 text without NUL (write "
		        "other bytes as {\"b64\":\"…\"})");
	}
	bool in_string = false;
	unsigned depth = 0;
	size_t values = 0;
	for (size_t i = 0; i < len; i++) {
		char c = json[i];
		if (in_string && c == '\\') {
			i++;
			if (len - i >= 5 && memcmp(json + i, "u0000", 5) == 0) {
				return vega_fail(err, VEGA_USAGE,
				        "the specification holds a NUL (\\u0000) at byte %zu",
				        i - 1);
			}
		} else if (c == '"') {
			in_string = !in_string;
		} else if (!in_string && (c == '[' || c == '{')) {
			depth++;
			values++;
		} else if (!in_string && (c == ']' || c == '}')) {
			depth -= depth > 0;
		} else if (!in_string && c == ',') {
			values++;
		}
		if (depth > DEPTH_MAX) {
			return vega_fail(err, VEGA_USAGE,
			        "the specification is nested too deeply at byte %zu", i);
		}
		if (values > SPEC_JSON_VALUES_MAX) {
			return vega_fail(err, VEGA_USAGE,
			        "the specification holds more than %d values; name fewer roots",
			        SPEC_JSON_VALUES_MAX);
		}
	}
	return 0;
}

static int parse_text(const char *text, size_t len, cJSON **out, struct vega_error *err)
{
	const char *end = text;
	int code = scan(text, len, err);
	if (code != 0) {
		return code;
	}
	*out = cJSON_ParseWithLengthOpts(text, len, &end, 0);
	while (*out && end < text + len && strchr(" \t\r\n", *end)) {
		end++;
	}
	if (!*out || end != text + len) {
		return vega_fail(err, VEGA_USAGE, "the specification is not JSON, from byte %zu on",
		        (size_t)(end - text));
	}
	if (!cJSON_IsObject(*out)) {
		return vega_fail(err, VEGA_USAGE, "the specification is not a JSON object");
	}
	return 0;
}

static int wrong_type(const char *name, const char *wanted, struct vega_error *err)
{
	return vega_fail(err, VEGA_USAGE, "\"%s\" in the specification is to be %s", name, wanted);
}

static int base64_digit(char c)
{
	static const char digits[] =
	        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

/* Padded base64 of bytes without NUL, and nothing else. */
static bool decode_base64(const char *text, struct buf *out)
{
	size_t len = strlen(text);
	if (len % 4) {
		return false;
	}
	for (size_t i = 0; i < len; i += 4) {
		unsigned keep = 3;
		if (i + 4 == len) {
			keep -= (unsigned)(text[i + 3] == '=');
			keep -= (unsigned)(text[i + 3] == '=' && text[i + 2] == '=');
		}
		uint32_t bits = 0;
		for (unsigned k = 0; k <= 3; k++) {
			int digit = k <= keep ? base64_digit(text[i + k]) : 0;
			if (digit < 0) {
				return false;
			}
			bits = bits << 6 | (uint32_t)digit;
		}
		if (bits & (UINT32_C(0xffffff) >> (8 * keep))) {
			return false;
		}
		for (unsigned k = 0; k < keep; k++) {
			char byte = (char)(bits >> (16 - 8 * k) & 0xff);
			if (!byte) {
				return false;
			}
			buf_add_char(out, byte);
		}
	}
	return true;
}

/* A JSON string, or {"b64":"…"}. *bytes is owned by the item or by `scratch`. */
static int read_bytes(const cJSON *item, const char *name, struct buf *scratch, const char **bytes,
        struct vega_error *err)
{
	if (cJSON_IsString(item)) {
		*bytes = item->valuestring;
		return 0;
	}
	const cJSON *member = cJSON_IsObject(item) ? item->child : NULL;
	if (!member || member->next || strcmp(member->string, "b64") != 0 ||
	        !cJSON_IsString(member)) {
		return wrong_type(name, "made of strings or {\"b64\":\"…\"}", err);
	}
	buf_clear(scratch);
	if (!decode_base64(member->valuestring, scratch)) {
		return vega_fail(err, VEGA_USAGE,
		        "\"%s\" in the specification has a \"b64\" that is not padded base64, or "
		        "that holds a NUL",
		        name);
	}
	*bytes = buf_cstr(scratch);
	return *bytes ? 0 : vega_fail_nomem(err);
}

static int read_text(const cJSON *item, const char *name, char **text, struct vega_error *err)
{
	struct buf scratch = BUF_INIT;
	const char *bytes;
	int code = read_bytes(item, name, &scratch, &bytes, err);
	if (code == 0) {
		*text = strdup(bytes);
		code = *text ? 0 : vega_fail_nomem(err);
	}
	buf_release(&scratch);
	return code;
}

static int read_list(
        const cJSON *item, const char *name, struct strlist *list, struct vega_error *err)
{
	struct buf scratch = BUF_INIT;
	int code = cJSON_IsArray(item) ? 0 : wrong_type(name, "an array of strings", err);
	for (const cJSON *each = item->child; code == 0 && each; each = each->next) {
		const char *bytes;
		code = read_bytes(each, name, &scratch, &bytes, err);
		if (code == 0 && !strlist_add(list, bytes)) {
			code = vega_fail_nomem(err);
		}
	}
	buf_release(&scratch);
	return code;
}

/* Sets *exact: the item is a number, not a text. */
static int read_exact(
        const cJSON *item, const char *name, uint64_t *value, bool *exact, struct vega_error *err)
{
	*exact = cJSON_IsNumber(item);
	if (!*exact) {
		return cJSON_IsString(item) ? 0 : wrong_type(name, "a number or a string", err);
	}
	double number = item->valuedouble;
	if (!(number >= 0) || number > (double)SPEC_EXACT_MAX ||
	        number != (double)(uint64_t)number) {
		return wrong_type(
		        name, "a whole number below 2^53; write a larger one as a string", err);
	}
	*value = (uint64_t)number;
	return 0;
}

static int read_number(const cJSON *item, const char *name, const struct option_row *row,
        struct spec *spec, struct vega_error *err)
{
	struct option_number *field = spec_field(row, spec);
	bool exact;
	int code = read_exact(item, name, &field->value, &exact, err);
	if (code != 0) {
		return code;
	}
	const char *text = item->valuestring;
	if (!exact && row->type == OPT_DURATION && *text && !text[strspn(text, "0123456789")]) {
		code = parse_u64(
		        text, &field->value, err); /* nanoseconds; argv would want a unit */
		exact = true;
	}
	field->set = exact && code == 0;
	return exact ? code : option_set(row, spec, text, err);
}

static int read_choices(const cJSON *item, const char *name, const struct option_row *row,
        struct spec *spec, struct vega_error *err)
{
	int code = cJSON_IsArray(item) ? 0 : wrong_type(name, "an array of strings", err);
	for (const cJSON *each = item->child; code == 0 && each; each = each->next) {
		code = cJSON_IsString(each) ? option_set(row, spec, each->valuestring, err)
		                            : wrong_type(name, "an array of strings", err);
	}
	return code;
}

static int read_value(
        const cJSON *item, const struct option_row *row, struct spec *spec, struct vega_error *err)
{
	const char *name = item->string;
	void *field = spec_field(row, spec);
	switch (row->type) {
	case OPT_FLAG:
		*(bool *)field = cJSON_IsTrue(item);
		return cJSON_IsBool(item) ? 0 : wrong_type(name, "true or false", err);
	case OPT_NUMBER:
	case OPT_SIZE:
	case OPT_DURATION:
		return read_number(item, name, row, spec, err);
	case OPT_TIME:
		if (!cJSON_IsString(item) || strchr(item->valuestring, '/')) {
			return wrong_type(name, "a time, as RFC 3339 or \"@SECONDS\"", err);
		}
		return option_set(row, spec, item->valuestring, err);
	case OPT_TEXT:
		return read_text(item, name, field, err);
	case OPT_LIST:
		return read_list(item, name, field, err);
	case OPT_CHOICE:
		if (option_is_optional(row) && cJSON_IsBool(item)) {
			*(unsigned *)field = cJSON_IsTrue(item) ? OPTION_CHOICE_BARE : 0;
			return 0;
		}
		__attribute__((fallthrough));
	case OPT_COUNT:
		return cJSON_IsString(item) ? option_set(row, spec, item->valuestring, err)
		                            : wrong_type(name, "a string", err);
	case OPT_CHOICES:
		return read_choices(item, name, row, spec, err);
	}
	return 0;
}

static const struct option_row *find_row(const char *json)
{
	char name[SPEC_NAME_SIZE];
	const struct option_row *row;
	for (size_t i = 0; (row = spec_row_at(i)); i++) {
		spec_json_name(row, name);
		if (*name && strcmp(name, json) == 0) {
			return row;
		}
	}
	return NULL;
}

static int twice(const char *name, struct vega_error *err)
{
	return vega_fail(err, VEGA_USAGE, "the specification has \"%s\" twice", name);
}

/* There is never more to compare with than there are options. */
static bool seen_before(const cJSON *options, const cJSON *item)
{
	const cJSON *each = options->child;
	while (each != item && strcmp(each->string, item->string) != 0) {
		each = each->next;
	}
	return each != item;
}

static int read_options(
        const cJSON *options, struct spec *spec, bool predicates, struct vega_error *err)
{
	if (!cJSON_IsObject(options)) {
		return wrong_type(options->string ? options->string : "not", "an object", err);
	}
	for (const cJSON *item = options->child; item; item = item->next) {
		const struct option_row *row = find_row(item->string);
		if (!row || (predicates && !spec_is_predicate(row))) {
			return vega_fail(err, VEGA_USAGE,
			        "the specification has the option \"%s\", which this VegaFS does "
			        "not know",
			        item->string);
		}
		int code = seen_before(options, item) ? twice(item->string, err)
		                                      : read_value(item, row, spec, err);
		if (code != 0) {
			return code;
		}
	}
	return 0;
}

/* "not": each is an object of predicates. */
static int read_not(const cJSON *list, struct spec *spec, struct vega_error *err)
{
	int code = cJSON_IsArray(list) ? 0 : wrong_type("not", "an array of objects", err);
	for (const cJSON *each = list->child; code == 0 && each; each = each->next) {
		struct spec *set;
		code = spec_add_set(&spec->without, &set, err);
		code = code ? code : read_options(each, set, true, err);
	}
	return code;
}

static int read_set(const cJSON *object, struct spec *set, struct vega_error *err)
{
	if (!cJSON_IsObject(object)) {
		return wrong_type("or", "an array of objects", err);
	}
	for (const cJSON *item = object->child; item; item = item->next) {
		int code = seen_before(object, item) ? twice(item->string, err)
		           : strcmp(item->string, "options") == 0
		                   ? read_options(item, set, true, err)
		           : strcmp(item->string, "not") == 0 ? read_not(item, set, err)
		                                              : wrong_type("or",
		                                                        "made of \"options\" and "
		                                                        "\"not\"",
		                                                        err);
		if (code != 0) {
			return code;
		}
	}
	return 0;
}

static int read_or(const cJSON *list, struct spec *spec, struct vega_error *err)
{
	int code = cJSON_IsArray(list) ? 0 : wrong_type("or", "an array of objects", err);
	for (const cJSON *each = list->child; code == 0 && each; each = each->next) {
		struct spec *set;
		code = spec_add_set(&spec->others, &set, err);
		code = code ? code : read_set(each, set, err);
	}
	return code;
}

static int read_operations(const cJSON *item, struct spec *spec, struct vega_error *err)
{
	if (!cJSON_IsArray(item)) {
		return wrong_type(item->string, "an array of operations' names", err);
	}
	for (const cJSON *each = item->child; each; each = each->next) {
		const char *name = cJSON_IsString(each) ? each->valuestring : NULL;
		uint32_t bit = name ? spec_operation_bit(name, strlen(name)) : 0;
		if (!bit) {
			return vega_fail(err, VEGA_USAGE,
			        "the specification names an operation \"%s\" that this VegaFS "
			        "does not have",
			        name ? name : "?");
		}
		spec->operations |= bit;
	}
	return 0;
}

static int read_version(const cJSON *item, struct vega_error *err)
{
	uint64_t version = 0;
	bool exact;
	int code = read_exact(item, item->string, &version, &exact, err);
	if (code == 0 && (!exact || version < 1)) {
		code = wrong_type(item->string, "a version, 1 or above", err);
	}
	if (code == 0 && version > SPEC_VERSION) {
		code = vega_fail(err, VEGA_USAGE,
		        "the specification has version %" PRIu64
		        ", made by a newer VegaFS; upgrade this one",
		        version);
	}
	return code;
}

enum member {
	MEMBER_V,
	MEMBER_OPERATIONS,
	MEMBER_ROOTS,
	MEMBER_OPTIONS,
	MEMBER_NOT,
	MEMBER_OR,
	MEMBER_COMMAND,
	MEMBERS
};
static const char *const member_names[MEMBERS] = {
        "v", "operations", "roots", "options", "not", "or", "command"};

/* Finds the members, each at most once. The version is judged first: a newer one may well have
 * other members. */
static int find_members(const cJSON *object, const cJSON *members[MEMBERS], struct vega_error *err)
{
	const cJSON *unknown = NULL;
	for (const cJSON *item = object->child; item; item = item->next) {
		unsigned i = 0;
		while (i < MEMBERS && strcmp(item->string, member_names[i]) != 0) {
			i++;
		}
		if (i == MEMBERS) {
			unknown = item;
		} else if (members[i]) {
			return twice(item->string, err);
		} else {
			members[i] = item;
		}
	}
	for (unsigned i = MEMBER_V; i <= MEMBER_ROOTS; i++) {
		if (!members[i]) {
			return vega_fail(err, VEGA_USAGE, "the specification has no \"%s\"",
			        member_names[i]);
		}
	}
	int code = read_version(members[MEMBER_V], err);
	if (code == 0 && unknown) {
		code = vega_fail(err, VEGA_USAGE,
		        "the specification has a member \"%s\", which this VegaFS does not know",
		        unknown->string);
	}
	return code;
}

int spec_parse_json(struct spec *spec, const char *json, size_t len, struct vega_error *err)
{
	cJSON *object = NULL;
	const cJSON *members[MEMBERS] = {0};
	int code = parse_text(json, len, &object, err);
	if (code == 0) {
		code = find_members(object, members, err);
	}
	if (code == 0) {
		code = read_operations(members[MEMBER_OPERATIONS], spec, err);
	}
	if (code == 0) {
		code = read_list(members[MEMBER_ROOTS], "roots", &spec->roots, err);
	}
	if (code == 0 && members[MEMBER_OPTIONS]) {
		code = read_options(members[MEMBER_OPTIONS], spec, false, err);
	}
	if (code == 0 && members[MEMBER_NOT]) {
		code = read_not(members[MEMBER_NOT], spec, err);
	}
	if (code == 0 && members[MEMBER_OR]) {
		code = read_or(members[MEMBER_OR], spec, err);
	}
	if (code == 0 && members[MEMBER_COMMAND]) {
		code = read_list(members[MEMBER_COMMAND], "command", &spec->command, err);
	}
	cJSON_Delete(object);
	if (code != 0) {
		return code;
	}
	spec_normalize(spec);
	return spec_check(spec, err);
}
