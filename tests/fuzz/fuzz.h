/* What a fuzz target says when something does not hold. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void must(bool condition, const char *what, const char *detail)
{
	if (!condition) {
		fprintf(stderr, "%s: %s\n", what, detail);
		abort();
	}
}

/* What is refused is refused in one line. */
static inline void must_explain(int rc, const struct vega_error *err)
{
	must(rc == err->code && (rc == VEGA_USAGE || rc == VEGA_FATAL), "wrong code", err->text);
	must(err->text[0] && !strpbrk(err->text, "\r\n"), "not one line", err->text);
}

/* The input as a string of its own, so that a read past its end is seen. To be freed. */
static inline char *fuzz_string(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	must(text != NULL, "no memory", "");
	memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

#endif
