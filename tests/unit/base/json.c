/* The JSON writer: what it writes is what jsonb reads. */
#include "base/json.h"

#include "../tap.h"

static struct buf out;
static struct json j;

static void start(void)
{
	buf_clear(&out);
	j = json_writer(&out);
}

static const char *text_of(const char *bytes, size_t len)
{
	start();
	json_text(&j, bytes, len);
	return buf_cstr(&out);
}

static const char *time_of(int64_t seconds, uint32_t nanoseconds)
{
	start();
	json_time(&j, seconds, nanoseconds);
	return buf_cstr(&out);
}

TEST(json_structure, "objects and arrays nest to a limit")
{
	start();
	json_object_begin(&j);
	json_member_str(&j, "type", "entry");
	json_key(&j, "list");
	json_array_begin(&j);
	json_u64(&j, 1);
	json_i64(&j, INT64_MIN);
	json_array_begin(&j);
	json_array_end(&j);
	json_object_begin(&j);
	json_object_end(&j);
	json_null(&j);
	json_array_end(&j);
	json_key(&j, "yes");
	json_bool(&j, true);
	json_member_u128(&j, "sum", (unsigned __int128)UINT64_MAX + 1);
	json_key(&j, "raw");
	json_raw(&j, "[0]", 3);
	json_object_end(&j);
	is_str(buf_cstr(&out),
	        "{\"type\":\"entry\",\"list\":[1,-9223372036854775808,[],{},null],\"yes\":true,"
	        "\"sum\":18446744073709551616,\"raw\":[0]}",
	        "commas and brackets are written");

	start();
	for (int i = 0; i < 63; i++) {
		json_array_begin(&j);
	}
	ok(!out.failed, "63 open levels are written");
	for (int i = 0; i < 10; i++) {
		json_array_begin(&j);
	}
	ok(out.failed, "too many open levels fail");
}

TEST(json_strings, "strings are escaped and always valid UTF-8")
{
	is_str(text_of("a\"b\\c/", 6), "\"a\\\"b\\\\c/\"", "quotes and backslashes are escaped");
	is_str(text_of("\n\t\r\x01\x1b\x7f", 6), "\"\\n\\t\\r\\u0001\\u001b\\u007f\"",
	        "control bytes are escaped");
	is_str(text_of("a\0b", 3),
	        "\"a\xef\xbf\xbd"
	        "b\"",
	        "NUL becomes U+FFFD");
	is_str(text_of("\xc3\xa9\xf0\x9f\x98\x80", 6), "\"\xc3\xa9\xf0\x9f\x98\x80\"",
	        "valid UTF-8 stays as it is");
	is_str(text_of("\xff", 1), "\"\xef\xbf\xbd\"", "a stray byte becomes U+FFFD");
	is_str(text_of("\xed\xa0\x80", 3), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"",
	        "a surrogate counts as three invalid bytes");
	is_str(text_of("\xc3", 1), "\"\xef\xbf\xbd\"", "a sequence cut by the end becomes U+FFFD");
	is_str(text_of("\xc3\"", 2), "\"\xef\xbf\xbd\\\"\"", "a cut sequence hides no quote");
}

static const char *raw_of(const char *value)
{
	start();
	json_raw(&j, value, strlen(value));
	return buf_cstr(&out);
}

TEST(hidden_characters, "no character that a terminal obeys or hides is written as it is")
{
	is_str(text_of("\x7f\xc2\x80\xc2\x9b", 5), "\"\\u007f\\u0080\\u009b\"", "DEL and C1");
	is_str(text_of("a\xe2\x80\xae\xe2\x81\xa6", 7), "\"a\\u202e\\u2066\"",
	        "marks of direction");
	is_str(text_of("\xe2\x80\x8b\xef\xbb\xbf\xe2\x80\xa8", 9), "\"\\u200b\\ufeff\\u2028\"",
	        "blanks without width, and separators of lines");
	is_str(text_of("\xf3\xa0\x81\x81", 4), "\"\\udb40\\udc41\"", "a tag is a pair");
	is_str(text_of("\xc2\xa0\xd8\x9b\xe2\x82\xac", 7), "\"\xc2\xa0\xd8\x9b\xe2\x82\xac\"",
	        "others stay");
	is_str(raw_of("{\"a\xe2\x80\xae\":\n[\"\x1b\xc2\x9b\",\t1]}\r"),
	        "{\"a\\u202e\":\n[\"\\u001b\\u009b\",\t1]}\r", "a value that is taken over");
	is_str(raw_of("\"\xf3\xa0\x80\x8a\""), "\"\\udb40\\udc0a\"", "with a tag that ends in 0a");
	is_str(raw_of("\"\xff\xc3\xa9\""), "\"\xef\xbf\xbd\xc3\xa9\"", "and its bad bytes");
}

TEST(utf8_sequences, "UTF-8 is valid as RFC 3629 says")
{
	static const struct {
		const char *bytes;
		bool valid;
		const char *name;
	} cases[] = {
	        {"plain", true, "ASCII"},
	        {"\xc2\x80", true, "U+0080"},
	        {"\xdf\xbf", true, "U+07FF"},
	        {"\xe0\xa0\x80", true, "U+0800"},
	        {"\xef\xbf\xbf", true, "U+FFFF"},
	        {"\xf0\x90\x80\x80", true, "U+10000"},
	        {"\xf4\x8f\xbf\xbf", true, "U+10FFFF"},
	        {"\xf4\x90\x80\x80", false, "U+110000"},
	        {"\xc0\xaf", false, "overlong, two bytes"},
	        {"\xc1\xbf", false, "overlong, the last of two"},
	        {"\xe0\x9f\xbf", false, "overlong, three bytes"},
	        {"\xf0\x8f\xbf\xbf", false, "overlong, four bytes"},
	        {"\xed\x9f\xbf", true, "below the surrogates"},
	        {"\xed\xa0\x80", false, "the first surrogate"},
	        {"\xed\xbf\xbf", false, "the last surrogate"},
	        {"\xee\x80\x80", true, "above the surrogates"},
	        {"\x80", false, "a continuation alone"},
	        {"\xe2\x82", false, "cut"},
	        {"\xf8\x88\x80\x80\x80", false, "five bytes"},
	        {"\xfe", false, "0xfe"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		is_int(utf8_valid(cases[i].bytes, strlen(cases[i].bytes)), cases[i].valid,
		        "the text is valid UTF-8 or not: %s", cases[i].name);
	}
	ok(!utf8_valid("a\0b", 3), "NUL is not valid in a text");
	uint32_t code = 0;
	is_int(utf8_decode("\xe2\x82\xac!", 4, &code), 3, "utf8_decode() takes one sequence");
	is_int(code, 0x20ac, "utf8_decode() gives the code point");
	is_int(utf8_decode("", 0, &code), 0, "utf8_decode() takes nothing from an empty text");
}

TEST(json_paths, "paths are exact whatever their bytes")
{
	start();
	json_object_begin(&j);
	json_member_path(&j, "path", "a\xff\n", 3);
	json_member_path(&j, "other", "\xc3\xa9", 2);
	json_object_end(&j);
	is_str(buf_cstr(&out),
	        "{\"path\":\"a\xef\xbf\xbd\\n\",\"path_b64\":\"Yf8K\",\"other\":\"\xc3\xa9\"}",
	        "a path that is not UTF-8 is also written in base64");
}

TEST(json_times, "times are RFC 3339 where a year has four digits")
{
	is_str(time_of(0, 0), "\"1970-01-01T00:00:00Z\"", "the epoch is written as a time");
	is_str(time_of(-1, 999999999), "\"1969-12-31T23:59:59.999999999Z\"",
	        "a time just before the epoch is written");
	is_str(time_of(951782400, 5), "\"2000-02-29T00:00:00.000000005Z\"",
	        "a leap day is written");
	is_str(time_of(9223372036, 854775807), "\"2262-04-11T23:47:16.854775807Z\"",
	        "the end of 64-bit nanoseconds is written");
	is_str(time_of(253402300799, 0), "\"9999-12-31T23:59:59Z\"",
	        "the last year of four digits is written");
	is_str(time_of(253402300800, 0), "\"@253402300800\"",
	        "a year of five digits is written in seconds");
	is_str(time_of(-62167219200, 0), "\"0000-01-01T00:00:00Z\"",
	        "the first year of four digits is written");
	is_str(time_of(-62167219201, 7), "\"@-62167219201.000000007\"",
	        "a year before 0000 is written in seconds");
	is_str(time_of(INT64_MIN, 0), "\"@-9223372036854775808\"", "the least time is written");
}

TEST_MAIN
