/* From the arguments of a call to what a store can hold: clean text, ids, queues, times, deadlines.
 */

#include "store/store_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void add_clean(struct buf *out, const char *text)
{
	utf8_add(out, text, strlen(text));
}

bool store_clean(struct arena *arena, const char **text)
{
	if (!*text || utf8_valid(*text, strlen(*text))) {
		return true;
	}
	struct buf clean = BUF_INIT;
	add_clean(&clean, *text);
	*text = clean.failed ? NULL : arena_copy(arena, clean.data, clean.len);
	buf_release(&clean);
	return *text != NULL;
}

int store_key_taken(const struct store_request *request, const char *first, struct vega_error *err)
{
	return vega_fail(err, VEGA_USAGE,
	        "the idempotency key '%s' was used for job %s, which is not the same "
	        "specification; use another key",
	        request->idempotency_key, first);
}

int store_id(const char *id, char canonical[UUID_TEXT], struct vega_error *err)
{
	if (!uuid_valid(id)) {
		return vega_fail(err, VEGA_USAGE, "'%s' is not a job id", id);
	}
	for (size_t i = 0; i < UUID_TEXT; i++) {
		canonical[i] = (char)(id[i] >= 'A' && id[i] <= 'F' ? id[i] | 0x20 : id[i]);
	}
	return 0;
}

int store_split_label(const char *label, struct arena *arena, const char **key, const char **value,
        struct vega_error *err)
{
	const char *equals = label ? strchr(label, '=') : NULL;
	*key = *value = NULL;
	if (!label) {
		return 0;
	}
	if (!equals || equals == label) {
		return vega_fail(err, VEGA_USAGE, "'%s' is not a label; say KEY=VALUE", label);
	}
	*key = arena_copy(arena, label, (size_t)(equals - label));
	*value = equals + 1;
	return *key ? 0 : vega_fail_nomem(err);
}

enum store_queues store_queues(const struct strlist *queues, struct buf *parameter)
{
	size_t count = queues ? queues->count : 0;
	if (count == 0) {
		return QUEUES_ANY;
	}
	if (count == 1) {
		add_clean(parameter, queues->items[0]);
		return QUEUES_ONE;
	}
	struct json json = json_writer(parameter);
	json_array_begin(&json);
	for (size_t i = 0; i < count; i++) {
		json_str(&json, queues->items[i]);
	}
	json_array_end(&json);
	return QUEUES_MANY;
}

int64_t store_time_us(struct vega_time when)
{
	const int64_t first = -62135596800, last = 253402300799; /* 0001-01-01, 9999-12-31 */
	int64_t sec = when.sec < first ? first : when.sec > last ? last : when.sec;
	return sec * 1000000 + when.nsec / 1000;
}

int64_t store_limit(uint64_t limit)
{
	return limit < INT64_MAX ? (int64_t)limit : INT64_MAX;
}

int64_t store_span_us(uint64_t ms)
{
	const uint64_t most = (uint64_t)1000 * 365 * 86400 * 1000;
	return (int64_t)(ms < most ? ms : most) * 1000;
}

bool store_mend_due(uint64_t *at)
{
	uint64_t now = monotonic_ms();
	bool due = *at == 0 || now - *at >= STORE_MEND_MS;
	*at = due ? now : *at;
	return due;
}

unsigned store_timeout(unsigned timeout_ms)
{
	return timeout_ms == 0 ? 15000 : timeout_ms < INT32_MAX ? timeout_ms : INT32_MAX;
}

int store_left_ms(uint64_t deadline)
{
	uint64_t now = monotonic_ms();
	uint64_t left = deadline > now ? deadline - now : 0;
	return left > INT32_MAX ? INT32_MAX : (int)left;
}

unsigned store_jitter(unsigned low, unsigned high)
{
	static _Thread_local unsigned state;
	if (state == 0) {
		struct timespec now;
		clock_gettime(CLOCK_MONOTONIC, &now);
		state = (unsigned)now.tv_nsec ^ (unsigned)getpid() << 16 ^ 1u;
	}
	return low + (unsigned)rand_r(&state) % (high - low + 1);
}
