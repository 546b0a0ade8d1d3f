/* The reader of JSON text: exact numbers, strings, and what is no JSON. */
#include "../tap.h"

#include "record/scan.h"

static struct scan_value value_of(const char *json)
{
	return scan_text(json, strlen(json));
}

static bool is_count(const char *json, unsigned __int128 wanted)
{
	return scan_count(value_of(json)) == wanted;
}

static void test_counts(void)
{
	const unsigned __int128 two_64 = (unsigned __int128)1 << 64;
	ok(is_count("0", 0) && is_count("7", 7) && is_count(" 12 ", 12), "small numbers");
	ok(is_count("9007199254740993", ((uint64_t)1 << 53) + 1), "a number above 2^53");
	ok(is_count("55340232221128654845", 3 * two_64 - 3), "a number above 2^64");
	ok(is_count("9999999999999999999999999999999999999999999", SCAN_COUNT_MAX),
	        "a number above all is the largest");
	ok(is_count("-1", 0) && is_count("1.5", 0) && is_count("1e3", 0) && is_count("\"7\"", 0) &&
	                is_count("null", 0) && is_count("", 0),
	        "what is no whole number counts nothing");
}

static const char *text_of(const char *json)
{
	static struct buf out = BUF_INIT;
	buf_clear(&out);
	return scan_string(value_of(json), &out) ? buf_cstr(&out) : NULL;
}

static void test_strings(void)
{
	static const char *const none[] = {"7", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"",
	        "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\\u00g0\"", "{}", "\"open"};
	is_str(text_of("\"\""), "", "an empty string");
	is_str(text_of("\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\""), "a\"\\/\b\f\n\r\tz", "short escapes");
	is_str(text_of("\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\""),
	        "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "characters by number");
	is_str(text_of("\"\xff\xc3\xa9\""), "\xff\xc3\xa9", "bytes as they are");
	for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
		ok(!text_of(none[i]), "no string: %s", none[i]);
	}
}

static void test_members(void)
{
	static const char *const keys[] = {"c", "x", "a"};
	struct scan_value object = value_of("{\"a\": {\"b\": {\"c\": 5}}, \"c\": 6, \"c\": 7}");
	struct scan_value values[3];
	ok(scan_count(scan_path(object, "a.b.c")) == 5, "a member of members");
	ok(!scan_path(object, "a.c.c").at && !scan_path(object, "c.c").at, "absent ones");
	scan_members(object, keys, 3, values);
	ok(scan_count(values[0]) == 6 && !values[1].at && values[2].at, "several in one pass");
	ok(values[2].len == scan_member(object, "a").len, "the same as one by one");
	scan_members(value_of("[1]"), keys, 3, values);
	ok(!values[0].at && !values[1].at && !values[2].at, "none of what is no object");
}

static void test_is_json(void)
{
	static const char *const good[] = {"{}", "[]", " [ 1 , -2.5e+3 , \"a\\\"\" ] ", "null",
	        "true", "{\"a\":{\"b\":[]},\"c\":\"\\\\\"}", "7"};
	static const char *const bad[] = {"", " ", "{", "[1,]", "[1 2]", "{\"a\"}", "{\"a\":}",
	        "{a:1}", "\"", "\"\\\"", "[\"a]", "tru", "}", "{\"a\":1", "{\"a\":1,}", "+", "x"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		ok(scan_is_json(good[i], strlen(good[i])), "JSON: %s", good[i]);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ok(!scan_is_json(bad[i], strlen(bad[i])), "not JSON: %s", bad[i]);
	}
	char deep[2 * SCAN_DEPTH_MAX + 2];
	memset(deep, '[', SCAN_DEPTH_MAX + 1);
	memset(deep + SCAN_DEPTH_MAX + 1, ']', SCAN_DEPTH_MAX + 1);
	ok(!scan_is_json(deep, sizeof deep), "nested too deeply");
	ok(scan_is_json(deep + 1, sizeof deep - 2), "nested as deeply as may be");
}

int main(void)
{
	test_counts();
	test_strings();
	test_members();
	test_is_json();
	return done();
}
