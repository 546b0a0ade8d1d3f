/*
 * What an operation puts out, said as data: the columns of its records, the members of its summary,
 * and how people see them. csv, text and the picture of a summary are drawn from this, and know no
 * operation by its name; an operation declares it beside its options (spec/operation.h).
 *
 * The summary has one member per operation, named as it; what is said here of "the summary" lies in
 * that member. A path such as "hard_links.saved_bytes" leads into an object.
 */
#ifndef VEGA_RECORD_SCHEMA_H
#define VEGA_RECORD_SCHEMA_H

#include <stdbool.h>

#include "record/record.h"

enum record_unit { UNIT_NONE, UNIT_COUNT, UNIT_BYTES, UNIT_TIME /* RFC 3339 text */ };

struct record_column {
	const char *key; /* the member's name, and csv's heading */
	enum record_value type;
	enum record_unit unit;
	const char *text; /* for people: the heading */
};

/* The columns that every entry record can have: what it is, and its metadata. */
enum record_standard {
	STANDARD_PATH,
	STANDARD_TYPE,
	STANDARD_SIZE,
	STANDARD_ALLOCATED,
	STANDARD_MTIME,
	STANDARD_MODE,
	STANDARD_UID,
	STANDARD_GID,
	STANDARD_NLINK,
	STANDARD_DEV,
	STANDARD_INO,
	STANDARD_COUNT,
};
#define STANDARD_ALL ((1u << STANDARD_COUNT) - 1)

extern const struct record_column record_standard[STANDARD_COUNT];

/* A number of the summary, as people read it: "3 files hashed", "1.2 GiB in all". */
struct record_fact {
	const char *path;
	enum record_unit unit;  /* UNIT_COUNT or UNIT_BYTES */
	const char *one, *many; /* bytes: `many` alone */
	enum { FACT_ALWAYS, FACT_IF_ANY, FACT_ALERT /* if any, in red */ } show;
	const char *from, *to; /* two sizes behind it, if any: "(3.4 GiB → 812.0 MiB)"; or NULL */
};

/* An array of objects in the summary. Each has the operation's `numbers` (some may be absent). */
struct record_table {
	const char *path;
	const char *row; /* the member that names a row; KEY_b64 has the exact bytes, if present */
	const char *unnamed; /* a number to name rows with an empty name by; NULL: none */
	const char *section; /* csv's name for its rows */
	const char *title;   /* for people */
	enum {
		TABLE_RANKING, /* the largest first; the last row may stand for all others */
		TABLE_SCALE,   /* its rows are in an order; none between the first and last is left
		                  out */
		TABLE_FILES,   /* paths, with "mtime" */
		TABLE_TREE     /* directories in any order, each with its "depth" and its parents up
		                  to a root, and, where known, the number of its "directories", itself
		          included */
	} kind;
	unsigned place;    /* rankings and scales, in the picture: 1 is the most important */
	unsigned least;    /* rows that make it worth drawing */
	unsigned beside;   /* drawn only when so many fit side by side */
	bool from_end;     /* a scale: where rows must go, its end is folded, not its beginning */
	const char *apart; /* a row of the scale that is in no order, and not folded; or NULL */
	const char *alone; /* a fact made of the name of its only row: "owned by"; NULL: none */
};

#define SCHEMA_NUMBERS_MAX 4
#define SCHEMA_TABLES_MAX 8

/* A row of csv's section "total": a path for each of the operation's `numbers`; NULL: empty. */
struct record_total {
	const char *name;
	const char *paths[SCHEMA_NUMBERS_MAX];
};

struct record_schema {
	const char *name; /* the operation's */

	/* Entry records. */
	uint32_t standard;                  /* bits 1 << enum record_standard: the columns it has */
	const struct record_column *fields; /* and its own */
	size_t field_count;
	unsigned meta; /* meta_fields to ask for, beside its own needs, if the format shows them */

	/* The summary. */
	const struct record_fact *facts;
	size_t fact_count;
	const struct record_column
	        *numbers; /* of a row of its tables, at most SCHEMA_NUMBERS_MAX */
	size_t number_count;
	const struct record_total *totals;
	size_t total_count;
	const struct record_table *tables; /* at most SCHEMA_TABLES_MAX */
	size_t table_count;

	/* For people, the picture of the summary is the answer: always; or on a terminal, in place
	 * of nothing, when it is the only operation. */
	bool answers_in_summary, answers_on_terminal;
};

#endif
