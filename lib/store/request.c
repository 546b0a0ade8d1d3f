/* The limits on what a submitter may say, each with the message for the one who went beyond it. */
#include "store/request.h"

#include <limits.h>
#include <string.h>

#include "base/json.h"
#include "base/parse.h"
#include "base/uuid.h"

#define YEAR_10000 INT64_C(253402300800)
#define MILLISECOND UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

static int check_text(const char *what, const char *text, struct vega_error *err)
{
	size_t len = strlen(text);
	if (len == 0 || len > REQUEST_TEXT_MAX || !utf8_valid(text, len)) {
		return vega_fail(err, VEGA_USAGE, "%s %s: not 1-%d bytes of UTF-8 text", what,
		        len ? text : "''", REQUEST_TEXT_MAX);
	}
	return 0;
}

int request_check(const struct store_request *request, struct vega_error *err)
{
	int code = request->queue ? check_text("queue", request->queue, err) : 0;
	if (code == 0 && request->idempotency_key) {
		code = check_text("idempotency key", request->idempotency_key, err);
	}
	if (code == 0 && request->max_attempts > REQUEST_ATTEMPTS_MAX) {
		code = vega_fail(err, VEGA_USAGE, "%u attempts: the most is %d",
		        request->max_attempts, REQUEST_ATTEMPTS_MAX);
	}
	if (code == 0 && (request->not_before.sec < 0 || request->not_before.sec >= YEAR_10000)) {
		code = vega_fail(
		        err, VEGA_USAGE, "a job can wait for a time from 1970 to 9999 only");
	}
	return code;
}

int request_limits(const struct option_number *time, const struct option_number *memory,
        const struct option_number *output, struct job_limits *limits, struct vega_error *err)
{
	*limits = (struct job_limits){.timeout_ms = time->value / MILLISECOND,
	        .memory_bytes = memory->value,
	        .output_bytes = output->value};
	if (time->set && limits->timeout_ms == 0) {
		return vega_fail(err, VEGA_USAGE, "--max-time must be at least 1ms");
	}
	if (memory->set && memory->value < REQUEST_MEMORY_MIN) {
		return vega_fail(err, VEGA_USAGE, "--max-memory must be at least 16M");
	}
	if (output->set && output->value == 0) {
		return vega_fail(err, VEGA_USAGE, "--max-output must be greater than 0");
	}
	return 0;
}

/* Does a label before labels->items[index] have the same name of len bytes? */
static bool repeats(const struct strlist *labels, size_t index, size_t len)
{
	for (size_t i = 0; i < index; i++) {
		if (strncmp(labels->items[i], labels->items[index], len + 1) == 0) {
			return true;
		}
	}
	return false;
}

int request_labels(const struct strlist *labels, struct buf *out, struct vega_error *err)
{
	struct json json = json_writer(out);
	json_object_begin(&json);
	for (size_t i = 0; i < labels->count; i++) {
		const char *label = labels->items[i];
		size_t len = strcspn(label, "=");
		int code = check_text("label", label, err);
		if (code == 0 && (len == 0 || !label[len])) {
			code = vega_fail(err, VEGA_USAGE, "label %s: not of the form K=V", label);
		} else if (code == 0 && repeats(labels, i, len)) {
			code = vega_fail(err, VEGA_USAGE, "label %s: %.*s is given twice", label,
			        (int)len, label);
		}
		if (code != 0) {
			return code;
		}
		char key[REQUEST_TEXT_MAX + 1] = "";
		memcpy(key, label, len);
		json_member_str(&json, key, label + len + 1);
	}
	json_object_end(&json);
	return out->failed ? vega_fail_nomem(err) : 0;
}

int request_priority(const char *text, int *priority, struct vega_error *err)
{
	uint64_t value = 0;
	bool negative = text && *text == '-';
	if (text && (parse_u64(text + negative, &value, NULL) != 0 || value > INT_MAX)) {
		return vega_fail(err, VEGA_USAGE,
		        "--priority %s: not a whole number from -%d to %d", text, INT_MAX, INT_MAX);
	}
	*priority = negative ? -(int)value : (int)value;
	return 0;
}

int request_after(const char *text, struct vega_time *when, struct vega_error *err)
{
	uint64_t delay;
	struct vega_time now = vega_now();
	if (!text) {
		return 0;
	}
	if (parse_duration(text, &delay, NULL) == 0) {
		uint64_t nsec = now.nsec + delay % SECOND;
		*when = (struct vega_time){now.sec + (int64_t)(delay / SECOND + nsec / SECOND),
		        (uint32_t)(nsec % SECOND)};
		return 0;
	}
	if (strchr(text, '/') || parse_time(text, now, when, NULL) != 0) {
		return vega_fail(err, VEGA_USAGE,
		        "--after %s: not a time; use e.g. 2026-01-31, 2026-01-31T12:00:00Z, "
		        "@1767225600, or 90min, 2h, 7d from now",
		        text);
	}
	return 0;
}

int request_each(const struct store_request *pattern, const struct strlist *texts,
        struct strlist *keys, struct store_request *requests, struct vega_error *err)
{
	struct buf key = BUF_INIT;
	bool keyed = keys && pattern->idempotency_key;
	int code = 0;
	for (size_t i = 0; code == 0 && i < texts->count; i++) {
		struct store_request *request = &requests[i];
		*request = *pattern;
		request->spec = texts->items[i];
		uuid7(request->id);
		if (keyed) {
			buf_clear(&key);
			buf_printf(&key, "%s/%zu", pattern->idempotency_key, i + 1);
			code = buf_cstr(&key) && strlist_add(keys, key.data) ? 0
			                                                     : vega_fail_nomem(err);
		}
		if (code == 0 && keyed) {
			request->idempotency_key = keys->items[i];
			code = request_check(request, err);
		}
	}
	buf_release(&key);
	return code;
}
