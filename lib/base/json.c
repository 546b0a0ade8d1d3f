/* The JSON writer: commas, escapes and valid UTF-8 whatever bytes it is given. Also the decoder
 * of UTF-8 that the rest of the library uses. */
#include "base/json.h"

#include "base/check.h"
#include "base/parse.h"

static void separate(struct json *j)
{
	uint64_t bit = (uint64_t)1 << (j->depth & 63);
	if (j->after_key) {
		j->after_key = false;
	} else if (j->started & bit) {
		buf_add_char(j->out, ',');
	}
	j->started |= bit;
}

static void open_level(struct json *j, char bracket)
{
	separate(j);
	buf_add_char(j->out, bracket);
	j->depth++;
	if (j->depth >= 64) {
		j->out->failed = true;
	}
	j->started &= ~((uint64_t)1 << (j->depth & 63));
}

void json_object_begin(struct json *j)
{
	open_level(j, '{');
}

static void close_level(struct json *j, char bracket)
{
	CHECK(j->depth > 0 && !j->after_key);
	j->depth--;
	buf_add_char(j->out, bracket);
}

void json_object_end(struct json *j)
{
	close_level(j, '}');
}

void json_array_begin(struct json *j)
{
	open_level(j, '[');
}

void json_array_end(struct json *j)
{
	close_level(j, ']');
}

void json_key(struct json *j, const char *key)
{
	CHECK(j->depth > 0 && !j->after_key);
	json_str(j, key);
	buf_add_char(j->out, ':');
	j->after_key = true;
}

size_t utf8_decode(const char *bytes, size_t len, uint32_t *code)
{
	const unsigned char *s = (const unsigned char *)bytes;
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	if (len == 0) {
		return 0;
	}
	if (s[0] < 0x80) {
		*code = s[0];
		return 1;
	}
	size_t need = s[0] >= 0xf0 && s[0] < 0xf8 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 0;
	if (need == 0 || s[0] >= 0xf8 || len < need) {
		return 0;
	}
	uint32_t value = s[0] & (0xffu >> (need + 1));
	for (size_t i = 1; i < need; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			return 0;
		}
		value = value << 6 | (s[i] & 0x3f);
	}
	if (value < least[need] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) {
		return 0;
	}
	*code = value;
	return need;
}

bool utf8_hidden(uint32_t code)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
	        {0x061c, 0x061c},
	        {0x200b, 0x200f},
	        {0x2028, 0x202e},
	        {0x2060, 0x2069},
	        {0xfeff, 0xfeff},
	        {0xe0000, 0xe007f},
	};
	if (code < ' ' || (code >= 0x7f && code < 0xa0)) {
		return true;
	}
	for (size_t i = 0; code >= ranges[0].first && i < sizeof ranges / sizeof *ranges; i++) {
		if (code >= ranges[i].first && code <= ranges[i].last) {
			return true;
		}
	}
	return false;
}

bool utf8_valid(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len;) {
		if (bytes[i] > 0) { /* ASCII, as most bytes of most paths are */
			i++;
			continue;
		}
		uint32_t code;
		size_t step = utf8_decode(bytes + i, len - i, &code);
		if (step == 0 || code == 0) {
			return false;
		}
		i += step;
	}
	return true;
}

/* Bytes that stand for themselves in a JSON string: printable ASCII but for the quote and
 * backslash. */
static const bool plain[256] = {
        [' '] = true,
        ['!'] = true,
        ['#' ... '['] = true,
        [']' ... '~'] = true,
};

static void add_escaped(struct buf *out, uint32_t code)
{
	switch (code) {
	case '"':
		buf_add(out, "\\\"", 2);
		break;
	case '\\':
		buf_add(out, "\\\\", 2);
		break;
	case '\n':
		buf_add(out, "\\n", 2);
		break;
	case '\t':
		buf_add(out, "\\t", 2);
		break;
	case '\r':
		buf_add(out, "\\r", 2);
		break;
	default:
		if (code > UINT16_MAX) { /* a surrogate pair */
			buf_printf(out, "\\u%04x", 0xd7c0 + (code >> 10));
			code = 0xdc00 | (code & 0x3ff);
		}
		buf_printf(out, "\\u%04x", code);
	}
}

void json_text(struct json *j, const char *bytes, size_t len)
{
	separate(j);
	buf_add_char(j->out, '"');
	for (size_t i = 0; i < len;) {
		size_t run = i;
		while (run < len && plain[(unsigned char)bytes[run]]) {
			run++;
		}
		buf_add(j->out, bytes + i, run - i);
		i = run;
		if (i == len) {
			break;
		}
		uint32_t code = 0;
		size_t step = utf8_decode(bytes + i, len - i, &code);
		if (step == 0 || code == 0) {
			buf_add(j->out, "\xef\xbf\xbd", 3);
			i++;
		} else if (code < 0x7f || utf8_hidden(code)) { /* a terminal may obey it */
			add_escaped(j->out, code);
			i += step;
		} else {
			buf_add(j->out, bytes + i, step);
			i += step;
		}
	}
	buf_add_char(j->out, '"');
}

void json_str(struct json *j, const char *string)
{
	json_text(j, string, strlen(string));
}

void json_u64(struct json *j, uint64_t value)
{
	separate(j);
	buf_add_u64(j->out, value);
}

void json_i64(struct json *j, int64_t value)
{
	separate(j);
	if (value < 0) {
		buf_add_char(j->out, '-');
	}
	buf_add_u64(j->out, value < 0 ? (uint64_t)0 - (uint64_t)value : (uint64_t)value);
}

void json_u128(struct json *j, unsigned __int128 value)
{
	separate(j);
	buf_add_u128(j->out, value);
}

void json_bool(struct json *j, bool value)
{
	json_raw(j, value ? "true" : "false", value ? 4 : 5);
}

void json_null(struct json *j)
{
	json_raw(j, "null", 4);
}

/* Outside of strings JSON is ASCII and white space, so escapes land where they may stand. */
void json_raw(struct json *j, const char *value, size_t len)
{
	separate(j);
	for (size_t i = 0; i < len;) {
		size_t run = i;
		while (run < len && value[run] >= ' ' && value[run] < 0x7f) {
			run++;
		}
		buf_add(j->out, value + i, run - i);
		i = run;
		if (i == len) {
			break;
		}
		uint32_t code = 0;
		size_t step = utf8_decode(value + i, len - i, &code);
		if (step == 0 || code == 0) {
			buf_add(j->out, "\xef\xbf\xbd", 3);
			i++;
			continue;
		}
		if (utf8_hidden(code) && code != '\t' && code != '\n' && code != '\r') {
			add_escaped(j->out, code);
		} else {
			buf_add(j->out, value + i, step);
		}
		i += step;
	}
}

void json_time(struct json *j, int64_t seconds, uint32_t nanoseconds)
{
	separate(j);
	buf_add_char(j->out, '"');
	format_time(j->out, (struct vega_time){seconds, nanoseconds});
	buf_add_char(j->out, '"');
}

void json_member_u64(struct json *j, const char *key, uint64_t value)
{
	json_key(j, key);
	json_u64(j, value);
}

void json_member_u128(struct json *j, const char *key, unsigned __int128 value)
{
	json_key(j, key);
	json_u128(j, value);
}

void json_member_str(struct json *j, const char *key, const char *value)
{
	json_key(j, key);
	json_str(j, value);
}

void json_member_path(struct json *j, const char *key, const char *bytes, size_t len)
{
	json_key(j, key);
	json_text(j, bytes, len);
	if (!utf8_valid(bytes, len)) {
		separate(j);
		buf_printf(j->out, "\"%s_b64\":\"", key);
		buf_add_base64(j->out, bytes, len);
		buf_add_char(j->out, '"');
	}
}

void utf8_add(struct buf *out, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len;) {
		uint32_t code;
		size_t step = utf8_decode(bytes + i, len - i, &code);
		if (step) {
			buf_add(out, bytes + i, step);
		} else {
			buf_add_str(out, "\xef\xbf\xbd");
		}
		i += step ? step : 1;
	}
}
