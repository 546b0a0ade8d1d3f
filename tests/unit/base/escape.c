/* Names on terminals and in checksum lists; identifiers and URLs. */
#include "base/clock.h"
#include "base/escape.h"
#include "base/uri.h"
#include "base/uuid.h"

#include <stdlib.h>

#include "../tap.h"

static struct buf out;

static void is_escaped(const char *bytes, size_t len, const char *wanted, const char *name)
{
	buf_clear(&out);
	escape_terminal(&out, bytes, len);
	is_str(buf_cstr(&out), wanted, "terminal: %s", name);
}

static void test_terminal(void)
{
	is_escaped("plain name.txt", 14, "plain name.txt", "plain");
	is_escaped("a\\b", 3, "a\\\\b", "backslash");
	is_escaped("\n\t\r\033[2J", 7, "\\n\\t\\r\\e[2J", "control bytes with letters");
	is_escaped("\0\x01\x7f", 3, "\\000\\001\\177", "others in octal");
	is_escaped("\xc2\x9b"
	           "2J",
	        4, "\\302\\2332J", "a C1 control");
	is_escaped("\xc3\xa9\xe6\x97\xa5", 5, "\xc3\xa9\xe6\x97\xa5", "letters stay");
	is_escaped("\xff\xc3", 2, "\\377\\303", "invalid UTF-8");
	is_escaped("\x9b", 1, "\\233", "a raw C1 byte");
	is_escaped("a\xe2\x80\xae"
	           "b",
	        5, "a\\342\\200\\256b", "right-to-left override");
	is_escaped("\xef\xbb\xbf", 3, "\\357\\273\\277", "a byte order mark");
	is_escaped("\xe2\x80\xa8", 3, "\\342\\200\\250", "a line separator");
	is_escaped("\\n", 2, "\\\\n", "a backslash and n is not a newline");

	bool control = false, distinct = true;
	struct buf other = BUF_INIT;
	for (unsigned pair = 0; pair < 0x10000; pair++) {
		char bytes[2] = {(char)(pair >> 8), (char)pair};
		buf_clear(&out);
		escape_terminal(&out, bytes, 2);
		for (size_t i = 0; i < out.len; i++) {
			control =
			        control || (unsigned char)out.data[i] < ' ' || out.data[i] == 0x7f;
		}
		buf_clear(&other);
		bytes[1] ^= 1;
		escape_terminal(&other, bytes, 2);
		distinct = distinct && strcmp(buf_cstr(&out), buf_cstr(&other)) != 0;
	}
	ok(!control, "no pair of bytes lets a control byte through");
	ok(distinct, "two names never look the same when escaped");
	buf_release(&other);
}

static void test_sum(void)
{
	ok(!escape_sum_needed("a b\tc", 5), "a plain name needs no escaping");
	ok(escape_sum_needed("a\nb", 3) && escape_sum_needed("a\\b", 3) &&
	                escape_sum_needed("a\rb", 3),
	        "newline, backslash and carriage return need escaping");
	buf_clear(&out);
	escape_sum(&out, "a\nb\\c\rd\te", 9);
	is_str(buf_cstr(&out), "a\\nb\\\\c\\rd\te", "names are escaped as by sha256sum");
}

static void test_width(void)
{
	is_int(display_width("abc", 3), 3, "ASCII letters are one column wide");
	is_int(display_width("\xc3\xa9t\xc3\xa9", 5), 3, "accented letters are one column wide");
	is_int(display_width("\xe6\x97\xa5\xe6\x9c\xac", 6), 4,
	        "wide characters are two columns wide");
	is_int(display_width("e\xcc\x81", 3), 1, "a combining accent has no width");
	is_int(display_width("\xf0\x9f\x98\x80", 4), 2, "an emoji is two columns wide");
	is_int(display_width("", 0), 0, "an empty text has no width");
}

/* As uuid7() reads it: time() may be a tick behind. */
static uint64_t now_ms(void)
{
	return clock_ns(CLOCK_REALTIME) / 1000000;
}

static void test_uuid(void)
{
	char first[UUID_TEXT], second[UUID_TEXT], stamp[14] = "";
	uint64_t before = now_ms();
	uuid7(first);
	uuid7(second);
	ok(uuid_valid(first) && uuid_valid(second), "%s is valid", first);
	ok(strcmp(first, second) != 0, "two UUIDs differ");
	ok(first[14] == '7' && strchr("89ab", first[19]), "a UUID has version 7 and variant 10");
	memcpy(stamp, first, 8);
	memcpy(stamp + 8, first + 9, 4);
	uint64_t ms = strtoull(stamp, NULL, 16);
	ok(ms >= before && ms <= now_ms(), "a UUID begins with the time in milliseconds");
	ok(uuid_valid("0193ABCD-1234-7ABC-8DEF-0123456789AB"), "a UUID may be upper case");
	unsigned char bytes[UUID_BYTES] = {0};
	ok(uuid_bytes("0193ABcd-1234-7abc-8def-0123456789ff", bytes) && bytes[0] == 0x01 &&
	                bytes[2] == 0xab && bytes[7] == 0xbc && bytes[15] == 0xff,
	        "uuid_bytes() gives the bytes of a UUID");
	ok(!uuid_bytes("0193abcd-1234-7abc-8def-0123456789ag", bytes),
	        "uuid_bytes() rejects a malformed UUID");
	ok(!uuid_valid(""), "an empty text is no UUID");
	ok(!uuid_valid("0193abcd-1234-7abc-8def-0123456789a"),
	        "a UUID that lacks a digit is invalid");
	ok(!uuid_valid("0193abcd-1234-7abc-8def-0123456789abc"),
	        "a UUID with a digit too many is invalid");
	ok(!uuid_valid("0193abcd01234-7abc-8def-0123456789ab"),
	        "a digit in the place of a hyphen is invalid");
	ok(!uuid_valid("0193abcd-1234-7abc-8def-0123456789ag"),
	        "a letter past f in a UUID is invalid");
}

static void is_part(const char *got, const char *wanted, const char *url, const char *part)
{
	is_str(got, wanted, "%s: %s", url, part);
}

static void is_uri(const char *text, const struct uri wanted)
{
	struct uri uri;
	struct vega_error err = {.text = ""};
	if (!ok(uri_parse(text, &uri, &err) == 0, "%s is a URL (%s)", text, err.text)) {
		return;
	}
	is_part(uri.scheme, wanted.scheme, text, "scheme");
	is_part(uri.user, wanted.user, text, "user");
	is_part(uri.password, wanted.password, text, "password");
	is_part(uri.host, wanted.host, text, "host");
	is_part(uri.path, wanted.path, text, "path");
	is_int(uri.port, wanted.port, "%s has its port", text);
	uri_release(&uri);
}

static void is_no_uri(const char *text)
{
	struct uri uri;
	struct vega_error err = {.text = ""};
	ok(uri_parse(text, &uri, &err) == VEGA_USAGE && uri.scheme == NULL, "%s is rejected (%s)",
	        text, err.text);
	ok(!strstr(err.text, "secret"), "the error of a rejected URL shows no password");
}

static void test_uri(void)
{
	is_uri("redis://localhost", (struct uri){.scheme = "redis", .host = "localhost"});
	is_uri("REDIS://u:p%40ss@[::1]:6380/3",
	        (struct uri){"redis", "u", "p@ss", "::1", 6380, "3"});
	is_uri("redis://:secret@h/", (struct uri){"redis", NULL, "secret", "h", 0, ""});
	is_uri("redis://a@b@host", (struct uri){"redis", "a@b", NULL, "host", 0, NULL});
	is_uri("s3://bucket/a/b%20c", (struct uri){"s3", NULL, NULL, "bucket", 0, "a/b c"});
	is_uri("unix:/run/redis.sock", (struct uri){.scheme = "unix", .path = "/run/redis.sock"});
	is_uri("sqlite:jobs 100%.db", (struct uri){.scheme = "sqlite", .path = "jobs 100%.db"});
	is_uri("file:///etc/x", (struct uri){.scheme = "file", .path = "/etc/x"});
	is_no_uri("");
	is_no_uri("/path");
	is_no_uri("://host");
	is_no_uri("1x://host");
	is_no_uri("redis://u:secret@host:port");
	is_no_uri("redis://u:secret@host:65536");
	is_no_uri("redis://u:secret@host:0");
	is_no_uri("redis://u:secret@host:");
	is_no_uri("redis://:sec/ret@secret@host:1x");
	is_no_uri("redis://u:secret@[::1");
	is_no_uri("redis://u:secret@[::1]x");
	is_no_uri("redis://u:secret%@host");
	is_no_uri("redis://u:secret%00@host");
	is_no_uri("redis://u:secret@host/0?x=1");
}

int main(void)
{
	test_terminal();
	test_sum();
	test_width();
	test_uuid();
	test_uri();
	buf_release(&out);
	return done();
}
