/*
 * Shell patterns over bytes, compiled once and matched many times: * ? [a-z] [!a-z] and \ to quote.
 * Matching is linear for the common shapes (literal, *SUFFIX, PREFIX*, *INFIX*) and never
 * exponential. A compiled pattern is read-only and may be shared by threads.
 */
#ifndef VEGA_BASE_GLOB_H
#define VEGA_BASE_GLOB_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum glob_flags {
	GLOB_FOLD = 1,     /* ASCII case does not matter */
	GLOB_PATHNAME = 2, /* * ? [] do not match '/', and ** spans directories, as in gitignore */
};

struct glob;

/* VEGA_USAGE with the pattern named for an unclosed bracket or a trailing backslash. */
int glob_compile(const char *pattern, unsigned flags, struct glob **out, struct vega_error *err);
bool glob_match(const struct glob *glob, const char *text, size_t len);
void glob_free(struct glob *glob);

#endif
