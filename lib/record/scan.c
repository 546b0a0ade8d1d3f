#include "record/scan.h"

#include <string.h>

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip_space(const char *at, const char *end)
{
	while (at < end && is_space(*at)) {
		at++;
	}
	return at;
}

/* at: the opening quote. Returns what follows the closing one, or end. */
static const char *skip_string(const char *at, const char *end)
{
	for (at++; at < end; at++) {
		if (*at == '\\') {
			at++;
		} else if (*at == '"') {
			return at + 1;
		}
	}
	return end;
}

static const char *skip_value(const char *at, const char *end)
{
	size_t depth = 0;
	while (at < end) {
		if (*at == '"') {
			at = skip_string(at, end);
		} else if (*at == '{' || *at == '[') {
			depth++;
			at++;
		} else if (depth && (*at == '}' || *at == ']')) {
			depth--;
			at++;
		} else if (depth) {
			at++;
			continue;
		} else {
			while (at < end && !is_space(*at) && !strchr(",:]}", *at)) {
				at++;
			}
		}
		if (depth == 0) {
			return at;
		}
	}
	return end;
}

struct scan_value scan_text(const char *text, size_t len)
{
	const char *end = text + len, *at = skip_space(text, end);
	const char *after = skip_value(at, end);
	return after > at ? (struct scan_value){at, (size_t)(after - at)} : (struct scan_value){0};
}

/* The next value at *offset of a container, with the comma or colon before it skipped. */
static bool next_value(struct scan_value in, size_t *offset, struct scan_value *value)
{
	const char *at = in.at + *offset, *end = in.at + in.len - 1; /* the closing bracket */
	while (at < end && (is_space(*at) || *at == ',' || *at == ':')) {
		at++;
	}
	*value = at < end ? scan_text(at, (size_t)(end - at)) : (struct scan_value){0};
	*offset = value->at ? (size_t)(value->at + value->len - in.at) : in.len;
	return value->at;
}

struct scan_value scan_member(struct scan_value object, const char *key)
{
	size_t offset = 1, key_len = strlen(key);
	struct scan_value name, value;
	if (object.len < 2 || object.at[0] != '{') {
		return (struct scan_value){0};
	}
	while (next_value(object, &offset, &name) && next_value(object, &offset, &value)) {
		if (name.len == key_len + 2 && memcmp(name.at + 1, key, key_len) == 0) {
			return value;
		}
	}
	return (struct scan_value){0};
}

bool scan_item(struct scan_value array, size_t *offset, struct scan_value *item)
{
	if (array.len < 2 || array.at[0] != '[' || *offset >= array.len) {
		return false;
	}
	if (*offset == 0) {
		*offset = 1;
	}
	return next_value(array, offset, item);
}

bool scan_is_number(struct scan_value value)
{
	return value.len && (*value.at == '-' || (*value.at >= '0' && *value.at <= '9'));
}
