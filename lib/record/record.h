/*
 * What operations emit, and what comes out of the pipe between walk and run: see vega-formats(5).
 *
 * A record is only a view: it owns nothing, and every pointer needs to live only during the call it
 * is passed to. A path comes in two pieces so that nobody has to join them: dir ends in '/' or is
 * empty.
 */
#ifndef VEGA_RECORD_RECORD_H
#define VEGA_RECORD_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record/meta.h"

#define RECORD_VERSION 1

enum record_type {
	RECORD_ENTRY,    /* something found, hashed, written */
	RECORD_ERROR,    /* something that could not be read or written */
	RECORD_PROGRESS, /* ndjson only, when asked for */
	                 /* the summary is not built from a struct record: see struct format */
};

/* How the text format writes the path of an entry. */
enum record_text {
	RECORD_TEXT_PATH,   /* lead, then the path */
	RECORD_TEXT_SUM,    /* the same with the escaping of sha256sum (base/escape.h) */
	RECORD_TEXT_OUTPUT, /* the path in fields[0] instead: of a file that was written */
	RECORD_TEXT_NONE,   /* nothing: what there is to tell is in other formats */
};

enum record_value {
	VALUE_TEXT,  /* UTF-8, NUL-terminated */
	VALUE_BYTES, /* a path: written with its KEY_b64 companion where needed */
	VALUE_U64,
	VALUE_BOOL,
};

struct record_field {
	const char *key;
	enum record_value type;
	const char *text; /* VALUE_TEXT, VALUE_BYTES */
	size_t len;       /* VALUE_BYTES */
	uint64_t number;  /* VALUE_U64, VALUE_BOOL */
};

struct record {
	enum record_type type;
	const char *op; /* the operation that speaks; for errors: what was tried ("open", "stat",
	                   "hash") */
	const char *dir, *name;
	size_t dir_len, name_len;

	/* entry */
	enum file_type file_type;
	const struct file_meta *meta; /* may be NULL; only the fields in `have` are written */
	const struct record_field *fields;
	size_t field_count;
	enum record_text text;
	const char *lead; /* text format: what stands before the path ("DIGEST  "), may be NULL */
	size_t lead_len;

	/* error */
	int errnum;          /* 0 when there is only a message ("changed while it was read") */
	const char *message; /* may be NULL: the system's text for errnum is used */

	/* progress: cumulative */
	uint64_t entries, bytes, waiting, errors;
};

#endif
