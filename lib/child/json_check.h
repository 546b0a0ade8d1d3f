/*
 * Is this one JSON object, and no more than a store should have to take? Answered byte by byte as
 * the text comes, in any pieces, without a tree: the memory is this struct, whatever the text, and
 * each byte costs a few instructions.
 *
 * Stricter than RFC 8259 where PostgreSQL's jsonb is, or where a few bytes of text would cost it
 * much: no U+0000 and no lone surrogate, no exponents, JSON_CHECK_DEPTH levels (base/json.h writes
 * no more), JSON_CHECK_VALUES values.
 */
#ifndef VEGA_CHILD_JSON_CHECK_H
#define VEGA_CHILD_JSON_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_CHECK_DEPTH 64
#define JSON_CHECK_VALUES ((size_t)4 * 1024 * 1024)
#define JSON_CHECK_KEY 16

struct json_check {
	unsigned char state, depth;
	uint64_t arrays; /* bit n: level n + 1 is an array */
	size_t values;
	const char *rest;                /* of true, false or null */
	bool key;                        /* the string that is being read is one, */
	bool kept;                       /* of the first two levels */
	unsigned char need, least, most; /* bytes of UTF-8 that must follow; bounds of the next */
	unsigned char digits;            /* of \uXXXX that were read */
	uint16_t unit;                   /* their value */
	bool low;                        /* a low surrogate must come */

	/* the keys that lead to the value, of the first two levels; longer ones are cut */
	char keys[2][JSON_CHECK_KEY];
	unsigned char key_len;

	/* the members of a summary that a worker reads; of several of one name the last */
	bool has_complete, complete;
	uint64_t entries; /* "ledger": {"entries": N}; the largest number when it is larger */
	bool counting;    /* the number that is being read is that */
};

void json_check_init(struct json_check *check);

/* The next bytes. False: this is no such text, whatever follows. */
bool json_check_add(struct json_check *check, const char *bytes, size_t len);

/* Was it one whole object, with nothing behind it? */
bool json_check_whole(const struct json_check *check);

#endif
