/*
 * Taking a child's output apart into lines, and each line to its place: progress, summary, or
 * record. A child is not trusted: whatever breaks the protocol breaks this stream and nothing else.
 */
#include "child/stream.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

#include "base/json.h"

static const char type_key[] = "{\"type\":\"";

void stream_init(struct stream *stream, struct spool *spool)
{
	*stream = (struct stream){.spool = spool, .line = {.max = STREAM_LINE_MAX}};
}

void stream_release(struct stream *stream)
{
	buf_release(&stream->line);
	buf_release(&stream->progress);
	free(stream->summary);
	*stream = (struct stream){.spool = NULL};
}

void stream_clean(struct buf *out, const char *bytes, size_t len)
{
	while (len) {
		uint32_t code;
		size_t step = utf8_decode(bytes, len, &code);
		if (step && code) {
			buf_add(out, bytes, step);
		} else {
			buf_add_str(out, "\xEF\xBF\xBD");
			step = 1;
		}
		bytes += step;
		len -= step;
	}
}

static void stream_break(struct stream *stream, const char *what, const char *line, size_t len)
{
	struct buf shown = BUF_INIT;
	stream_clean(&shown, line, len < 80 ? len : 80);
	const char *text = buf_cstr(&shown);
	vega_fail(&stream->why, VEGA_FATAL, "vega-walk wrote %s: %s%s", what, text ? text : "",
	        len < 80 ? "" : "…");
	buf_release(&shown);
	stream->broken = true;
}

/* One JSON value and nothing behind it; NULL otherwise. */
static cJSON *parse_whole(const char *line, size_t len)
{
	const char *end = NULL;
	cJSON *json = utf8_valid(line, len) ? cJSON_ParseWithLengthOpts(line, len, &end, 0) : NULL;
	if (json && end != line + len) {
		cJSON_Delete(json);
		json = NULL;
	}
	return json;
}

static void take_progress(struct stream *stream, const char *line, size_t len)
{
	cJSON *json = len <= STREAM_PROGRESS_MAX ? parse_whole(line, len) : NULL;
	if (!json) {
		stream_break(stream, "a progress record that cannot be read", line, len);
	} else {
		buf_clear(&stream->progress);
		buf_add(&stream->progress, line, len);
		stream->progress_is_new = buf_cstr(&stream->progress) != NULL;
	}
	cJSON_Delete(json);
}

static void take_summary(struct stream *stream, const char *line, size_t len)
{
	cJSON *json = parse_whole(line, len);
	const cJSON *complete = cJSON_GetObjectItemCaseSensitive(json, "complete");
	const cJSON *ledger = cJSON_GetObjectItemCaseSensitive(json, "ledger");
	const cJSON *entries = cJSON_GetObjectItemCaseSensitive(ledger, "entries");
	if (!cJSON_IsBool(complete)) {
		stream_break(stream, "a summary that cannot be read", line, len);
	} else if (!(stream->summary = strndup(line, len))) {
		vega_fail_nomem(&stream->why);
		stream->broken = true;
	} else {
		stream->complete = cJSON_IsTrue(complete);
		stream->entries = cJSON_IsNumber(entries) ? entries->valuedouble : 0;
	}
	cJSON_Delete(json);
}

static void take_record(struct stream *stream, const char *line, size_t len)
{
	if (spool_add(stream->spool, line, len, &stream->why) < 0 ||
	        spool_add(stream->spool, "\n", 1, &stream->why) < 0) {
		stream->broken = true;
	}
}

static bool starts_with(const char *text, size_t len, const char *prefix)
{
	size_t want = strlen(prefix);
	return len >= want && memcmp(text, prefix, want) == 0;
}

static void take_line(struct stream *stream, const char *line, size_t len)
{
	size_t lead = sizeof type_key - 1;
	if (!starts_with(line, len, type_key) || line[len - 1] != '}') {
		stream_break(stream, "a line that is not a record", line, len);
	} else if (stream->summary) {
		stream_break(stream, "more after its summary", line, len);
	} else if (starts_with(line + lead, len - lead, "progress\"")) {
		take_progress(stream, line, len);
	} else if (starts_with(line + lead, len - lead, "summary\"")) {
		take_summary(stream, line, len);
	} else {
		take_record(stream, line, len);
	}
}

static void hold(struct stream *stream, const char *bytes, size_t len)
{
	buf_add(&stream->line, bytes, len);
	if (stream->line.failed) {
		stream_break(
		        stream, "a line of more than 64 MiB", stream->line.data, stream->line.len);
	}
}

void stream_add(struct stream *stream, const char *bytes, size_t len)
{
	while (len && !stream->broken) {
		const char *newline = memchr(bytes, '\n', len);
		size_t part = newline ? (size_t)(newline - bytes) : len;
		if (!newline || stream->line.len) {
			hold(stream, bytes, part);
		}
		if (!newline || stream->broken) {
			return;
		}
		if (stream->line.len) {
			take_line(stream, stream->line.data, stream->line.len);
			buf_clear(&stream->line);
		} else {
			take_line(stream, bytes, part);
		}
		bytes += part + 1;
		len -= part + 1;
	}
}

void stream_end(struct stream *stream)
{
	if (!stream->broken && stream->line.len) {
		stream_break(stream, "half a line", stream->line.data, stream->line.len);
	}
}
