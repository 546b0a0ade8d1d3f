/*
 * A streaming JSON writer over a buffer. (cJSON reads; it holds numbers as doubles, so it never
 * writes.)
 *
 * Output is compact, on one line, and is what PostgreSQL's jsonb accepts: valid UTF-8, no U+0000,
 * no lone surrogates. Commas are the writer's; the caller calls json_key() before each member of an
 * object. At most 64 levels. Failures are the buffer's (`failed`).
 */
#ifndef VEGA_BASE_JSON_H
#define VEGA_BASE_JSON_H

#include "base/buf.h"

struct json {
	struct buf *out;
	uint64_t started; /* bit n: level n already has a member */
	unsigned depth;
	bool after_key;
};

static inline struct json json_writer(struct buf *out)
{
	return (struct json){.out = out};
}

void json_object_begin(struct json *j);
void json_object_end(struct json *j);
void json_array_begin(struct json *j);
void json_array_end(struct json *j);

void json_key(struct json *j, const char *key);

/* Bytes as a string: what is not valid UTF-8, and NUL, becomes U+FFFD, and what utf8_hidden() knows
 * is escaped, so that a terminal shows it. */
void json_text(struct json *j, const char *bytes, size_t len);
void json_str(struct json *j, const char *string);
void json_u64(struct json *j, uint64_t value);
void json_i64(struct json *j, int64_t value);
void json_u128(struct json *j, unsigned __int128 value);
void json_bool(struct json *j, bool value);
void json_null(struct json *j);

/* len bytes that are already one JSON value, of whatever origin: what json_text() would escape in a
 * string is escaped. */
void json_raw(struct json *j, const char *value, size_t len);

/* As format_time() writes it (base/parse.h). */
void json_time(struct json *j, int64_t seconds, uint32_t nanoseconds);

/* key and value in one call, for the common cases. */
void json_member_u64(struct json *j, const char *key, uint64_t value);
void json_member_u128(struct json *j, const char *key, unsigned __int128 value);
void json_member_str(struct json *j, const char *key, const char *value);

/*
 * The members of a path: "KEY": the path as UTF-8; where the bytes are not valid UTF-8, "KEY" holds
 * the lossy form and "KEY_b64" the bytes exactly, in base64.
 */
void json_member_path(struct json *j, const char *key, const char *bytes, size_t len);

/* Does a terminal obey it, or does it show nothing, reorder what is shown or break the line?
 * Controls (C0, DEL, C1) and formatting characters. */
bool utf8_hidden(uint32_t code);

/* Are these bytes valid UTF-8 without NUL? (No overlong forms, no surrogates, at most U+10FFFF.) */
bool utf8_valid(const char *bytes, size_t len);

/*
 * The length (1–4) of the valid UTF-8 sequence at bytes, or 0 when there is none. Stores the code
 * point.
 */
size_t utf8_decode(const char *bytes, size_t len, uint32_t *code);

/* Add bytes as UTF-8: U+FFFD stands for each byte that is not. */
void utf8_add(struct buf *out, const char *bytes, size_t len);

#endif
