/*
 * A TAP producer for unit tests, a process per test file. `make unit TESTS=FILE NAME=sums_add_up`
 * or `FILE sums_add_up` runs one of several tests: TEST(sums_add_up, "sums add up") { ok(…, "…");
 * }, and TEST_MAIN at the end. A file without names has a main of its own, which returns done().
 */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static unsigned tap_count, tap_failed;
__attribute__((unused)) static struct tap_test {
	const char *name, *title;
	void (*run)(void);
} tap_tests[256], *tap_end = tap_tests;

__attribute__((format(printf, 4, 5))) static inline bool tap_result(
        bool passed, const char *file, int line, const char *format, ...)
{
	printf("%sok %u - ", passed ? "" : "not ", ++tap_count);
	va_list args;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	puts("");
	if (!passed)
		printf("# at %s:%d\n", file, line);
	tap_failed += !passed;
	fflush(stdout);
	return passed;
}

/* A condition and a printf-style name. */
#define ok(condition, ...) tap_result((condition), __FILE__, __LINE__, __VA_ARGS__)

/* Integers of any type; both values are shown when they differ. */
#define is_int(got, wanted, ...) \
	do { \
		long long got_ = (long long)(got), wanted_ = (long long)(wanted); \
		if (!tap_result(got_ == wanted_, __FILE__, __LINE__, __VA_ARGS__)) \
			printf("# got %lld, wanted %lld\n", got_, wanted_); \
	} while (0)

/* Strings; NULL equals only NULL. */
#define is_str(got, wanted, ...) \
	do { \
		const char *got_ = (got), *wanted_ = (wanted); \
		bool same_ = got_ && wanted_ ? strcmp(got_, wanted_) == 0 : got_ == wanted_; \
		if (!tap_result(same_, __FILE__, __LINE__, __VA_ARGS__)) \
			printf("# got \"%s\", wanted \"%s\"\n", got_ ? got_ : "(null)", \
			        wanted_ ? wanted_ : "(null)"); \
	} while (0)

/* Prints the plan; main's return value. */
static inline int done(void)
{
	printf("1..%u\n", tap_count);
	return tap_failed ? 1 : 0;
}

#define TEST(function, title) \
	static void function(void); \
	__attribute__((constructor)) static void tap_add_##function(void) \
	{ \
		*tap_end++ = (struct tap_test){#function, title, function}; \
	} \
	static void function(void)

/* In the file's order. A name that no test has fails, and so does a test that checks nothing. */
static inline int run_tests(int argc, char **argv)
{
	int found = 1;
	for (struct tap_test *test = tap_tests; test < tap_end; test++) {
		bool wanted = argc < 2;
		for (int i = 1; i < argc; i++)
			wanted |= strcmp(argv[i], test->name) == 0;
		if (wanted) {
			unsigned before = tap_count;
			printf("# %s: %s\n", test->name, test->title);
			test->run();
			found++;
			if (tap_count == before)
				ok(false, "%s checks something", test->name);
		}
	}
	if (argc > 1)
		ok(found == argc, "each name is a test's");
	return done();
}

#define TEST_MAIN \
	int main(int argc, char **argv) \
	{ \
		return run_tests(argc, argv); \
	}
#endif
