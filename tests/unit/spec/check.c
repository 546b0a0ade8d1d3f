/* Each reason for which a specification is rejected. */
#include "../tap.h"
#include "spec_text.h"

#define REFUSED(wanted, ...) \
	do { \
		struct spec spec_; \
		struct vega_error err_ = {0}; \
		int rc_ = parse_words(&spec_, NULL, &err_, WORDS(__VA_ARGS__)); \
		is_int(rc_, VEGA_USAGE, "%s", #__VA_ARGS__); \
		is_str(err_.text, wanted, "%s says why", #__VA_ARGS__); \
		spec_release(&spec_); \
	} while (0)

#define ACCEPTED(...) \
	do { \
		struct spec spec_; \
		struct vega_error err_ = {0}; \
		int rc_ = parse_words(&spec_, NULL, &err_, WORDS(__VA_ARGS__)); \
		ok(rc_ == 0, "%s: %s", #__VA_ARGS__, err_.text); \
		spec_release(&spec_); \
	} while (0)

static void test_predicates(void)
{
	REFUSED("--name a/b: matches no name, because no name holds a '/'; use --path", "find",
	        "-n", "a/b");
	REFUSED("--iname /: matches no name, because no name holds a '/'; use --path", "find",
	        "--iname", "/");
	ACCEPTED("find", "--path", "*/a/b");
	REFUSED("--extension '': not an extension; use e.g. csv or tar.gz", "-e", "");
	REFUSED("--extension a/b: not an extension; use e.g. csv or tar.gz", "-e", "a/b");
	ACCEPTED("-e", ".csv", "-e", "tar.gz");
	REFUSED("--user no-such-user: there is no such user here; a number would do", "-u",
	        "no-such-user");
	REFUSED("--user 4294967295: there is no such user here; a number would do", "-u",
	        "4294967295");
	REFUSED("--group no-such-group: there is no such group here; a number would do", "-g",
	        "no-such-group");
	ACCEPTED("-u", "root", "-u", "4294967294", "-g", "0");
	REFUSED("--perm 9: not a mode; use octal (644, at most 7777) or symbolic (u=rw,go=r), "
	        "after "
	        "'-' for all of these bits or '/' for any of them",
	        "--perm", "9");
	ACCEPTED("--perm", "-u+w");
}

static void test_patterns(void)
{
	static const char *const options[] = {"--name", "--iname", "--path", "--exclude"};
	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		struct spec spec;
		struct vega_error err = {0};
		int rc = parse_words(
		        &spec, NULL, &err, WORDS(options[i], "good*", options[i], "ba[d"));
		ok(rc == VEGA_USAGE && strncmp(err.text, options[i], strlen(options[i])) == 0 &&
		                strstr(err.text, " ba[d: "),
		        "%s ba[d: %s", options[i], err.text);
		spec_release(&spec);
	}
}

static void test_ranges(void)
{
	REFUSED("--min-size (2048 bytes) is above --max-size (1000 bytes)", "--min-size=2K",
	        "--max-size=1KB");
	ACCEPTED("--min-size=1K", "--max-size=1024");
	REFUSED("--min-depth (3) is above --max-depth (2)", "--min-depth=3", "-d2");
	REFUSED("no time is after that of --newer-than and before that of --older-than",
	        "--newer-than=1d", "--older-than=2d");
	REFUSED("no time is after that of --changed-after and before that of --changed-before",
	        "--changed-after=@5", "--changed-before=@5");
	REFUSED("no time is after that of --accessed-after and before that of --accessed-before",
	        "--accessed-after=@5", "--accessed-before=@4.5");
	ACCEPTED("--newer-than=2d", "--older-than=1d");
	REFUSED("--threads 0: not in the range 1-1024", "-j0");
	REFUSED("--threads 1025: not in the range 1-1024", "-j1025");
	ACCEPTED("-j1024");
	REFUSED("--max-iops 0: not in the range 1-1000000", "--max-iops=0");
	REFUSED("--max-iops 1000001: not in the range 1-1000000", "--max-iops=1000001");
	ACCEPTED("--max-iops=1000000");
	REFUSED("--top 1000001: not in the range 0-1000000", "-N", "1000001");
}

static void test_transform(void)
{
	REFUSED("transform needs --to CODEC, or a command after '--'", "transform", "--out=o");
	REFUSED("transform takes --to CODEC or a command after '--', not both", "transform",
	        "--out=o", "--to=gzip", "--", "cat");
	REFUSED("transform needs --out DIR to write to", "transform", "--to=gzip");
	REFUSED("transform needs --out DIR to write to", "transform", "--to=gzip", "--out=");
	REFUSED("the command after '--' has an empty name", "transform", "--out=o", "--", "");
	ACCEPTED("transform", "--to=zstd", "--level=19", "-oo");
	REFUSED("--level 20: not in the range 1-19", "transform", "--to=zstd", "--level=20", "-oo");
	REFUSED("--level 10: not in the range 1-9", "transform", "--to=gzip", "--level=10", "-oo");
	REFUSED("--level 0: not in the range 1-9", "transform", "--to=gzip", "--level=0", "-oo");
	REFUSED("--level is for compression: it needs --to zstd or --to gzip", "transform",
	        "--to=none", "--level=1", "-oo");
	REFUSED("--level is for compression: it needs --to zstd or --to gzip", "transform",
	        "--level=1", "-oo", "--", "cat");
	REFUSED("--output-name is for a command after '--'; --to gzip names its outputs itself",
	        "transform", "--to=gzip", "--output-name={/}.x", "-oo");
	REFUSED("--timeout is for a command after '--', not for --to", "transform", "--to=gzip",
	        "--timeout=3s", "-oo");
	REFUSED("--timeout must be greater than 0", "transform", "--timeout=0s", "-oo", "--",
	        "cat");
}

static void test_output_name(void)
{
	static const char *const good[] = {"{/}", "{/.}.json", "x{/}", "{/.}-{/}", "{{/}}"};
	static const char *const bad[] = {
	        "", "out", "../{/}", "a/{/}", "{}", "{.}x", "{//}{/}", "{/}/", "..", "{/"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		ACCEPTED("transform", "-oo", "--output-name", good[i], "--", "cat");
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct spec spec;
		struct vega_error err = {0};
		int rc = parse_words(&spec, NULL, &err,
		        WORDS("transform", "-oo", "--output-name", bad[i], "--", "cat"));
		ok(rc == VEGA_USAGE && strstr(err.text, "{/.}"), "'%s': %s", bad[i], err.text);
		spec_release(&spec);
	}
}

/* What argv and JSON cannot make, but a caller might. */
static void test_bare_struct(void)
{
	struct spec spec;
	struct vega_error err = {0};
	spec_init(&spec);
	is_int(spec_check(&spec, &err), VEGA_USAGE, "an empty specification is rejected: %s",
	        err.text);
	spec.operations = 16;
	is_int(spec_check(&spec, &err), VEGA_USAGE, "an unknown operation bit is rejected: %s",
	        err.text);
	spec.operations = SPEC_FIND;
	is_int(spec_check(&spec, &err), VEGA_USAGE,
	        "a specification without a root is rejected: %s", err.text);
	strlist_add(&spec.roots, "/");
	is_int(spec_check(&spec, &err), 0,
	        "a specification with an operation and a root is accepted");
	strlist_add(&spec.command, "cat");
	is_int(spec_check(&spec, &err), VEGA_USAGE, "a command with find is rejected: %s",
	        err.text);
	spec_release(&spec);
}

int main(void)
{
	test_predicates();
	test_patterns();
	test_ranges();
	test_transform();
	test_output_name();
	test_bare_struct();
	return done();
}
