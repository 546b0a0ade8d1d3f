/* Globs. A pattern is compiled into tokens; a pattern that is a literal with a star at one or
 * both ends is compared without them. The general matcher goes back to the last star and the
 * last "**" only, so it is never exponential. */
#include "base/glob.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum shape {
	SHAPE_LITERAL,
	SHAPE_ANY,    /* * */
	SHAPE_SUFFIX, /* *literal */
	SHAPE_PREFIX, /* literal* */
	SHAPE_INFIX,  /* *literal* */
	SHAPE_GENERAL,
};

enum token_kind {
	TOKEN_BYTE,
	TOKEN_ONE,  /* ? */
	TOKEN_SET,  /* [] */
	TOKEN_STAR, /* any bytes; with GLOB_PATHNAME none of them '/' */
	TOKEN_DIRS, /* "**" and '/': any number of whole components */
	TOKEN_ALL,  /* "**" elsewhere: any bytes */
	TOKEN_END,
};

struct token {
	uint8_t kind;
	uint8_t byte;
	uint32_t set; /* index in sets */
};

struct byte_set {
	uint64_t bits[4];
};

struct glob {
	enum shape shape;
	unsigned flags;
	char *literal; /* of the shapes that have one; lower case when folded */
	size_t literal_len;
	struct token *tokens; /* ends with TOKEN_END */
	size_t token_count;   /* without it */
	size_t least;         /* no shorter text matches */
	struct byte_set *sets;
	size_t set_count;
};

static unsigned char fold_byte(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

static bool set_has(const struct byte_set *set, unsigned char c)
{
	return set->bits[c >> 6] >> (c & 63) & 1;
}

static void set_add(struct byte_set *set, unsigned char c)
{
	set->bits[c >> 6] |= UINT64_C(1) << (c & 63);
}

struct compiler {
	struct glob *glob;
	const char *pattern;
	const char *s; /* what is left of it */
	struct vega_error *err;
};

static int malformed(const struct compiler *c, const char *reason)
{
	return vega_fail(c->err, VEGA_USAGE, "%.200s: %s", c->pattern, reason);
}

/* The C locale's character classes; false when there is none of that name. */
static bool add_class(struct byte_set *set, const char *name, size_t len)
{
	static const struct {
		const char *name;
		int (*has)(int);
	} classes[] = {
	        {"alnum", isalnum},
	        {"alpha", isalpha},
	        {"blank", isblank},
	        {"cntrl", iscntrl},
	        {"digit", isdigit},
	        {"graph", isgraph},
	        {"lower", islower},
	        {"print", isprint},
	        {"punct", ispunct},
	        {"space", isspace},
	        {"upper", isupper},
	        {"xdigit", isxdigit},
	};
	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
		if (strlen(classes[i].name) == len && memcmp(classes[i].name, name, len) == 0) {
			for (int byte = 0; byte < 0x80; byte++) {
				if (classes[i].has(byte)) {
					set_add(set, (unsigned char)byte);
				}
			}
			return true;
		}
	}
	return false;
}

/* The ":]" of the class that begins at s, NULL when none does. */
static const char *class_end(const char *s)
{
	const char *end = s[0] == '[' && s[1] == ':' ? strchr(s + 2, ']') : NULL;
	return end && end > s + 2 && end[-1] == ':' ? end - 1 : NULL;
}

static void fold_set(struct byte_set *set)
{
	for (unsigned char c = 'a'; c <= 'z'; c++) {
		unsigned char upper = (unsigned char)(c - ('a' - 'A'));
		if (set_has(set, c) || set_has(set, upper)) {
			set_add(set, c);
			set_add(set, upper);
		}
	}
}

/* One byte of a bracket, which a backslash may quote; false at the pattern's end. */
static bool bracket_byte(struct compiler *c, unsigned char *byte)
{
	if (*c->s == '\\') {
		c->s++;
	}
	*byte = (unsigned char)*c->s;
	return *c->s++ != '\0';
}

/* c->s stands behind '['. */
static int parse_bracket(struct compiler *c, struct byte_set *set)
{
	static const char unclosed[] = "unclosed '['; write \\[ for the character";
	bool negated = *c->s == '!' || *c->s == '^';
	c->s += negated;
	for (bool first = true; first || *c->s != ']'; first = false) {
		const char *end = class_end(c->s);
		if (end) {
			if (!add_class(set, c->s + 2, (size_t)(end - c->s - 2))) {
				return malformed(c, "unknown character class in '[]'");
			}
			c->s = end + 2;
			continue;
		}
		unsigned char low, high;
		if (!bracket_byte(c, &low)) {
			return malformed(c, unclosed);
		}
		high = low;
		if (c->s[0] == '-' && c->s[1] != ']' && c->s[1] != '\0') {
			c->s++;
			if (!bracket_byte(c, &high)) {
				return malformed(c, unclosed);
			}
		}
		for (unsigned byte = low; byte <= high; byte++) {
			set_add(set, (unsigned char)byte);
		}
		if (*c->s == '\0') {
			return malformed(c, unclosed);
		}
	}
	c->s++;
	if (c->glob->flags & GLOB_FOLD) {
		fold_set(set);
	}
	for (int i = 0; i < 4 && negated; i++) {
		set->bits[i] = ~set->bits[i];
	}
	if (c->glob->flags & GLOB_PATHNAME) {
		set->bits['/' >> 6] &= ~(UINT64_C(1) << ('/' & 63));
	}
	return 0;
}

/* c->s stands at the first of some stars; git's rules for which of them span directories. */
static enum token_kind parse_stars(struct compiler *c)
{
	bool at_start = c->s == c->pattern || c->s[-1] == '/';
	size_t stars = strspn(c->s, "*");
	c->s += stars;
	if (stars < 2 || !(c->glob->flags & GLOB_PATHNAME) || !at_start) {
		return TOKEN_STAR;
	}
	if (*c->s == '/') {
		c->s++;
		return TOKEN_DIRS;
	}
	return *c->s == '\0' || strncmp(c->s, "\\/", 2) == 0 ? TOKEN_ALL : TOKEN_STAR;
}

static int parse_token(struct compiler *c, struct token *token)
{
	struct glob *glob = c->glob;
	switch (*c->s) {
	case '*':
		token->kind = (uint8_t)parse_stars(c);
		return 0;
	case '?':
		c->s++;
		token->kind = TOKEN_ONE;
		return 0;
	case '[':
		c->s++;
		token->kind = TOKEN_SET;
		token->set = (uint32_t)glob->set_count;
		return parse_bracket(c, &glob->sets[glob->set_count++]);
	case '\\':
		if (*++c->s == '\0') {
			return malformed(c, "ends in a backslash; write \\\\ for the character");
		}
		break;
	default:
		break;
	}
	unsigned char byte = (unsigned char)*c->s++;
	token->kind = TOKEN_BYTE;
	token->byte = glob->flags & GLOB_FOLD ? fold_byte(byte) : byte;
	return 0;
}

static bool is_star(const struct token *token)
{
	return token->kind == TOKEN_STAR;
}

/* See whether the tokens have one of the shapes that need no general matching. */
static int find_shape(struct glob *glob)
{
	const struct token *first = glob->tokens, *end = first + glob->token_count;
	bool leading = first < end && is_star(first);
	bool trailing = end - first > 1 && is_star(end - 1);
	first += leading;
	end -= trailing;
	for (const struct token *t = first; t < end; t++) {
		if (t->kind != TOKEN_BYTE) {
			glob->shape = SHAPE_GENERAL;
			return 0;
		}
	}
	size_t len = (size_t)(end - first);
	glob->literal = malloc(len + 1);
	if (!glob->literal) {
		return VEGA_NOMEM;
	}
	for (size_t i = 0; i < len; i++) {
		glob->literal[i] = (char)first[i].byte;
	}
	glob->literal_len = len;
	glob->shape = len == 0 && leading   ? SHAPE_ANY
	              : leading && trailing ? SHAPE_INFIX
	              : leading             ? SHAPE_SUFFIX
	              : trailing            ? SHAPE_PREFIX
	                                    : SHAPE_LITERAL;
	return 0;
}

static int compile(struct compiler *c)
{
	struct glob *glob = c->glob;
	while (*c->s) {
		struct token token = {0};
		int code = parse_token(c, &token);
		if (code) {
			return code;
		}
		if (is_star(&token) && glob->token_count &&
		        is_star(&glob->tokens[glob->token_count - 1])) {
			continue;
		}
		glob->tokens[glob->token_count++] = token;
		glob->least += token.kind <= TOKEN_SET;
	}
	glob->tokens[glob->token_count].kind = TOKEN_END;
	return find_shape(glob) ? vega_fail_nomem(c->err) : 0;
}

int glob_compile(const char *pattern, unsigned flags, struct glob **out, struct vega_error *err)
{
	size_t len = strlen(pattern), brackets = 0;
	for (const char *s = pattern; *s; s++) {
		brackets += *s == '[';
	}
	struct glob *glob = calloc(1, sizeof *glob);
	*out = NULL;
	if (!glob) {
		return vega_fail_nomem(err);
	}
	glob->flags = flags;
	glob->tokens = calloc(len + 1, sizeof *glob->tokens);
	glob->sets = calloc(brackets ? brackets : 1, sizeof *glob->sets);
	struct compiler c = {glob, pattern, pattern, err};
	int code = glob->tokens && glob->sets ? compile(&c) : vega_fail_nomem(err);
	CHECK(code || (glob->token_count <= len && glob->set_count <= brackets));
	if (code) {
		glob_free(glob);
		return code;
	}
	*out = glob;
	return 0;
}

void glob_free(struct glob *glob)
{
	if (glob) {
		free(glob->literal);
		free(glob->tokens);
		free(glob->sets);
		free(glob);
	}
}

static bool equal(const struct glob *glob, const char *text)
{
	if (!(glob->flags & GLOB_FOLD)) {
		return memcmp(text, glob->literal, glob->literal_len) == 0;
	}
	for (size_t i = 0; i < glob->literal_len; i++) {
		if (fold_byte((unsigned char)text[i]) != (unsigned char)glob->literal[i]) {
			return false;
		}
	}
	return true;
}

static const char *find_literal(const struct glob *glob, const char *text, size_t len)
{
	if (!(glob->flags & GLOB_FOLD)) {
		return memmem(text, len, glob->literal, glob->literal_len);
	}
	for (size_t i = 0; i + glob->literal_len <= len; i++) {
		if (equal(glob, text + i)) {
			return text + i;
		}
	}
	return NULL;
}

static bool star_matches(const struct glob *glob, const char *text, size_t len)
{
	return !(glob->flags & GLOB_PATHNAME) || !memchr(text, '/', len);
}

/* With GLOB_PATHNAME the stars on both sides stop at '/', so only the literal may hold one. */
static bool match_infix(const struct glob *glob, const char *text, size_t len)
{
	const char *end = text + len;
	for (const char *from = text;;) {
		const char *at = find_literal(glob, from, (size_t)(end - from));
		if (!at || !star_matches(glob, text, (size_t)(at - text))) {
			return false;
		}
		const char *rest = at + glob->literal_len;
		if (star_matches(glob, rest, (size_t)(end - rest))) {
			return true;
		}
		from = at + 1;
	}
}

static bool token_takes(const struct glob *glob, const struct token *token, unsigned char c)
{
	switch (token->kind) {
	case TOKEN_BYTE:
		return token->byte == (glob->flags & GLOB_FOLD ? fold_byte(c) : c);
	case TOKEN_ONE:
		return c != '/' || !(glob->flags & GLOB_PATHNAME);
	case TOKEN_SET:
		return set_has(&glob->sets[token->set], c);
	default:
		return false;
	}
}

/*
 * Where to go on after a mismatch: behind the last star and behind the last "**", each with the
 * text that it has not taken yet. Only the last of each is ever lengthened, because an earlier one
 * that took more would leave later tokens less to match: so the work is at most quadratic for each
 * kind.
 */
struct retry {
	const struct token *token; /* NULL: there is none */
	const char *text;
};

/* Let a "**" take one byte, or for TOKEN_DIRS one component, more. */
static bool lengthen(struct retry *span, const char *end)
{
	if (!span->token) {
		return false;
	}
	if (span->token[-1].kind == TOKEN_DIRS) {
		const char *slash = memchr(span->text, '/', (size_t)(end - span->text));
		span->text = slash ? slash + 1 : NULL;
		return slash != NULL;
	}
	return span->text++ < end;
}

static bool match_general(const struct glob *glob, const char *text, size_t len)
{
	const struct token *token = glob->tokens;
	const char *end = text + len;
	bool pathname = glob->flags & GLOB_PATHNAME;
	struct retry star = {0}, span = {0};
	for (;;) {
		if (token->kind == TOKEN_END && text == end) {
			return true;
		}
		if (token->kind == TOKEN_STAR) {
			star = (struct retry){++token, text};
			continue;
		}
		if (token->kind == TOKEN_DIRS || token->kind == TOKEN_ALL) {
			span = (struct retry){++token, text};
			star.token = NULL;
			continue;
		}
		if (text < end && token_takes(glob, token, (unsigned char)*text)) {
			/* A component that is matched stays matched. */
			if (pathname && *text == '/') {
				star.token = NULL;
			}
			token++;
			text++;
			continue;
		}
		if (star.token && star.text < end && !(pathname && *star.text == '/')) {
			text = ++star.text;
			token = star.token;
			continue;
		}
		if (!lengthen(&span, end)) {
			return false;
		}
		star.token = NULL;
		token = span.token;
		text = span.text;
	}
}

bool glob_match(const struct glob *glob, const char *text, size_t len)
{
	size_t literal = glob->literal_len;
	if (len < glob->least) {
		return false;
	}
	switch (glob->shape) {
	case SHAPE_LITERAL:
		return len == literal && equal(glob, text);
	case SHAPE_ANY:
		return star_matches(glob, text, len);
	case SHAPE_SUFFIX:
		return equal(glob, text + len - literal) && star_matches(glob, text, len - literal);
	case SHAPE_PREFIX:
		return equal(glob, text) && star_matches(glob, text + literal, len - literal);
	case SHAPE_INFIX:
		return match_infix(glob, text, len);
	case SHAPE_GENERAL:
		return match_general(glob, text, len);
	}
	return false;
}
