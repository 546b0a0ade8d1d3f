/* Checking JSON in pieces: each text is answered alike however it is cut. */
#include "child/json_check.h"

#include "../tap.h"

static struct json_check check;

/* Cut in two at every place, so that every state is met at a boundary. */
static bool whole(const char *text)
{
	size_t len = strlen(text), taken = 0;
	for (size_t at = 0; at <= len; at++) {
		json_check_init(&check);
		json_check_add(&check, text, at);
		json_check_add(&check, text + at, len - at);
		taken += json_check_whole(&check);
	}
	return ok(taken == 0 || taken == len + 1, "%s is answered alike however it is cut", text) &&
	       taken;
}

TEST(json_that_a_store_takes_is_whole, "a JSON object is accepted")
{
	static const char *const texts[] = {"{}", "{\"a\":{}}", "{\"a\":[]}",
	        "{\"a\":[[],{},[{}]]}", " { \"a\" : [ 1 , 2 ] } ",
	        "{\"a\":0,\"b\":-0,\"c\":10,\"d\":-1.5,\"e\":0.25}",
	        "{\"a\":true,\"b\":false,\"c\":null}", "{\"\":\"\"}",
	        "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD834\\udd1e\"}",
	        "{\"a\":"
	        "\"\xc3\xa9\xe2\x82\xac\xed\x9f\xbf\xee\x80\x80\xf0\x9d\x84\x9e\xf4\x8f\xbf\xbf\"}",
	        "{\"a long key, longer than is kept of it\":{\"and one in it as long\":1}}"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		ok(whole(texts[i]), "%s is accepted", texts[i]);
	}
}

TEST(other_text_is_not_whole, "text that is no JSON object, or that jsonb rejects, is rejected")
{
	static const char *const texts[] = {"", "1", "[]", "\"a\"", "{", "{\"a\"}", "{\"a\":}",
	        "{\"a\":1,}", "{,}", "{\"a\":[1,]}", "{\"a\":[1 2]}", "{\"a\":1]", "{\"a\":[1}",
	        "{}{}", "{} x", "{a:1}", "{'a':1}", "{\"a\":01}", "{\"a\":-}", "{\"a\":1.}",
	        "{\"a\":.5}", "{\"a\":+1}", "{\"a\":1e5}", "{\"a\":1E+5}", "{\"a\":1.5e-7}",
	        "{\"a\":tru}", "{\"a\":truex}", "{\"a\":nul", "{\"a\":\"\\x\"}",
	        "{\"a\":\"\\u12\"}", "{\"a\":\"\\u12g4\"}", "{\"a\":\"\\u0000\"}",
	        "{\"a\":\"\\ud834\"}", "{\"a\":\"\\ud834x\"}", "{\"a\":\"\\ud834\\u0041\"}",
	        "{\"a\":\"\\ud834\\n\"}", "{\"a\":\"\\udd1e\"}", "{\"a\":\"\n\"}",
	        "{\"a\":\"\x1b\"}", "{\"a\":\"\x80\"}", "{\"a\":\"\xc0\x80\"}", "{\"a\":\"\xc3\"}",
	        "{\"a\":\"\xe0\x9f\xbf\"}", "{\"a\":\"\xed\xa0\x80\"}",
	        "{\"a\":\"\xf0\x8f\xbf\xbf\"}", "{\"a\":\"\xf4\x90\x80\x80\"}",
	        "{\"a\":\"\xf5\x80\x80\x80\"}", "{\"a\":\"\xff\"}", "\xef\xbb\xbf{}"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		ok(!whole(texts[i]), "%s is rejected", texts[i]);
	}
	json_check_init(&check);
	ok(!json_check_add(&check, "{\"a\":\"\0\"}", 9), "a NUL is rejected");
}

TEST(members_are_read, "complete and ledger.entries are read, and nothing that looks like them")
{
	whole("{\"complete\":true,\"ledger\":{\"entries\":12,\"errors\":3}}");
	ok(check.has_complete && check.complete && check.entries == 12, "both members are read");
	whole("{\"a\":{\"complete\":true,\"ledger\":{\"entries\":5}},\"complete\":false,"
	      "\"ledger\":[{\"entries\":6}],\"entries\":7,\"ledger\":{\"b\":{\"entries\":8}}}");
	ok(check.has_complete && !check.complete && check.entries == 0,
	        "members of other objects are not meant");
	whole("{\"complete\":null,\"complete2\":true,\"complet\":true,\"x\":[true]}");
	ok(!check.has_complete, "null, and other names, are no answer");
	whole("{\"ledger\":{\"entries\":18446744073709551615}}");
	ok(check.entries == UINT64_MAX, "the largest number is exact");
	whole("{\"ledger\":{\"entries\":18446744073709551616}}");
	ok(check.entries == UINT64_MAX, "a larger number is the largest");
	whole("{\"x\":[[[1]]],\"ledger\":{\"entries\":3.7}}");
	ok(check.entries == 3, "arrays before it change nothing");
}

TEST(depth_is_bounded, "an object may be nested as deeply as is said, and no more")
{
	for (size_t depth = JSON_CHECK_DEPTH; depth <= JSON_CHECK_DEPTH + 1; depth++) {
		json_check_init(&check);
		json_check_add(&check, "{\"a\":", 5);
		for (size_t i = 1; i < depth; i++) {
			json_check_add(&check, "[", 1);
		}
		for (size_t i = 1; i < depth; i++) {
			json_check_add(&check, "]", 1);
		}
		json_check_add(&check, "}", 1);
		is_int(json_check_whole(&check), depth == JSON_CHECK_DEPTH, "%zu levels", depth);
	}
}

TEST_MAIN
