/* Where a failed assertion ends: the one place of the library that prints, because nothing may be
 * relied upon any more. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void check_failed(const char *file, int line, const char *function, const char *condition)
{
	char text[512];
	int len = snprintf(text, sizeof text, "%s:%d: %s: this does not hold: %s\n", file, line,
	        function, condition);
	size_t size = len < (int)sizeof text ? (size_t)len : sizeof text - 1;
	if (write(STDERR_FILENO, text, size) < 0) {
		_exit(134);
	}
	abort();
}
