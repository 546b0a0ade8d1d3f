/* What a child says, line by line: records, progress, the summary, and everything else. */
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../tap.h"
#include "child/stream.h"

static const char id[] = "0190b5e4-0000-7000-8000-000000000001";
static char directory[] = "/tmp/vega-stream.XXXXXX";
static struct spool spool;
static struct stream stream;

static void begin(void)
{
	spool_init(&spool, directory, id, 1);
	stream_init(&stream, &spool);
}

static void end(void)
{
	stream_release(&stream);
	spool_discard(&spool);
}

/* All of it in pieces of `step` bytes, so that every boundary falls somewhere. */
static void say(const char *text, size_t step)
{
	size_t len = strlen(text);
	for (size_t at = 0; at < len; at += step) {
		stream_add(&stream, text + at, len - at < step ? len - at : step);
	}
}

static void test_whole(size_t step)
{
	begin();
	say("{\"type\":\"entry\",\"v\":1,\"path\":\"/a\"}\n"
	    "{\"type\":\"progress\",\"v\":1,\"entries\":1}\n"
	    "{\"type\":\"error\",\"v\":1,\"path\":\"/b\"}\n"
	    "{\"type\":\"progress\",\"v\":1,\"entries\":2}\n"
	    "{\"type\":\"later-than-us\",\"v\":1}\n"
	    "{\"type\":\"summary\",\"v\":1,\"complete\":true,\"ledger\":{\"entries\":12}}\n",
	        step);
	stream_end(&stream);
	ok(!stream.broken, "a whole stream is read in pieces of %zu bytes", step);
	is_str(buf_cstr(&spool.held),
	        "{\"type\":\"entry\",\"v\":1,\"path\":\"/a\"}\n"
	        "{\"type\":\"error\",\"v\":1,\"path\":\"/b\"}\n"
	        "{\"type\":\"later-than-us\",\"v\":1}\n",
	        "records, of unknown types too, are passed on as they are");
	ok(stream.progress_is_new, "a stream has progress");
	is_str(stream.progress.data, "{\"type\":\"progress\",\"v\":1,\"entries\":2}",
	        "a stream's progress is the newest");
	is_str(stream.summary,
	        "{\"type\":\"summary\",\"v\":1,\"complete\":true,\"ledger\":{\"entries\":12}}",
	        "a stream's summary is kept apart");
	ok(stream.complete, "a stream's summary is complete");
	is_int(stream.entries, 12, "a stream's summary has its entries");
	end();
}

static void test_broken(const char *text, const char *why)
{
	begin();
	say(text, 7);
	stream_end(&stream);
	ok(stream.broken, "the stream is broken: %s", why);
	ok(strstr(stream.why.text, why) != NULL, "a broken stream names the reason: %s",
	        stream.why.text);
	end();
}

static void test_long_lines(void)
{
	size_t len = 1024 * 1024;
	char *line = malloc(len + 1);
	memset(line, 'x', len);
	memcpy(line, "{\"type\":\"entry\",\"path\":\"", 24);
	memcpy(line + len - 3, "\"}\n", 3);
	line[len] = '\0';
	begin();
	say(line, 65536);
	ok(!stream.broken, "a line of 1 MiB passes");
	is_int(spool.size, len, "a line of 1 MiB is whole");
	end();

	memcpy(line, "{\"type\":\"progress\",\"p\":\"", 24);
	begin();
	say(line, 65536);
	ok(stream.broken && !stream.progress_is_new, "a line of 1 MiB is rejected as progress");
	end();

	begin();
	memset(line, 'x', len);
	for (int i = 0; i < 65; i++) {
		stream_add(&stream, line, len);
	}
	ok(stream.broken, "a line of more than 64 MiB breaks the stream");
	ok(strstr(stream.why.text, "64 MiB") != NULL, "a line of more than 64 MiB names the limit");
	ok(strlen(stream.why.text) < 200, "the reason for a long line is short");
	end();
	free(line);
}

static void test_clean(void)
{
	struct buf out = BUF_INIT;
	stream_clean(&out, "a\0b\xff\xc3\xa9\xe2\x82", 8);
	is_str(buf_cstr(&out),
	        "a\xEF\xBF\xBD"
	        "b\xEF\xBF\xBD\xc3\xa9\xEF\xBF\xBD\xEF\xBF\xBD",
	        "a text is cleaned for every store");
	buf_release(&out);
}

/* One summary with an array of `values` and one zeros, in blocks as from a pipe; *grown: the KiB of
 * memory that it took. */
static void say_zeros(size_t values, long *grown)
{
	static const char head[] =
	        "{\"type\":\"summary\",\"complete\":true,\"ledger\":{\"entries\":7},\"x\":[0";
	struct rusage before, after;
	char block[65536];
	for (size_t i = 0; i < sizeof block; i++) {
		block[i] = i % 2 ? '0' : ',';
	}
	getrusage(RUSAGE_SELF, &before);
	stream_add(&stream, head, sizeof head - 1);
	for (size_t left = values * 2; left;) {
		size_t part = left < sizeof block ? left : sizeof block;
		stream_add(&stream, block, part);
		left -= part;
	}
	stream_add(&stream, "]}", 2);
	is_int(stream.checked, stream.line.len, "a line is checked as it comes");
	stream_add(&stream, "\n", 1);
	getrusage(RUSAGE_SELF, &after);
	*grown = after.ru_maxrss - before.ru_maxrss;
}

static void test_many_values(void)
{
	long grown;
	begin();
	say_zeros(JSON_CHECK_VALUES - 1000, &grown);
	ok(!stream.broken && stream.complete && stream.entries == 7,
	        "a summary of 4 million values is read");
	ok(grown < 64 * 1024, "a summary of 4 million values makes no tree (%ld KiB)", grown);
	end();
	begin();
	say_zeros(JSON_CHECK_VALUES, &grown);
	ok(stream.broken, "a summary of more values than a store should take is refused");
	end();
}

int main(void)
{
	if (!mkdtemp(directory)) {
		return 1;
	}
	test_whole(1);
	test_whole(5);
	test_whole(1000);
	test_broken("hello\n", "not a record: hello");
	test_broken("\n", "not a record");
	test_broken("{\"type\":\"entry\"\n", "not a record");
	test_broken("{\"v\":1,\"type\":\"entry\"}\n", "not a record");
	test_broken("{\"type\":\"entry\",\"path\":\"/a\"}", "half a line");
	test_broken("{\"type\":\"summary\",\"complete\":1}\n", "a summary that cannot be read");
	test_broken("{\"type\":\"summary\"}\n", "a summary that cannot be read");
	test_broken(
	        "{\"type\":\"summary\",\"complete\":true}{}\n", "a summary that cannot be read");
	test_broken("{\"type\":\"summary\",\"complete\":true,\"p\":\"\xff\"}\n", "cannot be read");
	test_broken("{\"type\":\"progress\",}\n", "a progress record that cannot be read");
	test_broken("{\"type\":\"summary\",\"complete\":true}\n{\"type\":\"entry\"}\n",
	        "more after its summary");
	test_broken("{\"type\":\"summary\",\"complete\":true}\n"
	            "{\"type\":\"summary\",\"complete\":true}\n",
	        "more after its summary");
	test_broken(
	        "{\"type\":\"entry\",\"path\":\"\x1b[2J\"}\n", "a record with control characters");
	test_broken("{\"type\":\"entry\",\"path\":\"a\rb\"}\n", "a record with control characters");
	test_broken(
	        "{\"type\":\"summary\",\"complete\":true,\"p\":\"\x1b[2J\"}\n", "cannot be read");
	test_many_values();
	test_long_lines();
	test_clean();
	ok(rmdir(directory) == 0, "no file was left");
	return done();
}
