/* Globs: each case is matched as it is written, and where they agree with fnmatch(3), compared. */
#include "base/glob.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <time.h>

#include "../tap.h"

static bool matches(const char *pattern, unsigned flags, const char *text)
{
	struct glob *glob;
	struct vega_error err;
	if (glob_compile(pattern, flags, &glob, &err)) {
		printf("# %s\n", err.text);
		return false;
	}
	bool result = glob_match(glob, text, strlen(text));
	glob_free(glob);
	return result;
}

struct match_case {
	const char *pattern, *text;
	unsigned flags;
	bool matches;
};

TEST(patterns_match, "patterns match what they should and nothing else")
{
	static const struct match_case cases[] = {
	        {"", "", 0, true},
	        {"", "a", 0, false},
	        {"*", "", 0, true},
	        {"*", ".hidden", 0, true},
	        {"*", "a/b", 0, true},
	        {"*", "a/b", GLOB_PATHNAME, false},
	        {"*.csv", "x.csv", 0, true},
	        {"*.csv", ".csv", 0, true},
	        {"*.csv", "csv", 0, false},
	        {"*.csv", "x.csv.gz", 0, false},
	        {"*.csv", "x.CSV", 0, false},
	        {"*.csv", "x.CSV", GLOB_FOLD, true},
	        {"*.CSV", "x.csv", GLOB_FOLD, true},
	        {"*.csv", "d/x.csv", GLOB_PATHNAME, false},
	        {"lib*", "libvega", 0, true},
	        {"lib*", "li", 0, false},
	        {"LIB*", "libvega", GLOB_FOLD, true},
	        {"lib*", "lib/x", GLOB_PATHNAME, false},
	        {"*core*", "encoredump", 0, true},
	        {"*core*", "cor", 0, false},
	        {"*CORE*", "encoredump", GLOB_FOLD, true},
	        {"*b*", "a/b", GLOB_PATHNAME, false},
	        {"*a/b*", "xa/by", GLOB_PATHNAME, true},
	        {"*a/b*", "xa/by/z", GLOB_PATHNAME, false},
	        {"a?c", "abc", 0, true},
	        {"a?c", "ac", 0, false},
	        {"a?c", "a/c", GLOB_PATHNAME, false},
	        {"[a-c]x", "bx", 0, true},
	        {"[!a-c]x", "bx", 0, false},
	        {"[^a-c]x", "dx", 0, true},
	        {"[A-C]x", "bx", GLOB_FOLD, true},
	        {"[!A-C]x", "bx", GLOB_FOLD, false},
	        {"[]]", "]", 0, true},
	        {"[!]]", "]", 0, false},
	        {"[a-]", "-", 0, true},
	        {"[\\]]", "]", 0, true},
	        {"[a\\-z]", "b", 0, false},
	        {"[[:digit:]]*", "7x", 0, true},
	        {"[![:digit:]]", "7", 0, false},
	        {"[[:upper:]]", "x", GLOB_FOLD, true},
	        {"[[:]", ":", 0, true},
	        {"[!a]", "/", GLOB_PATHNAME, false},
	        {"[!a]", "\xff", 0, true},
	        {"\\*", "*", 0, true},
	        {"\\*", "x", 0, false},
	        {"a*b*c", "aXbXbXc", 0, true},
	        {"a*b*c", "aXbXbX", 0, false},
	        {"*a*a*a*", "banana", 0, true},
	        {"a*/c", "ab/c", GLOB_PATHNAME, true},
	        {"a*/c", "ab/x/c", GLOB_PATHNAME, false},
	        {"**/c", "c", GLOB_PATHNAME, true},
	        {"**/c", "a/b/c", GLOB_PATHNAME, true},
	        {"**/c", "xc", GLOB_PATHNAME, false},
	        {"a/**", "a/b/c", GLOB_PATHNAME, true},
	        {"a/**", "a", GLOB_PATHNAME, false},
	        {"a/**/d", "a/d", GLOB_PATHNAME, true},
	        {"a/**/d", "a/b/c/d", GLOB_PATHNAME, true},
	        {"a/**/d", "a/bd", GLOB_PATHNAME, false},
	        {"a**d", "abcd", GLOB_PATHNAME, true},
	        {"a**d", "a/d", GLOB_PATHNAME, false},
	        {"**/b*/**/x?", "a/b1/c/b2/x/xy", GLOB_PATHNAME, true},
	        {"**/b*/**/x?", "a/c1/c/xy", GLOB_PATHNAME, false},
	        {"a**d", "a/d", 0, true},
	        {"\xff*", "\xffz", 0, true},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct match_case *c = &cases[i];
		is_int(matches(c->pattern, c->flags, c->text), c->matches,
		        "the pattern %s is tested against %s (%u)", c->pattern, c->text, c->flags);
	}
	struct glob *glob;
	glob_compile("a*", 0, &glob, NULL);
	ok(glob_match(glob, "a\0b", 3) && !glob_match(glob, "\0a", 2), "NUL matches as a byte");
	glob_free(glob);
}

TEST(malformed_patterns, "malformed patterns are refused by name")
{
	static const char *const patterns[] = {
	        "[", "a[", "[a", "[!", "[]", "[a-", "[a\\", "x\\", "[[:foo:]]", "[[:alpha:]"};
	for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
		struct glob *glob = NULL;
		struct vega_error err = {.text = ""};
		int rc = glob_compile(patterns[i], 0, &glob, &err);
		ok(rc == VEGA_USAGE && !glob && strstr(err.text, patterns[i]),
		        "the pattern %s is rejected (%s)", patterns[i], err.text);
	}
}

/* Random patterns over a small alphabet, against the C library. */
TEST(random_patterns, "random patterns match as fnmatch(3) matches")
{
	static const char *const pieces[] = {
	        "a", "b", "/", "*", "*", "?", "[ab]", "[!a]", "ab", "\\a", "[a-b]"};
	unsigned different = 0, matched = 0;
	srand(20261123);
	for (int round = 0; round < 200000; round++) {
		char pattern[64] = "", text[16];
		for (int i = rand() % 7; i >= 0; i--) {
			strcat(pattern, pieces[(size_t)rand() % (sizeof pieces / sizeof *pieces)]);
		}
		size_t len = (size_t)rand() % 10;
		for (size_t i = 0; i < len; i++) {
			text[i] = "abA/"[rand() % 4];
		}
		text[len] = '\0';
		bool fold = rand() % 2, pathname = rand() % 2;
		/* Two stars in a row mean more here. */
		if (pathname && strstr(pattern, "**")) {
			continue;
		}
		bool wanted =
		        fnmatch(pattern, text,
		                (fold ? FNM_CASEFOLD : 0) | (pathname ? FNM_PATHNAME : 0)) == 0;
		bool got = matches(
		        pattern, (fold ? GLOB_FOLD : 0) | (pathname ? GLOB_PATHNAME : 0), text);
		matched += got;
		if (wanted != got && !different++) {
			printf("# %s and %s: wanted %d, got %d\n", pattern, text, wanted, got);
		}
	}
	is_int(different, 0, "200,000 random patterns match as fnmatch(3) does");
	ok(matched > 5000, "many random patterns matched: %u", matched);
}

/* What takes exponential time with naive backtracking ends at once. */
TEST(matching_time, "matching takes no exponential time")
{
	char text[4096], pattern[256] = "";
	memset(text, 'a', sizeof text);
	for (size_t i = 1; i < sizeof text; i += 2) {
		text[i] = '/';
	}
	text[sizeof text - 1] = '\0';
	for (int i = 0; i < 20; i++) {
		strcat(pattern, "**/a*a*/");
	}
	strcat(pattern, "b");
	clock_t start = clock();
	ok(!matches(pattern, GLOB_PATHNAME, text),
	        "twenty \"**\" are matched against 2,000 components");
	for (char *c = text; *c; c++) {
		*c = 'a';
	}
	ok(!matches("a*a*a*a*a*a*a*a*a*a*a*a*a*b", 0, text),
	        "many stars over one letter are matched");
	ok(!matches("*a?a?a?a?a?a?a?a?a?a?a?b", 0, text),
	        "a star and many question marks are matched");
	double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
	ok(seconds < 5, "hard patterns are matched in linear time (%.3f s)", seconds);
}

TEST_MAIN
