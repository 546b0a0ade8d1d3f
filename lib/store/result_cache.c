/*
 * A job as one sealed value in Redis: fixed members, then its strings. A value of another version,
 * another job or fewer parts than are asked for counts as absent.
 */
#include "store/result_cache.h"

#include <stdlib.h>

#include "base/redis.h"
#include "base/seal.h"
#include "store/store.h"

#define KIND 0x4a4f4203u /* raise with every change of what follows the seal */
#define VALUE_MAX ((size_t)1 << 20)
#define EXPIRE_S (24 * 60 * 60)

struct result_cache {
	struct redis *redis;
	struct buf value;
};

/* The members with owned strings, in the order in which they are stored. */
static const size_t strings[] = {
        offsetof(struct job, spec),
        offsetof(struct job, submitter),
        offsetof(struct job, queue),
        offsetof(struct job, idempotency_key),
        offsetof(struct job, labels),
        offsetof(struct job, worker),
        offsetof(struct job, progress),
        offsetof(struct job, error),
        offsetof(struct job, summary),
        offsetof(struct job, records),
        offsetof(struct job, records_uri),
        offsetof(struct job, records_digest),
        offsetof(struct job, stderr_tail),
};
#define STRINGS (sizeof strings / sizeof *strings)
#define ABSENT UINT32_MAX

/* What a value begins with, after its seal. The strings follow. */
struct fixed {
	char id[UUID_TEXT];
	uint32_t parts;
	uint64_t lease_seq, committed_seq;
	struct job_limits limits;
	int64_t times[5];
	uint32_t nanoseconds[5];
	int32_t priority, state, exit_code, cancel_requested;
	uint32_t max_attempts, attempt;
	uint64_t records_size;
	uint32_t lengths[STRINGS]; /* ABSENT: NULL */
};

static char **string_at(const struct job *job, size_t index)
{
	return (char **)(uintptr_t)((const char *)job + strings[index]);
}

static struct vega_time *time_at(struct job *job, size_t index)
{
	struct vega_time *times[5] = {
	        &job->created, &job->not_before, &job->lease_until, &job->started, &job->finished};
	return times[index];
}

static void make_key(struct buf *key, const char *id)
{
	buf_printf(key, "vega:job:%s", id);
}

/* --- Put --- */

static void pack(struct buf *value, const struct job *job, unsigned parts)
{
	struct fixed fixed;
	struct job copy = *job;
	memset(&fixed, 0, sizeof fixed);
	memcpy(fixed.id, job->id, sizeof fixed.id);
	fixed.parts = parts;
	fixed.lease_seq = job->lease_seq;
	fixed.committed_seq = job->committed_seq;
	fixed.limits = job->limits;
	for (size_t i = 0; i < 5; i++) {
		fixed.times[i] = time_at(&copy, i)->sec;
		fixed.nanoseconds[i] = time_at(&copy, i)->nsec;
	}
	fixed.priority = job->priority;
	fixed.state = (int32_t)job->state;
	fixed.exit_code = job->exit_code;
	fixed.cancel_requested = job->cancel_requested;
	fixed.max_attempts = job->max_attempts;
	fixed.attempt = job->attempt;
	fixed.records_size = job->records_size;
	for (size_t i = 0; i < STRINGS; i++) {
		const char *string = *string_at(job, i);
		size_t len = string ? strlen(string) : 0;
		value->failed |= len >= VALUE_MAX;
		fixed.lengths[i] = string ? (uint32_t)len : ABSENT;
	}
	buf_add(value, &fixed, sizeof fixed);
	for (size_t i = 0; i < STRINGS; i++) {
		if (fixed.lengths[i] != ABSENT) {
			buf_add(value, *string_at(job, i), fixed.lengths[i]);
		}
	}
}

void result_cache_put(struct result_cache *cache, const struct job *job, unsigned parts)
{
	if (!cache || !job_state_terminal(job->state)) {
		return;
	}
	struct buf key = BUF_INIT;
	make_key(&key, job->id);
	buf_clear(&cache->value);
	seal_begin(&cache->value, KIND);
	pack(&cache->value, job, parts);
	seal_end(&cache->value, key.data, key.len);
	if (!key.failed && !cache->value.failed) {
		redis_put(cache->redis, key.data, key.len, cache->value.data, cache->value.len,
		        EXPIRE_S);
	}
	buf_release(&key);
}

/* --- Get --- */

static bool unpack_strings(struct job *job, const struct fixed *fixed, const char *at, size_t left)
{
	for (size_t i = 0; i < STRINGS; i++) {
		size_t len = fixed->lengths[i];
		if (len == ABSENT) {
			continue;
		}
		if (len > left) {
			return false;
		}
		char *string = malloc(len + 1);
		if (!string) {
			return false;
		}
		memcpy(string, at, len);
		string[len] = '\0';
		*string_at(job, i) = string;
		at += len;
		left -= len;
	}
	return left == 0;
}

/* The job in a value whose seal is good; what it returns false for may be half filled. */
static bool unpack(struct job *job, const struct buf *value, const char *id, unsigned parts)
{
	struct fixed fixed;
	if (value->len < SEAL_SIZE + sizeof fixed) {
		return false;
	}
	memcpy(&fixed, value->data + SEAL_SIZE, sizeof fixed);
	if (fixed.state < 0 || fixed.state >= JOB_STATES ||
	        !job_state_terminal((enum job_state)fixed.state) ||
	        strncmp(fixed.id, id, sizeof fixed.id) != 0 || (parts & ~fixed.parts)) {
		return false;
	}
	memcpy(job->id, fixed.id, sizeof job->id);
	job->lease_seq = fixed.lease_seq;
	job->committed_seq = fixed.committed_seq;
	job->limits = fixed.limits;
	for (size_t i = 0; i < 5; i++) {
		*time_at(job, i) = (struct vega_time){fixed.times[i], fixed.nanoseconds[i]};
	}
	job->priority = fixed.priority;
	job->state = (enum job_state)fixed.state;
	job->exit_code = fixed.exit_code;
	job->cancel_requested = fixed.cancel_requested != 0;
	job->max_attempts = fixed.max_attempts;
	job->attempt = fixed.attempt;
	job->records_size = fixed.records_size;
	return unpack_strings(job, &fixed, value->data + SEAL_SIZE + sizeof fixed,
	        value->len - SEAL_SIZE - sizeof fixed);
}

bool result_cache_get(struct result_cache *cache, const char *id, unsigned parts, struct job *job)
{
	memset(job, 0, sizeof *job);
	if (!cache) {
		return false;
	}
	struct buf key = BUF_INIT;
	make_key(&key, id);
	bool found = !key.failed && redis_get(cache->redis, key.data, key.len, &cache->value) &&
	             seal_good(&cache->value, KIND, key.data, key.len) &&
	             unpack(job, &cache->value, id, parts);
	if (!found) {
		job_release(job);
		memset(job, 0, sizeof *job);
	}
	buf_release(&key);
	return found;
}

/* --- Life --- */

int result_cache_open(const char *url, struct result_cache **out, struct vega_error *err)
{
	*out = NULL;
	if (!url || !*url || strcmp(url, "none") == 0) {
		return 0;
	}
	struct result_cache *cache = calloc(1, sizeof *cache);
	if (!cache) {
		return vega_fail_nomem(err);
	}
	cache->value.max = VALUE_MAX;
	int code = redis_new(url, &cache->redis, err);
	if (code) {
		free(cache);
		return code;
	}
	*out = cache;
	return 0;
}

const char *result_cache_trouble(struct result_cache *cache)
{
	if (!cache) {
		return NULL;
	}
	redis_settle(cache->redis);
	return redis_trouble(cache->redis);
}

void result_cache_close(struct result_cache *cache)
{
	if (cache) {
		redis_free(cache->redis);
		buf_release(&cache->value);
		free(cache);
	}
}
