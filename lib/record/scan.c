/* Looking into JSON text: values are found by skipping those before them, numbers read exactly. */
#include "record/scan.h"

#include <string.h>

#include "base/check.h"

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

static bool is_key(struct scan_value name, const char *key, size_t len)
{
	return name.len == len + 2 && memcmp(name.at + 1, key, len) == 0;
}

/* The member whose key is `len` bytes. */
static struct scan_value member(struct scan_value object, const char *key, size_t len)
{
	size_t offset = 1;
	struct scan_value name, value;
	if (object.len < 2 || object.at[0] != '{') {
		return (struct scan_value){0};
	}
	while (next_value(object, &offset, &name) && next_value(object, &offset, &value)) {
		CHECK(offset <= object.len);
		if (is_key(name, key, len)) {
			return value;
		}
	}
	return (struct scan_value){0};
}

struct scan_value scan_member(struct scan_value object, const char *key)
{
	return member(object, key, strlen(key));
}

void scan_members(
        struct scan_value object, const char *const *keys, size_t count, struct scan_value *values)
{
	size_t offset = 1;
	struct scan_value name, value;
	memset(values, 0, count * sizeof *values);
	if (object.len < 2 || object.at[0] != '{') {
		return;
	}
	while (next_value(object, &offset, &name) && next_value(object, &offset, &value)) {
		for (size_t i = 0; i < count; i++) {
			if (!values[i].at && is_key(name, keys[i], strlen(keys[i]))) {
				values[i] = value;
			}
		}
	}
}

struct scan_value scan_path(struct scan_value object, const char *path)
{
	for (;;) {
		size_t len = strcspn(path, ".");
		object = member(object, path, len);
		if (!path[len]) {
			return object;
		}
		path += len + 1;
	}
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

unsigned __int128 scan_count(struct scan_value value)
{
	unsigned __int128 count = 0;
	for (size_t i = 0; i < value.len; i++) {
		char c = value.at[i];
		if (c < '0' || c > '9') {
			return 0;
		}
		count = count < SCAN_COUNT_MAX ? count * 10 + (unsigned)(c - '0') : count;
	}
	return count < SCAN_COUNT_MAX ? count : SCAN_COUNT_MAX;
}

/* --- Strings ------------------------------------------------------------------------------ */

/* Four hexadecimal digits; -1 when they are not. */
static int read_unit(const char *at, const char *end)
{
	int unit = 0;
	if (end - at < 4) {
		return -1;
	}
	for (int i = 0; i < 4; i++) {
		static const char digits[] = "0123456789abcdef";
		const char *digit = at[i] ? strchr(digits, at[i] | 0x20) : NULL;
		if (!digit || (at[i] < '0')) {
			return -1;
		}
		unit = unit << 4 | (int)(digit - digits);
	}
	return unit;
}

static void add_utf8(struct buf *out, uint32_t code)
{
	if (code < 0x80) {
		buf_add_char(out, (char)code);
		return;
	}
	unsigned more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3; /* bytes after the first */
	static const uint8_t marks[] = {0, 0xc0, 0xe0, 0xf0};
	buf_add_char(out, (char)(marks[more] | code >> (6 * more)));
	while (more-- > 0) {
		buf_add_char(out, (char)(0x80 | (code >> (6 * more) & 0x3f)));
	}
}

/* What follows "\\u". Returns the bytes read, 0 when they are no character. */
static size_t add_unicode(struct buf *out, const char *at, const char *end)
{
	int high = read_unit(at, end), low;
	if (high < 0 || (high >= 0xdc00 && high < 0xe000)) {
		return 0;
	}
	uint32_t code = (uint32_t)high;
	size_t used = 4;
	if (high >= 0xd800 && high < 0xdc00) {
		if (end - at < 10 || at[4] != '\\' || at[5] != 'u') {
			return 0;
		}
		low = read_unit(at + 6, end);
		if (low < 0xdc00 || low >= 0xe000) {
			return 0;
		}
		code = 0x10000 + ((code - 0xd800) << 10 | ((uint32_t)low - 0xdc00));
		used = 10;
	}
	add_utf8(out, code);
	return used;
}

/* One escape, behind its backslash. Returns the bytes read, 0 when it is none. */
static size_t add_escape(struct buf *out, const char *at, const char *end)
{
	static const char letters[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
	if (at == end) {
		return 0;
	}
	if (*at == 'u') {
		size_t used = add_unicode(out, at + 1, end);
		return used ? used + 1 : 0;
	}
	const char *letter = *at ? strchr(letters, *at) : NULL;
	if (!letter) {
		return 0;
	}
	buf_add_char(out, bytes[letter - letters]);
	return 1;
}

bool scan_string(struct scan_value value, struct buf *out)
{
	size_t start = out->len;
	if (value.len < 2 || value.at[0] != '"' || value.at[value.len - 1] != '"') {
		return false;
	}
	const char *at = value.at + 1, *end = value.at + value.len - 1;
	while (at < end) {
		const char *escape = memchr(at, '\\', (size_t)(end - at));
		size_t plain = escape ? (size_t)(escape - at) : (size_t)(end - at);
		buf_add(out, at, plain);
		at += plain;
		if (!escape) {
			break;
		}
		size_t used = add_escape(out, at + 1, end);
		if (used == 0) {
			out->len = start;
			return false;
		}
		at += 1 + used;
	}
	return true;
}

/* --- Is it JSON? -------------------------------------------------------------------------- */

/* The text that is still to be judged. */
struct judged {
	const char *at, *end;
	unsigned depth;
};

static bool take(struct judged *j, char c)
{
	j->at = skip_space(j->at, j->end);
	if (j->at == j->end || *j->at != c) {
		return false;
	}
	j->at++;
	return true;
}

static bool take_string(struct judged *j)
{
	j->at = skip_space(j->at, j->end);
	const char *begin = j->at;
	if (begin == j->end || *begin != '"') {
		return false;
	}
	j->at = skip_string(begin, j->end);
	if (j->at - begin < 2 || j->at[-1] != '"') {
		return false;
	}
	size_t backslashes = 0; /* before the last byte: an odd number makes it part of the text */
	for (const char *c = j->at - 2; c > begin && *c == '\\'; c--) {
		backslashes++;
	}
	return backslashes % 2 == 0;
}

/* A number, true, false or null. */
static bool take_word(struct judged *j)
{
	static const char *const words[] = {"true", "false", "null"};
	size_t len = 0, left = (size_t)(j->end - j->at);
	while (len < left && j->at[len] && strchr("+-.0123456789eE", j->at[len])) {
		len++;
	}
	if (len && scan_is_number((struct scan_value){j->at, len})) {
		j->at += len;
		return true;
	}
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		len = strlen(words[i]);
		if (len <= left && memcmp(j->at, words[i], len) == 0) {
			j->at += len;
			return true;
		}
	}
	return false;
}

static bool take_value(struct judged *j);

static bool take_container(struct judged *j, bool object)
{
	const char closing = object ? '}' : ']';
	j->at++;
	if (take(j, closing)) {
		return true;
	}
	do {
		if (object && !(take_string(j) && take(j, ':'))) {
			return false;
		}
		if (!take_value(j)) {
			return false;
		}
	} while (take(j, ','));
	return take(j, closing);
}

static bool take_value(struct judged *j)
{
	j->at = skip_space(j->at, j->end);
	if (j->at == j->end) {
		return false;
	}
	char c = *j->at;
	if (c == '"') {
		return take_string(j);
	}
	if (c != '{' && c != '[') {
		return take_word(j);
	}
	if (j->depth == SCAN_DEPTH_MAX) {
		return false;
	}
	j->depth++;
	bool good = take_container(j, c == '{');
	j->depth--;
	CHECK(j->at <= j->end);
	return good;
}

bool scan_is_json(const char *text, size_t len)
{
	struct judged judged = {.at = text, .end = text + len};
	return take_value(&judged);
}
