#include "record/format.h"

#include <cjson/cJSON.h>

#include "base/parse.h"

static double number(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
	return cJSON_IsNumber(item) && item->valuedouble > 0 ? item->valuedouble : 0;
}

void render_summary(
        struct buf *out, const struct format_options *options, const char *json, size_t len)
{
	(void)options;
	cJSON *summary = cJSON_ParseWithLength(json, len);
	const cJSON *sums = cJSON_GetObjectItemCaseSensitive(summary, "summarize");
	format_count(out, (unsigned __int128)number(sums, "files"));
	buf_add_str(out, " files, ");
	format_count(out, (unsigned __int128)number(sums, "directories"));
	buf_add_str(out, " directories, ");
	format_size(out, (unsigned __int128)number(sums, "allocated_bytes"));
	buf_add_char(out, '\n');
	cJSON_Delete(summary);
}
