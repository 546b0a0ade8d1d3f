/* Finished jobs in Redis: what comes out is what went in, or nothing. */
#include "store/result_cache.h"

#include "base/redis.h"
#include "store/store.h"
#include "../redis_server.h"
#include "../tap.h"

#define ID "0190b3a3-1e82-7000-8000-000000000001"

static struct redis_server server;

static struct result_cache *open_cache(void)
{
	struct result_cache *cache = NULL;
	struct vega_error err = {0};
	is_int(result_cache_open(server.url, &cache, &err), 0, "the cache is opened %s", err.text);
	return cache;
}

static struct job finished_job(void)
{
	static char spec[] = "{\"v\":1}", queue[] = "default", labels[] = "{}";
	static char summary[] = "{\"bytes\":9007199254740993}", tail[] = "half\xe2\x82 \xff\n";
	static char records[] = "{\"path\":\"a\"}\n", worker[] = "";
	struct job job = {.id = ID,
	        .spec = spec,
	        .queue = queue,
	        .labels = labels,
	        .priority = -7,
	        .max_attempts = 3,
	        .created = {-1, 999999999},
	        .state = JOB_FAILED,
	        .attempt = 2,
	        .lease_seq = UINT64_MAX,
	        .worker = worker,
	        .finished = {INT64_MAX, 1},
	        .cancel_requested = true,
	        .summary = summary,
	        .records = records,
	        .records_size = UINT64_C(1) << 63,
	        .stderr_tail = tail,
	        .exit_code = 128 + 9};
	return job;
}

static void same_job(const struct job *got, const struct job *wanted)
{
	is_str(got->id, wanted->id, "a cached job has its id");
	is_str(got->spec, wanted->spec, "a cached job has its spec");
	is_str(got->submitter, NULL, "a cached job has no absent member");
	is_str(got->queue, wanted->queue, "a cached job has its queue");
	is_str(got->labels, wanted->labels, "a cached job has its labels");
	is_str(got->worker, "", "a cached job keeps empty strings");
	is_str(got->summary, wanted->summary, "a cached job has its summary");
	is_str(got->records, wanted->records, "a cached job has its records");
	is_str(got->stderr_tail, wanted->stderr_tail,
	        "a cached job keeps bytes that are not UTF-8");
	is_str(got->error, NULL, "a cached job has no error");
	ok(got->priority == -7 && got->max_attempts == 3 && got->attempt == 2 &&
	                got->state == JOB_FAILED && got->cancel_requested && got->exit_code == 137,
	        "a cached job has its small numbers");
	ok(got->lease_seq == UINT64_MAX && got->records_size == UINT64_C(1) << 63,
	        "a cached job has its large numbers");
	ok(vega_time_compare(got->created, wanted->created) == 0 &&
	                vega_time_compare(got->finished, wanted->finished) == 0 &&
	                got->started.sec == 0,
	        "a cached job has its times");
}

static void round_trip(struct result_cache *cache)
{
	struct job job = finished_job(), got;
	ok(!result_cache_get(cache, ID, 0, &got) && !got.spec, "a job is not in the cache before");
	result_cache_put(cache, &job, STORE_PART_RESULT | STORE_PART_RECORDS);
	ok(result_cache_get(cache, ID, STORE_PART_RESULT, &got), "a job is in the cache after");
	same_job(&got, &job);
	job_release(&got);

	job.state = JOB_PROCESSING;
	job.priority = 99;
	result_cache_put(cache, &job, STORE_PART_RESULT);
	ok(result_cache_get(cache, ID, 0, &got) && got.priority == -7,
	        "a job that is not finished is not kept");
	job_release(&got);

	job = finished_job();
	job.records = NULL;
	result_cache_put(cache, &job, STORE_PART_RESULT);
	ok(!result_cache_get(cache, ID, STORE_PART_RESULT | STORE_PART_RECORDS, &got),
	        "a job cached without its records does not answer for them");
	ok(result_cache_get(cache, ID, STORE_PART_RESULT, &got),
	        "a job cached without its records answers for the rest");
	job_release(&got);

	struct job large = finished_job();
	large.records = malloc(3 << 20);
	memset(large.records, 'x', (3 << 20) - 1);
	large.records[(3 << 20) - 1] = '\0';
	strcpy(large.id, "0190b3a3-1e82-7000-8000-000000000002");
	result_cache_put(cache, &large, 3);
	ok(!result_cache_get(cache, large.id, 0, &got), "a large job is not cached");
	result_cache_put(cache, &job, 3);
	ok(result_cache_get(cache, ID, 3, &got), "a large job spoils no other");
	job_release(&got);
	free(large.records);
}

static void damage(struct result_cache *cache)
{
	struct redis *redis;
	struct buf value = BUF_INIT;
	struct job job = finished_job(), got;
	static const char key[] = "vega:job:" ID;
	static const char other[] = "vega:job:0190b3a3-1e82-7000-8000-000000000003";
	result_cache_put(cache, &job, 3);
	ok(!result_cache_trouble(cache), "a job is stored in the cache");
	ok(redis_new(server.url, &redis, NULL) == 0 &&
	                redis_get(redis, key, sizeof key - 1, &value),
	        "a cached job is under its key");
	unsigned believed = 0;
	for (size_t at = 0; at < value.len; at += 7) {
		value.data[at] ^= 0x20;
		redis_put(redis, key, sizeof key - 1, value.data, value.len, 0);
		redis_settle(redis);
		value.data[at] ^= 0x20;
		believed += result_cache_get(cache, ID, 0, &got);
	}
	is_int(believed, 0, "a damaged value is ignored");
	redis_put(redis, key, sizeof key - 1, value.data, value.len - 1, 0);
	redis_settle(redis);
	ok(!result_cache_get(cache, ID, 0, &got), "a truncated value is ignored");
	redis_put(redis, other, sizeof other - 1, value.data, value.len, 0);
	redis_settle(redis);
	ok(!result_cache_get(cache, other + strlen("vega:job:"), 0, &got),
	        "a value of another job is ignored");
	ok(redis_server_command(&server, "DEL vega:job:" ID) &&
	                redis_server_command(&server, "RPUSH vega:job:" ID " x"),
	        "a list is put under the key");
	ok(!result_cache_get(cache, ID, 0, &got) && !result_cache_trouble(cache),
	        "a list under the key is ignored");
	redis_put(redis, key, sizeof key - 1, value.data, value.len, 0);
	redis_settle(redis);
	ok(result_cache_get(cache, ID, 0, &got), "an undamaged value is accepted again");
	job_release(&got);
	redis_free(redis);
	buf_release(&value);
}

int main(void)
{
	struct job job = finished_job(), got;
	struct result_cache *cache = NULL;
	struct vega_error err = {0};
	signal(SIGPIPE, SIG_IGN);
	redis_server_start(&server, NULL, NULL);
	cache = open_cache();
	round_trip(cache);
	damage(cache);
	redis_server_stop(&server);
	ok(!result_cache_get(cache, ID, 0, &got), "an unreachable Redis has no job");
	ok(result_cache_trouble(cache), "an unreachable Redis has a reason");
	result_cache_put(cache, &job, 3);
	result_cache_close(cache);

	is_int(result_cache_open("none", &cache, &err), 0, "the cache none is opened");
	ok(!cache && !result_cache_get(cache, ID, 0, &got), "the cache none has no job");
	result_cache_put(cache, &job, 3);
	ok(!result_cache_trouble(cache), "the cache none has no trouble");
	result_cache_close(cache);
	is_int(result_cache_open("memcached://x", &cache, &err), VEGA_USAGE, "%s", err.text);
	redis_server_remove(&server);
	return done();
}
