/*
 * Taking a child's output apart into lines, and each line to its place: progress, summary, or
 * record. A child is not trusted: whatever breaks the protocol breaks this stream and nothing else.
 */
#include "child/stream.h"

#include <stdlib.h>

#include "base/json.h"

static const char type_key[] = "{\"type\":\"";

void stream_init(struct stream *stream, struct spool *spool)
{
	*stream = (struct stream){.spool = spool, .line = {.max = STREAM_LINE_MAX + 1}};
	json_check_init(&stream->check);
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

static bool starts_with(const char *text, size_t len, const char *prefix)
{
	size_t want = strlen(prefix);
	return len >= want && memcmp(text, prefix, want) == 0;
}

static bool is_progress(const char *line, size_t len)
{
	return starts_with(line, len, "{\"type\":\"progress\"");
}

static bool is_summary(const char *line, size_t len)
{
	return starts_with(line, len, "{\"type\":\"summary\"");
}

/* The part of a line that is new: a line of many megabytes is checked as it comes, so that the loop
 * never has all of them to do at once. */
static void check_on(struct stream *stream, const char *line, size_t len)
{
	if (is_summary(line, len) || is_progress(line, len)) {
		json_check_add(&stream->check, line + stream->checked, len - stream->checked);
		stream->checked = len;
	}
}

static void take_progress(struct stream *stream, const char *line, size_t len)
{
	if (len > STREAM_PROGRESS_MAX || !json_check_whole(&stream->check)) {
		stream_break(stream, "a progress record that cannot be read", line, len);
		return;
	}
	buf_clear(&stream->progress);
	buf_add(&stream->progress, line, len);
	stream->progress_is_new = buf_cstr(&stream->progress) != NULL;
}

/* A line that was held becomes the summary as it is: it may be most of what may be held. */
static void take_summary(struct stream *stream, const char *line, size_t len)
{
	if (!json_check_whole(&stream->check) || !stream->check.has_complete) {
		stream_break(stream, "a summary that cannot be read", line, len);
		return;
	}
	stream->summary =
	        line == stream->line.data ? buf_detach(&stream->line) : strndup(line, len);
	if (!stream->summary) {
		vega_fail_nomem(&stream->why);
		stream->broken = true;
	}
	stream->complete = stream->check.complete;
	stream->entries = stream->check.entries;
}

static bool has_control(const char *line, size_t len)
{
	unsigned char least = UINT8_MAX;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)line[i];
		least = c < least ? c : least;
	}
	return least < 0x20;
}

/* Only a command that got hold of the pipe writes a control byte: JSON has none within strings, and
 * vega-walk none elsewhere. Whoever looks at the records has a terminal. */
static void take_record(struct stream *stream, const char *line, size_t len)
{
	if (has_control(line, len)) {
		stream_break(stream, "a record with control characters", line, len);
	} else if (spool_add(stream->spool, line, len, &stream->why) < 0 ||
	           spool_add(stream->spool, "\n", 1, &stream->why) < 0) {
		stream->broken = true;
	}
}

static void take_line(struct stream *stream, const char *line, size_t len)
{
	check_on(stream, line, len);
	if (!starts_with(line, len, type_key) || line[len - 1] != '}') {
		stream_break(stream, "a line that is not a record", line, len);
	} else if (stream->summary) {
		stream_break(stream, "more after its summary", line, len);
	} else if (is_progress(line, len)) {
		take_progress(stream, line, len);
	} else if (is_summary(line, len)) {
		take_summary(stream, line, len);
	} else {
		take_record(stream, line, len);
	}
	json_check_init(&stream->check);
	stream->checked = 0;
}

static void hold(struct stream *stream, const char *bytes, size_t len)
{
	buf_add(&stream->line, bytes, len);
	if (stream->line.failed || stream->line.len > STREAM_LINE_MAX) {
		stream_break(
		        stream, "a line of more than 64 MiB", stream->line.data, stream->line.len);
	} else if (stream->line.len) {
		check_on(stream, stream->line.data, stream->line.len);
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
