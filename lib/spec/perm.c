/* The argument of --perm: octal, or as chmod has it. */
#include "spec/spec.h"

#include <string.h>

#define READ UINT32_C(0444)
#define WRITE UINT32_C(0222)
#define EXECUTE UINT32_C(0111)
#define SET_ID UINT32_C(06000)
#define STICKY UINT32_C(01000)
#define ALL_BITS UINT32_C(07777)

static uint32_t who_bits(char c)
{
	switch (c) {
	case 'u':
		return 04700;
	case 'g':
		return 02070;
	case 'o':
		return 01007;
	case 'a':
		return ALL_BITS;
	default:
		return 0;
	}
}

static uint32_t permission_bits(char c)
{
	switch (c) {
	case 'r':
		return READ;
	case 'w':
		return WRITE;
	case 'x':
		return EXECUTE;
	case 's':
		return SET_ID;
	case 't':
		return STICKY;
	default:
		return 0;
	}
}

/* One class's rwx, as it stands in `mode`, given to all three classes. */
static uint32_t copied_bits(char c, uint32_t mode)
{
	uint32_t from = mode & who_bits(c) & 0777;
	return (from & READ ? READ : 0) | (from & WRITE ? WRITE : 0) |
	       (from & EXECUTE ? EXECUTE : 0);
}

/* "u+w", "go=", "a-x+r": chmod's clause, without a umask, applied to *mode. NULL: not a clause. */
static const char *apply_clause(const char *text, uint32_t *mode)
{
	uint32_t who = 0;
	for (; who_bits(*text); text++) {
		who |= who_bits(*text);
	}
	uint32_t affected = who ? who : ALL_BITS;
	if (*text != '+' && *text != '-' && *text != '=') {
		return NULL;
	}
	while (*text == '+' || *text == '-' || *text == '=') {
		char action = *text++;
		uint32_t bits = 0;
		if (*text == 'u' || *text == 'g' || *text == 'o') {
			bits = copied_bits(*text++, *mode);
		} else {
			for (; permission_bits(*text); text++) {
				bits |= permission_bits(*text);
			}
		}
		bits &= affected;
		if (action == '+') {
			*mode |= bits;
		} else if (action == '-') {
			*mode &= ~bits;
		} else {
			*mode = (*mode & ~affected) | bits;
		}
	}
	return text;
}

static bool parse_symbolic(const char *text, uint32_t *mode)
{
	*mode = 0;
	do {
		text = apply_clause(text, mode);
	} while (text && *text++ == ',');
	return text && text[-1] == '\0';
}

static bool parse_octal(const char *text, uint32_t *mode)
{
	*mode = 0;
	for (; *text >= '0' && *text <= '7'; text++) {
		*mode = *mode << 3 | (uint32_t)(*text - '0');
		if (*mode > ALL_BITS) {
			return false;
		}
	}
	return *text == '\0';
}

int spec_parse_perm(const char *text, char *kind, uint32_t *mode, struct vega_error *err)
{
	const char *rest = text;
	*kind = 0;
	if (*rest == '-' || *rest == '/') {
		*kind = *rest++;
	}
	bool digit = *rest >= '0' && *rest <= '9';
	if (*rest && (digit ? parse_octal(rest, mode) : parse_symbolic(rest, mode))) {
		return 0;
	}
	return vega_fail(err, VEGA_USAGE,
	        "--perm %s: not a mode; use octal (644, at most 7777) or symbolic "
	        "(u=rw,go=r), after '-' for all of these bits or '/' for any of them",
	        *text ? text : "''");
}
