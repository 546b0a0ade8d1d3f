/* JSON: one object, the summary as it is. */
#include "record/record_internal.h"

static void json_summary(
        struct buf *out, const struct format_options *options, const char *json, size_t len)
{
	(void)options;
	buf_add(out, json, len);
	buf_add_char(out, '\n');
}

const struct format format_json = {
        .name = "json",
        .whole_summary = true,
        .help = "one JSON object: the summary",
        .summary = json_summary,
};
