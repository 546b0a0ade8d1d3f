/* Bytes made safe to show: names on a terminal, names in checksum files, and the number of
 * columns that a text takes. */
#include "base/escape.h"

#include <locale.h>
#include <pthread.h>
#include <wchar.h>

#include "base/json.h"

static void add_octal(struct buf *out, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)bytes[i];
		char text[4] = {'\\', (char)('0' + (c >> 6)), (char)('0' + (c >> 3 & 7)),
		        (char)('0' + (c & 7))};
		buf_add(out, text, sizeof text);
	}
}

static void add_special(struct buf *out, char c)
{
	static const char from[] = "\n\t\r\033\\", to[] = "ntre\\";
	const char *at = c ? strchr(from, c) : NULL;
	if (at) {
		buf_add_char(out, '\\');
		buf_add_char(out, to[at - from]);
	} else {
		add_octal(out, &c, 1);
	}
}

void escape_terminal(struct buf *out, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t run = i;
		while (run < len && bytes[run] >= ' ' && bytes[run] < 0x7f && bytes[run] != '\\') {
			run++;
		}
		buf_add(out, bytes + i, run - i);
		i = run;
		if (i == len) {
			break;
		}
		uint32_t code = 0;
		size_t step = utf8_decode(bytes + i, len - i, &code);
		if (step <= 1) {
			add_special(out, bytes[i]);
			step = 1;
		} else if (utf8_hidden(code)) {
			add_octal(out, bytes + i, step);
		} else {
			buf_add(out, bytes + i, step);
		}
		i += step;
	}
}

bool escape_sum_needed(const char *bytes, size_t len)
{
	return memchr(bytes, '\n', len) || memchr(bytes, '\\', len) || memchr(bytes, '\r', len);
}

void escape_sum(struct buf *out, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		switch (bytes[i]) {
		case '\n':
			buf_add(out, "\\n", 2);
			break;
		case '\r':
			buf_add(out, "\\r", 2);
			break;
		case '\\':
			buf_add(out, "\\\\", 2);
			break;
		default:
			buf_add_char(out, bytes[i]);
		}
	}
}

/* wcwidth() answers by the locale, and the process may be in "C": this one knows Unicode. */
static locale_t unicode;

static void open_locale(void)
{
	unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
}

static size_t wide_width(const char *bytes, size_t len)
{
	size_t width = 0;
	for (size_t i = 0; i < len;) {
		uint32_t code = 0;
		size_t step = utf8_decode(bytes + i, len - i, &code);
		int columns = step > 1 && unicode ? wcwidth((wchar_t)code) : 1;
		width += columns < 0 ? 1 : (size_t)columns;
		i += step ? step : 1;
	}
	return width;
}

size_t display_width(const char *bytes, size_t len)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	size_t ascii = 0;
	while (ascii < len && bytes[ascii] >= 0) {
		ascii++;
	}
	if (ascii == len) {
		return len;
	}
	pthread_once(&once, open_locale);
	locale_t before = unicode ? uselocale(unicode) : NULL;
	size_t width = ascii + wide_width(bytes + ascii, len - ascii);
	if (before) {
		uselocale(before);
	}
	return width;
}
