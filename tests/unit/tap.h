/*
 * A TAP producer for unit tests: one process a test file.
 *
 *	int main(void)
 *	{
 *		ok(1 + 1 == 2, "addition");
 *		is_str(name, "vega");
 *		return done();
 *	}
 */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static unsigned tap_count, tap_failed;

__attribute__((format(printf, 4, 5))) static inline bool tap_result(
        bool passed, const char *file, int line, const char *format, ...)
{
	printf("%sok %u - ", passed ? "" : "not ", ++tap_count);
	va_list args;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	if (!passed) {
		printf("# at %s:%d\n", file, line);
		tap_failed++;
	}
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

#endif
