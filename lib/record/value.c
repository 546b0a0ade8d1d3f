#include "record/record_internal.h"

#include <cjson/cJSON.h>
#include <stdio.h>

#include "base/escape.h"

#define NUMBER_MAX 1e38 /* below 2^128, so that it converts */

void record_mode_text(char text[static 5], uint32_t mode)
{
	for (unsigned i = 0; i < 4; i++) {
		text[i] = (char)('0' + (mode >> (9 - 3 * i) & 7));
	}
	text[4] = '\0';
}

void record_add_escaped(
        struct buf *out, const struct format_options *options, const char *bytes, size_t len)
{
	size_t from = out->len;
	escape_terminal(out, bytes, len);
	if (options->utf8 || out->len == from) {
		return;
	}
	/* Elsewhere these bytes may be anything, C1 controls among them. */
	struct buf text = BUF_INIT;
	buf_add(&text, out->data + from, out->len - from);
	out->len = from;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];
		if (c < 0x80) {
			buf_add_char(out, (char)c);
		} else {
			buf_printf(out, "\\%03o", c);
		}
	}
	out->failed |= text.failed;
	buf_release(&text);
}

void record_add_path(struct buf *out, const cJSON *object, const char *key)
{
	char exact[64];
	snprintf(exact, sizeof exact, "%s_b64", key);
	const char *encoded = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, exact));
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
	if (encoded && buf_add_base64_decoded(out, encoded, strlen(encoded))) {
		return;
	}
	if (text) {
		buf_add_str(out, text);
	}
}

double record_number(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
	double value = cJSON_IsNumber(item) ? item->valuedouble : 0;
	return value > 0 ? (value < NUMBER_MAX ? value : NUMBER_MAX) : 0;
}
