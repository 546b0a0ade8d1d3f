/* Values that several formats write, and members that several pictures read. */
#include "record/record_internal.h"

#include <stdio.h>

#include "base/escape.h"

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

void record_add_path(struct buf *out, struct scan_value object, const char *key)
{
	char exact[64];
	snprintf(exact, sizeof exact, "%s_b64", key);
	const char *const keys[] = {exact, key};
	struct scan_value values[2];
	struct buf encoded = BUF_INIT;
	scan_members(object, keys, 2, values);
	if (!values[0].at || !scan_string(values[0], &encoded) ||
	        !buf_add_base64_decoded(out, encoded.data ? encoded.data : "", encoded.len)) {
		scan_string(values[1], out);
	}
	out->failed |= encoded.failed;
	buf_release(&encoded);
}

unsigned __int128 record_count(struct scan_value object, const char *path)
{
	return scan_count(scan_path(object, path));
}
