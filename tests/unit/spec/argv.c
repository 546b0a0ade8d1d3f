/* Command lines become specifications, or errors that say why not. */
#include "../tap.h"
#include "spec_text.h"

#include <fcntl.h>
#include <unistd.h>

static char dir[] = "/tmp/vega-argv-XXXXXX";

#define is_outcome(wanted, ...) \
	do { \
		char *outcome_ = outcome_of(WORDS(__VA_ARGS__)); \
		is_str(outcome_, wanted, "%s", #__VA_ARGS__); \
		free(outcome_); \
	} while (0)

static char *write_file(const char *name, const void *bytes, size_t len)
{
	char *path;
	if (asprintf(&path, "%s/%s", dir, name) < 0) {
		abort();
	}
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len || close(fd) < 0) {
		abort();
	}
	return path;
}

static void test_operations(void)
{
	is_outcome("{\"v\":1,\"operations\":[\"summarize\"],\"roots\":[\".\"]}");
	is_outcome("{\"v\":1,\"operations\":[\"find\"],\"roots\":[\".\"]}", "find");
	is_outcome("{\"v\":1,\"operations\":[\"summarize\"],\"roots\":[\"./find\"]}", "./find");
	is_outcome("{\"v\":1,\"operations\":[\"summarize\",\"hash\"],\"roots\":[\"/data\"]}",
	        "hash,summarize", "/data");
	is_outcome("{\"v\":1,\"operations\":[\"find\"],\"roots\":[\"find\"]}", "find", "find");
	is_outcome("{\"v\":1,\"operations\":[\"summarize\"],\"roots\":[\"/data\",\"find\"]}",
	        "/data", "find");
	is_outcome("{\"v\":1,\"operations\":[\"find\"],\"roots\":[\".\"],\"options\":{\"sort\":"
	           "true}}",
	        "--sort", "find");
	is_outcome("{\"v\":1,\"operations\":[\"find\"],\"roots\":[\"a\"],\"options\":{\"name\":["
	           "\"hash\"]}}",
	        "-n", "hash", "find", "a");
	is_outcome("{\"v\":1,\"operations\":[\"summarize\"],\"roots\":[\"find\",\"-x\"]}", "--",
	        "find", "-x");
	is_outcome("find,: no such operation or file; did you mean find?", "find,");
	is_outcome("{\"v\":1,\"operations\":[\"summarize\"],\"roots\":[\",\"]}", ",");
	is_outcome("seek: no such operation or file", "find,seek");
	is_outcome("hsh: no such operation or file; did you mean hash?", "find,hsh", "a");
	is_outcome("sumarize: no such operation or file; did you mean summarize?", "sumarize");
	is_outcome("du: no such operation or file; write summarize, or nothing", "du", "a");
	is_outcome("here: no such operation or file", "here", "there");
	is_outcome("{\"v\":1,\"operations\":[\"summarize\"],\"roots\":[\"here\"]}", "here");
	is_outcome("{\"v\":1,\"operations\":[\"summarize\"],\"roots\":[\"./hsh\",\"b\"]}", "./hsh",
	        "b");
	is_outcome("{\"v\":1,\"operations\":[\"summarize\"],\"roots\":[\"-\"]}", "-");
	is_outcome("{\"v\":1,\"operations\":[\"find\"],\"roots\":[\"a\"],\"options\":{\"name\":["
	           "\"x\"],"
	           "\"min_depth\":1},\"not\":[{\"extension\":[\"c\",\"h\"]}],\"or\":[{\"options\":{"
	           "\"empty\":"
	           "true},\"not\":[{\"links\":\"1\"}]}]}",
	        "find", "-n", "x", "--not", "-e", "c,.h", "--or", "--empty", "--min-depth=1",
	        "--not", "--links", "1", "a");
	is_outcome("root number 1 is empty; write '.' for the current directory", "");
}

static void test_command(void)
{
	is_outcome("{\"v\":1,\"operations\":[\"transform\"],\"roots\":[\"in\"],\"options\":{"
	           "\"out\":\"o\"},\"command\":[\"gzip\",\"-9\",\"--\",\"{}\"]}",
	        "transform", "--out=o", "in", "--", "gzip", "-9", "--", "{}");
	is_outcome("{\"v\":1,\"operations\":[\"transform\"],\"roots\":[\".\"],\"options\":{"
	           "\"out\":\"o\"},\"command\":[\"cat\"]}",
	        "-o", "o", "transform", "--", "cat");
	is_outcome("transform needs --to CODEC, or a command after '--'", "transform", "-o", "o",
	        "--");
}

static void test_groups(void)
{
	is_outcome("--algo belongs to the operation hash, not to find", "find", "--algo", "sha256");
	is_outcome("--algo belongs to the operation hash, not to find", "find", "--algo=xxh128");
	is_outcome("--top belongs to the operation summarize, not to find,hash", "find,hash", "-N",
	        "3");
	is_outcome("{\"v\":1,\"operations\":[\"find\",\"hash\"],\"roots\":[\".\"],\"options\":{"
	           "\"algo\":\"sha256\"}}",
	        "find,hash", "--algo", "sha256");
	is_outcome("unknown option --maxsize; did you mean --max-size?", "--maxsize", "3");
}

static void test_excludes(void)
{
	static const char first[] = "\xef\xbb\xbf# comment\n\none\r\ntwo ", second[] = "three\n";
	char *a = write_file("a", first, sizeof first - 1);
	char *b = write_file("b", second, sizeof second - 1);
	char *nul = write_file("nul", "x\0y\n", 4);
	is_outcome("{\"v\":1,\"operations\":[\"summarize\"],\"roots\":[\".\"],\"options\":{"
	           "\"exclude\":[\"zero\",\"one\",\"two \",\"middle\",\"three\",\"last\"]}}",
	        "-E", "zero", "--exclude-from", a, "--exclude=middle", "--exclude-from", b, "-E",
	        "last");

	char *missing, *refused;
	if (asprintf(&missing, "--exclude-from: cannot open %s/none: No such file or directory",
	            dir) < 0 ||
	        asprintf(&refused, "--exclude-from %s: not a list of patterns; it holds a NUL byte",
	                nul) < 0) {
		abort();
	}
	char *none = write_file("none", "", 0);
	unlink(none);
	is_outcome(missing, "--exclude-from", none);
	is_outcome(refused, "--exclude-from", nul);
	free(missing);
	free(refused);
	free(none);
	free(nul);
	free(a);
	free(b);
}

/* The JSON, or the error, of `find` with roots from a file of these bytes. */
static void roots_from(const char *wanted, const void *bytes, size_t len, const char *operand)
{
	struct spec spec;
	struct vega_error err = {0};
	char *path = write_file("roots", bytes, len);
	int rc = parse_words(&spec, path, &err, WORDS("find", operand));
	char *json = rc == 0 ? json_of(&spec) : strdup(err.text);
	char *at = strstr(json, path);
	if (at) {
		memmove(at, at + strlen(path), strlen(at + strlen(path)) + 1);
	}
	is_str(json, wanted, "roots from a file of %zu bytes", len);
	free(json);
	free(path);
	spec_release(&spec);
}

static void test_files0(void)
{
	roots_from("{\"v\":1,\"operations\":[\"find\"],\"roots\":[\"a b\",\"c\\nd\"]}",
	        "a b\0c\nd\0", 8, NULL);
	roots_from("{\"v\":1,\"operations\":[\"find\"],\"roots\":[\"-x\",\"hash\"]}", "-x\0hash", 7,
	        NULL);
	roots_from("{\"v\":1,\"operations\":[\"find\"],\"roots\":[{\"b64\":\"/w==\"}]}", "\xff", 1,
	        NULL);
	roots_from("--files0-from : empty; it names no root", "", 0, NULL);
	roots_from("--files0-from : root number 2 is empty; separate the roots by single NUL bytes",
	        "a\0\0b", 4, NULL);
	roots_from("--files0-from : root number 1 is empty; separate the roots by single NUL bytes",
	        "", 1, NULL);
	roots_from("'x' cannot be given together with --files0-from, which names the roots", "a", 1,
	        "x");
}

static void test_ages(void)
{
	struct spec spec;
	struct vega_error err = {0};
	struct vega_time before = vega_now();
	int rc = parse_words(&spec, NULL, &err,
	        WORDS("--newer-than", "2d", "--changed-after=2d", "--older-than", "86400s"));
	struct vega_time after = vega_now();
	is_int(rc, 0, "ages: %s", err.text);
	ok(vega_time_compare(spec.newer_than.value, spec.changed_after.value) == 0,
	        "all ages on a line count back from one moment");
	ok(spec.older_than.value.sec - spec.newer_than.value.sec == 86400 &&
	                spec.older_than.value.nsec == spec.newer_than.value.nsec,
	        "ages of one and two days are a day apart, to the nanosecond");
	ok(spec.newer_than.value.sec >= before.sec - 172800 &&
	                spec.newer_than.value.sec <= after.sec - 172800,
	        "an age of two days is two days back");
	spec_release(&spec);
}

/* What a command relies on to answer --help before it complains. */
static void test_help_before_errors(void)
{
	struct spec spec;
	struct option_common common = {0};
	struct vega_error err = {0};
	char *argv[] = {(char[]){"test"}, (char[]){"transform"}, (char[]){"--help"}, NULL};
	struct option_table tables[1 + SPEC_TABLES] = {
	        {option_common_rows, option_common_count, &common}};
	spec_init(&spec);
	spec_tables(&spec, tables + 1);
	ok(spec_parse_argv(&spec, tables, 1 + SPEC_TABLES, NULL, 3, argv, &err) == VEGA_USAGE,
	        "transform without --out fails");
	ok(common.help, "--help is seen before an error");
	spec_release(&spec);
}

int main(void)
{
	if (!mkdtemp(dir)) {
		return 1;
	}
	test_operations();
	test_command();
	test_groups();
	test_excludes();
	test_files0();
	test_ages();
	test_help_before_errors();
	static const char *const files[] = {"a", "b", "nul", "roots"};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		char path[64];
		snprintf(path, sizeof path, "%s/%s", dir, files[i]);
		unlink(path);
	}
	rmdir(dir);
	return done();
}
