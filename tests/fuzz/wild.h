/*
 * Shell patterns by the book, and slowly: the oracle for base/glob.c. Each state (what is left of
 * the pattern, what is left of the text) is tried once.
 */
#ifndef TESTS_FUZZ_WILD_H
#define TESTS_FUZZ_WILD_H

#include <ctype.h>
#include <wctype.h>

#include "base/glob.h"
#include "fuzz.h"

#define WILD_PATTERN_MAX 60
#define WILD_TEXT_MAX 60

struct wild {
	const char *pattern, *text; /* whole */
	unsigned flags;
	bool failed[WILD_PATTERN_MAX + 1][WILD_TEXT_MAX + 1];
};

static inline bool wild_class(const char *name, size_t len, unsigned char c)
{
	char text[16] = "";
	if (len < sizeof text) {
		memcpy(text, name, len);
	}
	wctype_t class = wctype(text);
	return c < 0x80 && class && iswctype(c, class);
}

/* Is c in the bracket that begins at p, as it is written? *end: behind it. */
static inline bool wild_in_bracket(const char *p, unsigned char c, const char **end)
{
	bool negated = p[1] == '!' || p[1] == '^', in = false;
	p += 1 + negated;
	for (bool first = true; first || *p != ']'; first = false) {
		const char *close = p[0] == '[' && p[1] == ':' ? strchr(p + 2, ']') : NULL;
		if (close && close > p + 2 && close[-1] == ':') {
			in = in || wild_class(p + 2, (size_t)(close - p) - 3, c);
			p = close + 1;
			continue;
		}
		p += *p == '\\';
		unsigned char low = (unsigned char)*p++, high = low;
		if (p[0] == '-' && p[1] != ']') {
			p += 1 + (p[1] == '\\');
			high = (unsigned char)*p++;
		}
		in = in || (low <= c && c <= high);
	}
	*end = p + 1;
	return in != negated;
}

static inline bool wild_bracket(const char *p, unsigned char c, unsigned flags, const char **end)
{
	bool negated = p[1] == '!' || p[1] == '^', in = wild_in_bracket(p, c, end);
	if (flags & GLOB_FOLD) {
		bool lower = wild_in_bracket(p, (unsigned char)tolower(c), end);
		bool upper = wild_in_bracket(p, (unsigned char)toupper(c), end);
		in = negated ? in && lower && upper : in || lower || upper;
	}
	return in && !(c == '/' && (flags & GLOB_PATHNAME));
}

static inline bool wild_match(struct wild *w, const char *p, const char *t);

static inline bool wild_stars(struct wild *w, const char *p, const char *t)
{
	const char *next = p + strspn(p, "*");
	bool paths = w->flags & GLOB_PATHNAME;
	bool span = paths && next - p > 1 && (p == w->pattern || p[-1] == '/') &&
	            (!*next || *next == '/' || strncmp(next, "\\/", 2) == 0);
	if (span && *next == '/') { /* no directory, or some whole ones */
		if (wild_match(w, next + 1, t)) {
			return true;
		}
		for (t = strchr(t, '/'); t; t = strchr(t + 1, '/')) {
			if (wild_match(w, next + 1, t + 1)) {
				return true;
			}
		}
		return false;
	}
	for (;; t++) {
		if (wild_match(w, next, t)) {
			return true;
		}
		if (!*t || (*t == '/' && paths && !span)) {
			return false;
		}
	}
}

static inline bool wild_one(struct wild *w, const char *p, const char *t)
{
	bool paths = w->flags & GLOB_PATHNAME;
	const char *next;
	if (!*p || *p == '*') {
		return *p ? wild_stars(w, p, t) : !*t;
	}
	if (!*t) {
		return false;
	}
	if (*p == '?') {
		return !(*t == '/' && paths) && wild_match(w, p + 1, t + 1);
	}
	if (*p == '[') {
		return wild_bracket(p, (unsigned char)*t, w->flags, &next) &&
		       wild_match(w, next, t + 1);
	}
	p += *p == '\\';
	bool same = w->flags & GLOB_FOLD ? tolower((unsigned char)*p) == tolower((unsigned char)*t)
	                                 : *p == *t;
	return same && wild_match(w, p + 1, t + 1);
}

static inline bool wild_match(struct wild *w, const char *p, const char *t)
{
	bool *failed = &w->failed[p - w->pattern][t - w->text];
	if (*failed) {
		return false;
	}
	*failed = !wild_one(w, p, t);
	return !*failed;
}

/* Does the well-formed pattern match the text? Both within the limits above. */
static inline bool wild(const char *pattern, const char *text, unsigned flags)
{
	struct wild w = {.pattern = pattern, .text = text, .flags = flags};
	return wild_match(&w, pattern, text);
}

#endif
