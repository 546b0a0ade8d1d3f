/* Text: a line per entry, and for people on a terminal, the picture of the summary. */
#include "record/record_internal.h"

#include "base/escape.h"
#include "record/render.h"

/* The hot path of find: one reservation, three copies. */
static void add_raw(struct buf *out, const struct record *record, char end)
{
	if (!buf_reserve(out, record->lead_len + record->dir_len + record->name_len + 1)) {
		return;
	}
	char *at = out->data + out->len;
	if (record->lead_len) {
		at = mempcpy(at, record->lead, record->lead_len);
	}
	if (record->dir_len) {
		at = mempcpy(at, record->dir, record->dir_len);
	}
	if (record->name_len) {
		at = mempcpy(at, record->name, record->name_len);
	}
	*at++ = end;
	out->len = (size_t)(at - out->data);
}

static bool sum_escapes(const struct record *record)
{
	return record->text == RECORD_TEXT_SUM &&
	       (escape_sum_needed(record->dir, record->dir_len) ||
	               escape_sum_needed(record->name, record->name_len));
}

static void add_line(
        struct buf *out, const struct format_options *options, const struct record *record)
{
	bool sum = !options->null && sum_escapes(record);
	if (options->null || (!options->terminal && !sum)) {
		add_raw(out, record, options->null ? '\0' : '\n');
		return;
	}
	if (sum) {
		buf_add_char(out, '\\');
	}
	buf_add(out, record->lead, record->lead_len);
	if (options->terminal) { /* writes what a sum line escapes in the same way, and more */
		record_add_escaped(out, options, record->dir, record->dir_len);
		record_add_escaped(out, options, record->name, record->name_len);
	} else {
		escape_sum(out, record->dir, record->dir_len);
		escape_sum(out, record->name, record->name_len);
	}
	buf_add_char(out, '\n');
}

static void add_output(
        struct buf *out, const struct format_options *options, const struct record *record)
{
	struct record output = {.name = record->fields[0].text, .name_len = record->fields[0].len};
	add_line(out, options, &output);
}

static void text_record(
        struct buf *out, const struct format_options *options, const struct record *record)
{
	if (record->type != RECORD_ENTRY || record->text == RECORD_TEXT_NONE) {
		return;
	}
	if (record->text == RECORD_TEXT_OUTPUT) {
		add_output(out, options, record);
	} else {
		add_line(out, options, record);
	}
}

/* The picture belongs to the operations whose answer it is; others have printed theirs. */
static bool is_answer(const struct format_options *options, const char *json, size_t len)
{
	if (options->only && options->terminal && options->only->answers_on_terminal) {
		return true;
	}
	struct scan_value summary = scan_text(json, len);
	for (size_t i = 0; options->schemas && options->schemas[i]; i++) {
		if (options->schemas[i]->answers_in_summary &&
		        scan_member(summary, options->schemas[i]->name).at) {
			return true;
		}
	}
	return false;
}

static void text_summary(
        struct buf *out, const struct format_options *options, const char *json, size_t len)
{
	if (is_answer(options, json, len)) {
		render_summary(out, options, json, len);
	}
}

const struct format format_text = {
        .name = "text",
        .picture = true,
        .help = "for people, and for pipes: one line per entry",
        .record = text_record,
        .summary = text_summary,
};
