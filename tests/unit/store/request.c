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

int main(void)
{
	test_labels();
	test_check();
	test_limits();
	return done();
}
