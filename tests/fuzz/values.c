/* Sizes, lengths of time, and times: what was read and is written again reads as the same value. */
#include "fuzz.h"

#include "base/parse.h"

#define SECOND UINT64_C(1000000000)

/* Without the spaces that are written between numbers and units. */
static const char *packed(struct buf *text)
{
	size_t kept = 0;
	must(buf_cstr(text) != NULL, "no memory", "");
	for (size_t i = 0; i < text->len; i++) {
		if (text->data[i] != ' ') {
			text->data[kept++] = text->data[i];
		}
	}
	text->data[kept] = '\0';
	return text->data;
}

static uint64_t difference(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static void check_size(const char *text)
{
	uint64_t bytes, again;
	struct vega_error err = {0};
	struct buf out = BUF_INIT;
	int rc = parse_size(text, &bytes, &err);
	if (rc) {
		must_explain(rc, &err);
		return;
	}
	buf_add_u64(&out, bytes);
	must(parse_size(packed(&out), &again, &err) == 0 && again == bytes, "in bytes", text);
	buf_clear(&out);
	format_size(&out, bytes);
	rc = parse_size(packed(&out), &again, &err);
	/* A decimal of the unit, or none from 1000 on. The largest may be rounded up to 16 EiB. */
	uint64_t unit = 1;
	while (unit <= bytes / 1024) {
		unit *= 1024;
	}
	uint64_t near = unit == 1 ? 0 : bytes / unit >= 1000 ? unit / 2 : unit / 20 + 1;
	must(rc == 0 ? difference(again, bytes) <= near : bytes > UINT64_MAX - near, text,
	        out.data);
	buf_release(&out);
}

static void check_duration(const char *text)
{
	uint64_t length, again;
	struct vega_error err = {0};
	struct buf out = BUF_INIT;
	int rc = parse_duration(text, &length, &err);
	if (rc) {
		must_explain(rc, &err);
		return;
	}
	format_duration(&out, length);
	must(parse_duration(packed(&out), &again, &err) == 0, text, err.text);
	/* Two units, the rest is cut: less than an hour of days, a minute of hours. */
	uint64_t cut = length >= 86400 * SECOND  ? 3600 * SECOND
	               : length >= 3600 * SECOND ? 60 * SECOND
	               : length >= 60 * SECOND   ? SECOND
	                                         : SECOND / 100;
	must(again <= length && length - again < cut, text, out.data);
	buf_release(&out);
}

static void check_time(const char *text)
{
	const struct vega_time now = {1767225600, 123456789};
	struct vega_time when, again;
	struct vega_error err = {0};
	struct buf out = BUF_INIT;
	if (strchr(text, '/')) { /* would ask for the mtime of any file */
		return;
	}
	int rc = parse_time(text, now, &when, &err);
	if (rc) {
		must_explain(rc, &err);
		return;
	}
	must(when.nsec < SECOND, "nanoseconds", text);
	format_time(&out, when);
	must(parse_time(buf_cstr(&out), now, &again, &err) == 0, text, out.data);
	must(vega_time_compare(when, again) == 0, text, out.data);
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size);
	uint64_t number;
	struct vega_error err = {0};
	int rc = parse_u64(text, &number, &err);
	if (rc) {
		must_explain(rc, &err);
	}
	check_size(text);
	check_duration(text);
	check_time(text);
	free(text);
	return 0;
}
