/*
 * Assertions: what must hold unless the program itself is wrong. Bad input, full disks and other
 * people's files are never a reason for one: those are errors.
 *
 * CHECK(condition) evaluates its condition and, when it is false, writes file, line and condition
 * to standard error and aborts, in builds with VEGA_CHECKS (the profiles debug, asan, tsan, fuzz
 * and faults). In a release the condition is parsed and type-checked but not evaluated, so it may
 * have no effects that anything depends on, and costs nothing.
 */
#ifndef VEGA_BASE_CHECK_H
#define VEGA_BASE_CHECK_H

#ifdef VEGA_CHECKS
#define CHECK(condition) \
	((condition) ? (void)0 : check_failed(__FILE__, __LINE__, __func__, #condition))
#else
#define CHECK(condition) ((void)(0 && (condition)))
#endif

_Noreturn void check_failed(
        const char *file, int line, const char *function, const char *condition);

#endif
