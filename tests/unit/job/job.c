/* The states of a job and the delay of its retries; its JSON. */
#include "../tap.h"

#include <stdlib.h>

#include "job/job.h"

static void states(void)
{
	static const char *const names[] = {
	        "PENDING", "PROCESSING", "COMPLETED", "FAILED", "CANCELLED"};
	/* Rows: from; columns: to. */
	static const char *const allowed[JOB_STATES] = {
	        ".x..x", "x.xxx", ".....", ".....", "....."};
	for (int from = 0; from < JOB_STATES; from++) {
		enum job_state state = JOB_STATES;
		is_str(job_state_name((enum job_state)from), names[from], "a state has its name");
		ok(job_state_parse(names[from], &state) && (int)state == from,
		        "a state is parsed from its name");
		is_int(job_state_terminal((enum job_state)from), from >= JOB_COMPLETED,
		        "%s is terminal or not", names[from]);
		for (int to = 0; to < JOB_STATES; to++) {
			is_int(job_transition_allowed((enum job_state)from, (enum job_state)to),
			        allowed[from][to] == 'x',
			        "the transition from %s to %s is allowed or not", names[from],
			        names[to]);
		}
	}
	enum job_state state = JOB_FAILED;
	ok(job_state_parse("pending", &state) && state == JOB_PENDING,
	        "a state is parsed from its name in lower case");
	state = JOB_FAILED;
	ok(!job_state_parse("PEND", &state) && !job_state_parse("", &state) && state == JOB_FAILED,
	        "an unknown name of a state is rejected");
}

static void delays(void)
{
	is_int(job_retry_delay_ms(0), 1000, "a retry waits at least a second");
	is_int(job_retry_delay_ms(1), 1000, "a retry waits a second after the first attempt");
	is_int(job_retry_delay_ms(2), 2000, "a retry waits two seconds after the second attempt");
	is_int(job_retry_delay_ms(10), 512000, "the delay of a retry doubles with each attempt");
	is_int(job_retry_delay_ms(11), 600000, "the delay of a retry is at most ten minutes");
	is_int(job_retry_delay_ms(4000000000u), 600000,
	        "the delay of a retry stays at ten minutes");
}

static void limits(void)
{
	const struct job_limits most = {.timeout_ms = 10, .memory_bytes = 20};
	struct job_limits limits = {.timeout_ms = 11, .output_bytes = 30};
	job_limits_lower(&limits, &most);
	is_int(limits.timeout_ms, 10, "a higher limit is lowered");
	is_int(limits.memory_bytes, 20, "a missing limit is set");
	is_int(limits.output_bytes, 30, "an unset limit lowers none");
	limits.timeout_ms = 9;
	job_limits_lower(&limits, &most);
	is_int(limits.timeout_ms, 9, "a lower limit stays");
}

static void is_json(const struct job *job, const char *wanted, const char *name)
{
	struct buf text = BUF_INIT;
	struct json json = json_writer(&text);
	job_to_json(job, &json);
	is_str(buf_cstr(&text), wanted, "%s", name);
	buf_release(&text);
}

static void json(void)
{
	struct job job = {.id = "01a20919-5b78-7163-8ed0-628c66594237", .max_attempts = 3};
	is_json(&job,
	        "{\"type\":\"job\",\"v\":1,\"id\":\"01a20919-5b78-7163-8ed0-628c66594237\","
	        "\"state\":\"PENDING\",\"priority\":0,\"attempt\":0,\"max_attempts\":3,"
	        "\"lease_seq\":0,\"cancel_requested\":false}",
	        "unknown members of a job are absent");
	job = (struct job){.id = "01a20919-5b78-7163-8ed0-628c66594237",
	        .spec = strdup("{\"v\":1}"),
	        .submitter = strdup("me"),
	        .queue = strdup("q\"\n\xff"),
	        .priority = -5,
	        .max_attempts = 3,
	        .idempotency_key = strdup("k"),
	        .labels = strdup("{\"a\":\"b\"}"),
	        .limits = {.timeout_ms = 60000, .output_bytes = 18446744073709551615u},
	        .created = {.sec = 1},
	        .not_before = {.sec = 2, .nsec = 500000000},
	        .state = JOB_COMPLETED,
	        .attempt = 2,
	        .lease_seq = 18446744073709551615u,
	        .worker = strdup("w"),
	        .started = {.sec = 3},
	        .finished = {.sec = 4},
	        .cancel_requested = true,
	        .progress = strdup("{\"entries\":1}"),
	        .error = strdup("e"),
	        .summary = strdup("{\"type\":\"summary\"}"),
	        .records = strdup("{}\n"),
	        .records_uri = strdup("file:///r"),
	        .records_size = 5,
	        .records_digest = strdup("xxh128:0"),
	        .stderr_tail = strdup("t"),
	        .exit_code = 3};
	is_json(&job,
	        "{\"type\":\"job\",\"v\":1,\"id\":\"01a20919-5b78-7163-8ed0-628c66594237\","
	        "\"state\":\"COMPLETED\",\"queue\":\"q\\\"\\n\xef\xbf\xbd\",\"priority\":-5,"
	        "\"submitter\":\"me\",\"idempotency_key\":\"k\",\"labels\":{\"a\":\"b\"},"
	        "\"limits\":{\"timeout_ms\":60000,\"output_bytes\":18446744073709551615},"
	        "\"spec\":{\"v\":1},\"created\":\"1970-01-01T00:00:01Z\","
	        "\"not_before\":\"1970-01-01T00:00:02.500000000Z\",\"attempt\":2,"
	        "\"max_attempts\":3,\"lease_seq\":18446744073709551615,\"worker\":\"w\","
	        "\"started\":\"1970-01-01T00:00:03Z\",\"finished\":\"1970-01-01T00:00:04Z\","
	        "\"cancel_requested\":true,\"progress\":{\"entries\":1},\"error\":\"e\","
	        "\"exit_code\":3,\"stderr_tail\":\"t\",\"records_size\":5,"
	        "\"records_uri\":\"file:///r\",\"records_digest\":\"xxh128:0\","
	        "\"summary\":{\"type\":\"summary\"}}",
	        "a job embeds JSON, quotes text, and omits the records");
	job_release(&job);
	ok(!job.spec && !job.stderr_tail && job.lease_seq == 0, "a released job is zeroed");
	job_release(&job);
}

int main(void)
{
	states();
	delays();
	limits();
	json();
	return done();
}
