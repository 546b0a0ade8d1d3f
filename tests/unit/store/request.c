/* The limits on a request, and the message for each one that is passed. */
#include "../tap.h"

#include "store/request.h"

static void labels_are(const char *wanted, const char *const items[])
{
	struct strlist labels = {0};
	struct buf out = BUF_INIT;
	struct vega_error err = {0};
	for (size_t i = 0; items[i]; i++) {
		strlist_add(&labels, items[i]);
	}
	int rc = request_labels(&labels, &out, &err);
	is_str(rc == 0 ? buf_cstr(&out) : err.text, wanted, "%s", wanted);
	is_int(rc, *wanted == '{' ? 0 : VEGA_USAGE, "labels have the right result code");
	buf_release(&out);
	strlist_release(&labels);
}

#define LABELS(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void test_labels(void)
{
	labels_are("{}", LABELS());
	labels_are("{\"a\":\"\"}", LABELS("a="));
	labels_are("{\"a\":\"b=c\",\"ab\":\"\\\"\\n\"}", LABELS("a=b=c", "ab=\"\n"));
	labels_are("label a: not of the form K=V", LABELS("a"));
	labels_are("label =b: not of the form K=V", LABELS("=b"));
	labels_are("label '': not 1-255 bytes of UTF-8 text", LABELS(""));
	labels_are("label a=2: a is given twice", LABELS("a=1", "b=1", "a=2"));
	labels_are("label a=\xff: not 1-255 bytes of UTF-8 text", LABELS("a=\xff"));
	char text[257];
	memset(text, 'k', 255);
	text[254] = '=';
	text[255] = '\0';
	struct strlist labels = {0};
	struct buf out = BUF_INIT;
	strlist_add(&labels, text);
	is_int(request_labels(&labels, &out, NULL), 0, "a label of 255 bytes is accepted");
	buf_clear(&out);
	memcpy(text + 255, "v", 2);
	strlist_add(&labels, text);
	is_int(request_labels(&labels, &out, NULL), VEGA_USAGE, "a label of 256 bytes is rejected");
	buf_release(&out);
	strlist_release(&labels);
}

static void test_check(void)
{
	struct vega_error err = {0};
	struct store_request request = {0};
	is_int(request_check(&request, &err), 0, "a request without anything optional is accepted");
	request = (struct store_request){.queue = "", .idempotency_key = "k"};
	is_int(request_check(&request, &err), VEGA_USAGE, "an empty queue is rejected");
	is_str(err.text, "queue '': not 1-255 bytes of UTF-8 text", "an empty queue is named");
	request = (struct store_request){.queue = "q", .idempotency_key = "\xed\xa0\x80"};
	is_int(request_check(&request, &err), VEGA_USAGE,
	        "a key with a lone surrogate is rejected");
	request = (struct store_request){.max_attempts = REQUEST_ATTEMPTS_MAX};
	is_int(request_check(&request, &err), 0, "the largest number of attempts is accepted");
	request.max_attempts++;
	is_int(request_check(&request, &err), VEGA_USAGE, "one attempt more is rejected");
	request = (struct store_request){.not_before = {253402300799, 999999999}};
	is_int(request_check(&request, &err), 0, "a start at the end of 9999 is accepted");
	request.not_before.sec++;
	is_int(request_check(&request, &err), VEGA_USAGE, "a start after 9999 is rejected");
	request.not_before.sec = -1;
	is_int(request_check(&request, &err), VEGA_USAGE, "a start before 1970 is rejected");
}

static int limits_of(uint64_t time, uint64_t memory, uint64_t output, struct job_limits *limits)
{
	struct option_number t = {time, true}, m = {memory, true}, o = {output, true};
	return request_limits(&t, &m, &o, limits, NULL);
}

static void test_limits(void)
{
	const struct option_number none = {0};
	struct job_limits limits;
	is_int(request_limits(&none, &none, &none, &limits, NULL), 0, "absent limits are accepted");
	ok(!limits.timeout_ms && !limits.memory_bytes && !limits.output_bytes,
	        "absent limits are zero");
	is_int(limits_of(1500000, REQUEST_MEMORY_MIN, 1, &limits), 0,
	        "the smallest limits are accepted");
	ok(limits.timeout_ms == 1 && limits.memory_bytes == 16 << 20 && limits.output_bytes == 1,
	        "limits are in milliseconds and bytes");
	is_int(limits_of(999999, REQUEST_MEMORY_MIN, 1, &limits), VEGA_USAGE,
	        "a limit of no time is rejected");
	is_int(limits_of(1000000, REQUEST_MEMORY_MIN - 1, 1, &limits), VEGA_USAGE,
	        "a limit of too little memory is rejected");
	is_int(limits_of(1000000, REQUEST_MEMORY_MIN, 0, &limits), VEGA_USAGE,
	        "a limit of no output is rejected");
}

static void test_priority(void)
{
	int priority = 7;
	is_int(request_priority(NULL, &priority, NULL), 0, "a priority may be left out");
	is_int(priority, 0, "and is 0 then");
	is_int(request_priority("-5", &priority, NULL), 0, "a priority may be negative");
	is_int(priority, -5, "and is read as such");
	is_int(request_priority("2147483647", &priority, NULL), 0, "the greatest priority");
	is_int(request_priority("2147483648", &priority, NULL), VEGA_USAGE, "a greater one");
	is_int(request_priority("--5", &priority, NULL), VEGA_USAGE, "no two signs");
	is_int(request_priority("1.5", &priority, NULL), VEGA_USAGE, "no fraction");
}

static void test_after(void)
{
	struct vega_time when = {0}, now = vega_now();
	is_int(request_after(NULL, &when, NULL), 0, "a time may be left out");
	is_int(when.sec, 0, "and stays as it was");
	is_int(request_after("@1767225600", &when, NULL), 0, "a point in time");
	is_int(when.sec, 1767225600, "is taken as it is");
	is_int(request_after("2h", &when, NULL), 0, "a length of time");
	ok(when.sec - now.sec >= 7200 && when.sec - now.sec < 7260, "counts from now");
	is_int(request_after("./a/file", &when, NULL), VEGA_USAGE, "no file's time");
}

static void test_each(void)
{
	struct store_request pattern = {.queue = "q", .idempotency_key = "k"}, requests[2];
	struct strlist texts = {0}, keys = {0};
	strlist_add(&texts, "{1}");
	strlist_add(&texts, "{2}");
	is_int(request_each(&pattern, &texts, NULL, requests, NULL), 0, "requests of one pattern");
	is_str(requests[1].spec, "{2}", "each has its specification");
	is_str(requests[1].queue, "q", "and the pattern's queue");
	is_str(requests[1].idempotency_key, "k", "and without a list of keys its key");
	ok(strcmp(requests[0].id, requests[1].id) != 0, "each has an id of its own");
	is_int(request_each(&pattern, &texts, &keys, requests, NULL), 0, "requests of a batch");
	is_str(requests[0].idempotency_key, "k/1", "the first has key 1");
	is_str(requests[1].idempotency_key, "k/2", "the second has key 2");
	strlist_release(&texts);
	strlist_release(&keys);
}

int main(void)
{
	test_priority();
	test_after();
	test_each();
	test_labels();
	test_check();
	test_limits();
	return done();
}
