/*
 * The reader of summaries: what it finds lies within the text; in what cJSON reads too, it finds
 * as much as cJSON does.
 */
#include "fuzz.h"

#include <cjson/cJSON.h>

#include "record/scan.h"

static const char *text_begin, *text_end;

static void must_lie_within(struct scan_value value)
{
	must(!value.at || (value.len && value.at >= text_begin &&
	                          value.len <= (size_t)(text_end - value.at)),
	        "outside of the text", text_begin);
}

/* Whatever the text is. */
static void look_into(struct scan_value value, unsigned depth)
{
	static const char *const keys[] = {"", "a", "type", "ledger"};
	struct scan_value item;
	size_t offset = 0, count = 0;
	must_lie_within(value);
	if (!value.at || depth == 8) {
		return;
	}
	struct buf bytes = BUF_INIT;
	scan_is_number(value);
	must(scan_count(value) <= SCAN_COUNT_MAX, "a count without bound", value.at);
	must(scan_string(value, &bytes) || bytes.len == 0, "bytes of no string", value.at);
	buf_release(&bytes);
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		look_into(scan_member(value, keys[i]), depth + 1);
	}
	while (count < 4 && scan_item(value, &offset, &item)) {
		look_into(item, depth + 1);
		count++;
	}
}

static void must_agree(struct scan_value value, const cJSON *json, const char *text)
{
	struct scan_value item;
	size_t offset = 0, items = 0;
	must(value.at != NULL, "not found", text);
	must(scan_is_number(value) == (bool)cJSON_IsNumber(json), "a number or not", text);
	struct buf bytes = BUF_INIT;
	must(scan_string(value, &bytes) == (bool)cJSON_IsString(json), "a string or not", text);
	must(!cJSON_IsString(json) ||
	                strcmp(bytes.len ? buf_cstr(&bytes) : "", json->valuestring) == 0,
	        "its bytes", text);
	buf_release(&bytes);
	while (scan_item(value, &offset, &item)) {
		must(cJSON_IsArray(json), "not an array", text);
		must_agree(item, cJSON_GetArrayItem(json, (int)items++), text);
	}
	must(!cJSON_IsArray(json) || (int)items == cJSON_GetArraySize(json), "items", text);
	for (const cJSON *child = cJSON_IsObject(json) ? json->child : NULL; child;
	        child = child->next) {
		must_agree(scan_member(value, child->string),
		        cJSON_GetObjectItemCaseSensitive(json, child->string), text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *exact = malloc(size ? size : 1); /* not ended by NUL, as in a record */
	memcpy(exact, data, size);
	text_begin = exact;
	text_end = exact + size;
	struct scan_value whole = scan_text(exact, size);
	look_into(whole, 0);
	scan_is_json(exact, size);
	free(exact);

	char *text = fuzz_string(data, size);
	bool plain = true; /* as a JSON writer makes it; keys are compared as they are written */
	for (size_t i = 0; i < size; i++) {
		plain = plain && data[i] >= ' ' && data[i] < 0x7f && data[i] != '\\';
	}
	cJSON *json = plain ? cJSON_ParseWithOpts(text, NULL, 1) : NULL;
	if (json) {
		must(scan_is_json(text, size), "JSON", text);
		must_agree(scan_text(text, size), json, text);
	}
	cJSON_Delete(json);
	free(text);
	return 0;
}
