/*
 * A pushdown machine over bytes: the state says what may come next, one bit per level whether that
 * is an array, so that a text of any size is checked in pieces and in constant memory. UTF-8 and
 * surrogate pairs are checked on the way.
 */
#include "child/json_check.h"

#include <string.h>

#include "base/check.h"

enum {
	BAD,
	START,      /* the object itself */
	FIRST_ITEM, /* a value, or the end of an array */
	VALUE,
	FIRST_KEY, /* a key, or the end of an object */
	KEY,
	COLON,
	AFTER, /* a value: a comma, or the end of what it is in */
	STRING,
	ESCAPE,
	UNIT,  /* the digits of \uXXXX */
	LOW,   /* the backslash before a low surrogate, */
	LOW_U, /* and its u */
	LITERAL,
	MINUS,
	ZERO,
	DIGITS,
	POINT,
	FRACTION,
	WHOLE,
};

void json_check_init(struct json_check *check)
{
	*check = (struct json_check){.state = START};
}

static bool is_space(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

static bool in_array(const struct json_check *check)
{
	return check->arrays >> (check->depth - 1) & 1;
}

static bool key_is(const struct json_check *check, unsigned level, const char *name)
{
	return strncmp(check->keys[level], name, JSON_CHECK_KEY) == 0;
}

static bool enter(struct json_check *check, bool array)
{
	if (check->depth == JSON_CHECK_DEPTH) {
		return false;
	}
	uint64_t bit = UINT64_C(1) << check->depth++;
	check->arrays = array ? check->arrays | bit : check->arrays & ~bit;
	check->state = array ? FIRST_ITEM : FIRST_KEY;
	return true;
}

static bool leave(struct json_check *check)
{
	CHECK(check->depth > 0);
	check->depth--;
	check->state = check->depth ? AFTER : WHOLE;
	return true;
}

static bool begin_literal(struct json_check *check, const char *rest)
{
	if (check->depth == 1 && key_is(check, 0, "complete")) {
		check->complete = *rest == 'r';
		check->has_complete = *rest == 'r' || *rest == 'a';
	}
	check->state = LITERAL;
	check->rest = rest;
	return true;
}

static bool begin_number(struct json_check *check, unsigned char c)
{
	check->counting = c != '-' && check->depth == 2 && !in_array(check) &&
	                  key_is(check, 0, "ledger") && key_is(check, 1, "entries");
	if (check->counting) {
		check->entries = (uint64_t)(c - '0');
	}
	check->state = c == '-' ? MINUS : c == '0' ? ZERO : DIGITS;
	return true;
}

static bool begin_string(struct json_check *check, bool key)
{
	check->state = STRING;
	check->key = key;
	check->kept = key && check->depth <= 2;
	check->key_len = 0;
	if (check->kept) {
		memset(check->keys[check->depth - 1], 0, JSON_CHECK_KEY);
	}
	return true;
}

static bool begin_value(struct json_check *check, unsigned char c)
{
	if (++check->values > JSON_CHECK_VALUES) {
		return false;
	}
	switch (c) {
	case '{':
		return enter(check, false);
	case '[':
		return enter(check, true);
	case '"':
		return begin_string(check, false);
	case 't':
		return begin_literal(check, "rue");
	case 'f':
		return begin_literal(check, "alse");
	case 'n':
		return begin_literal(check, "ull");
	default:
		return (c == '-' || is_digit(c)) && begin_number(check, c);
	}
}

/* The first byte of a sequence: how many follow, and what the next may be (RFC 3629, section 4). */
static bool begin_sequence(struct json_check *check, unsigned char c)
{
	check->need = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
	check->least = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	check->most = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	return c >= 0xc2 && c <= 0xf4;
}

static bool string_byte(struct json_check *check, unsigned char c)
{
	if (check->need) {
		bool fine = c >= check->least && c <= check->most;
		check->need--;
		check->least = 0x80;
		check->most = 0xbf;
		return fine;
	}
	if (c == '"') {
		check->state = check->key ? COLON : AFTER;
		return true;
	}
	if (check->kept && check->key_len < JSON_CHECK_KEY) {
		check->keys[check->depth - 1][check->key_len++] = (char)c;
	}
	if (c == '\\') {
		check->state = ESCAPE;
		return true;
	}
	return c >= 0x80 ? begin_sequence(check, c) : c >= 0x20;
}

static bool escape_byte(struct json_check *check, unsigned char c)
{
	check->state = c == 'u' ? UNIT : STRING;
	check->digits = 0;
	check->unit = 0;
	return c == 'u' || (c && strchr("\"\\/bfnrt", c));
}

static bool unit_byte(struct json_check *check, unsigned char c)
{
	unsigned char letter = c | 0x20;
	bool is_letter = letter >= 'a' && letter <= 'f';
	if (!is_digit(c) && !is_letter) {
		return false;
	}
	check->unit = (uint16_t)(check->unit << 4 | (is_letter ? letter - 'a' + 10 : c - '0'));
	if (++check->digits < 4) {
		return true;
	}
	bool high = check->unit >= 0xd800 && check->unit <= 0xdbff;
	bool low = check->unit >= 0xdc00 && check->unit <= 0xdfff;
	bool fine = check->unit && low == check->low;
	check->low = high;
	check->state = high ? LOW : STRING;
	return fine;
}

static void count(struct json_check *check, unsigned char c)
{
	uint64_t digit = (uint64_t)(c - '0');
	bool fits = check->entries <= (UINT64_MAX - digit) / 10;
	check->entries = fits ? check->entries * 10 + digit : UINT64_MAX;
}

/* After the value that the container is in: what ends it, or leads to the next. */
static bool after_byte(struct json_check *check, unsigned char c)
{
	bool array = in_array(check);
	if (is_space(c)) {
		return true;
	}
	if (c == ',') {
		check->state = array ? VALUE : KEY;
		return true;
	}
	return c == (array ? ']' : '}') && leave(check);
}

/* A byte that a number cannot have ends it. */
static bool number_byte(struct json_check *check, unsigned char c)
{
	if (is_digit(c) && check->state != ZERO) {
		if (check->state == DIGITS && check->counting) {
			count(check, c);
		}
		check->state = check->state == MINUS   ? (c == '0' ? ZERO : DIGITS)
		               : check->state == POINT ? FRACTION
		                                       : check->state;
		return true;
	}
	if (check->state == MINUS || check->state == POINT) {
		return false;
	}
	if (c == '.' && check->state != FRACTION) {
		check->state = POINT;
		return true;
	}
	check->state = AFTER;
	return after_byte(check, c);
}

static bool literal_byte(struct json_check *check, unsigned char c)
{
	if (c != (unsigned char)*check->rest) {
		return false;
	}
	check->state = *++check->rest ? LITERAL : AFTER;
	return true;
}

/* Between values, where white space may stand. */
static bool outer_byte(struct json_check *check, unsigned char c)
{
	if (is_space(c)) {
		return true;
	}
	switch (check->state) {
	case START:
		return c == '{' && enter(check, false);
	case FIRST_ITEM:
		return c == ']' ? leave(check) : begin_value(check, c);
	case VALUE:
		return begin_value(check, c);
	case FIRST_KEY:
		return c == '}' ? leave(check) : c == '"' && begin_string(check, true);
	case KEY:
		return c == '"' && begin_string(check, true);
	case COLON:
		check->state = VALUE;
		return c == ':';
	default: /* WHOLE, or BAD */
		return false;
	}
}

static bool add_byte(struct json_check *check, unsigned char c)
{
	switch (check->state) {
	case STRING:
		return string_byte(check, c);
	case ESCAPE:
		return escape_byte(check, c);
	case UNIT:
		return unit_byte(check, c);
	case LOW:
		check->state = LOW_U;
		return c == '\\';
	case LOW_U:
		check->state = UNIT;
		check->digits = 0;
		check->unit = 0;
		return c == 'u';
	case LITERAL:
		return literal_byte(check, c);
	case MINUS:
	case ZERO:
	case DIGITS:
	case POINT:
	case FRACTION:
		return number_byte(check, c);
	case AFTER:
		return after_byte(check, c);
	default:
		return outer_byte(check, c);
	}
}

bool json_check_add(struct json_check *check, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len && check->state != BAD; i++) {
		if (!add_byte(check, (unsigned char)bytes[i])) {
			check->state = BAD;
		}
	}
	return check->state != BAD;
}

bool json_check_whole(const struct json_check *check)
{
	return check->state == WHOLE;
}
