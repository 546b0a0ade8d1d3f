/*
 * Typed option tables. One row says everything about an option: how it is written, what it takes,
 * where its value goes, what --help, the man page and the completions say of it, and how it is
 * named in JSON.
 *
 * A command parses its arguments against several tables (its own, and the one of the
 * specification), each of which fills a plain zero-initialised struct. Nothing here prints or
 * exits.
 */
#ifndef VEGA_BASE_OPTION_H
#define VEGA_BASE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/parse.h"
#include "base/strlist.h"

/* The type of the field at `offset`. A repeated scalar option: the last one wins. */
enum option_type {
	OPT_FLAG,     /* bool */
	OPT_COUNT,    /* unsigned: how often it was given */
	OPT_NUMBER,   /* struct option_number, parse_u64 */
	OPT_SIZE,     /* struct option_number, bytes, parse_size */
	OPT_DURATION, /* struct option_number, nanoseconds, parse_duration */
	OPT_TIME,     /* struct option_time, parse_time */
	OPT_TEXT,     /* char *, owned by the struct; NULL when not given */
	OPT_LIST,     /* struct strlist, one item an occurrence */
	OPT_CHOICE,   /* unsigned: index in choices[]; 0 is the default */
	OPT_CHOICES,  /* uint32_t: a bit for each index; "a,b" or repeated */
};

struct option_number {
	uint64_t value;
	bool set;
};

struct option_time {
	struct vega_time value;
	bool set;
};

struct option_row {
	const char *name; /* long form without the dashes; JSON has '_' for '-' */
	char letter;      /* short form, or 0 */
	enum option_type type;
	size_t offset;   /* of the field in the table's target */
	uint32_t groups; /* the table's own use (spec: a bit for each operation); 0 = any */
	const char
	        *metavar; /* "GLOB"; NULL for a flag. "[=FILE]", for OPT_TEXT and OPT_CHOICE: only
	                     "--name=FILE" and "--name", which is an empty text or
	                     OPTION_CHOICE_BARE, are understood; in JSON, true is that choice */
	const char *const *choices; /* NULL-terminated, for OPT_CHOICE and OPT_CHOICES; one that
	                               begins with no letter or digit only holds its index and
	                               cannot be given */
	const char *heading; /* the section of --help and of the man page that it stands in */
	const char *help;    /* one sentence, lower case, no full stop; states the default;
	                        NULL hides the row */
};

#define OPTION_CHOICE_BARE 1u

/* May the value be left out? */
bool option_is_optional(const struct option_row *row);

/* A table and the struct that it fills. Rows stand together by heading. */
struct option_table {
	const struct option_row *rows;
	size_t count;
	void *target; /* NULL where only the rows are wanted (help, completions) */
};

/* Rows that every command has: -h/--help and --version. */
struct option_common {
	bool help;
	bool version;
	bool describe; /* --vega-options: print option_describe() (hidden from help) */
};
extern const struct option_row option_common_rows[];
extern const size_t option_common_count;

/*
 * Parse argv[1..]. Options and operands may be mixed; "--name=value", "--name value", "-xvalue",
 * "-x value" and clusters of flags are understood; names are not abbreviated (a near miss is named
 * in the error: "unknown option --maxsize; did you mean --max-size?"). A lone "-" is an operand. A
 * whole long name behind one dash ("-name") is refused, and so is a word of another tool
 * ("-newer"): they would be read as clusters. What the words of other tools are called here is in
 * option_words.c; an error says it. -h does not count beside an error, since elsewhere it is
 * something else ("-h HOST").
 * "--" ends the options: what follows is added to `operands`, or, when `rest` is not NULL, *rest is
 * set to the index in argv of the first argument after "--" (argc when there was no "--") and those
 * are left alone. Ages ("7d") all count back from one moment. `operands` points into argv,
 * NULL-free; the caller frees only the array. `given` (may be NULL) collects the rows that
 * occurred, in order, for checks such as "--algo needs the operation hash".
 */
struct option_given {
	const struct option_row **rows;
	size_t count, cap;

	/* NULL, or asked before a row is set: *target is that of its table, and may be changed for
	 * another of its kind. An error ends the parsing. */
	int (*redirect)(
	        void *context, const struct option_row *row, void **target, struct vega_error *err);
	void *context;
};
int option_parse(const struct option_table *tables, size_t table_count, int argc, char **argv,
        char ***operands, size_t *operand_count, int *rest, struct option_given *given,
        struct vega_error *err);

#define OPTION_NAME_MAX 40 /* longer names are far from every other */

/* How many letters two names differ in; and the most in which a name may differ from a word that
 * means it. */
unsigned option_distance(const char *a, const char *b);
unsigned option_tolerance(const char *word);

/*
 * Set one field from its text, as option_parse does. Used for JSON and for the environment too. The
 * text of a flag is "true", "false" or NULL (true); that of a count a number or NULL (one more).
 * Errors read "--min-size 12Q: not a size; …".
 */
int option_set(
        const struct option_row *row, void *target, const char *text, struct vega_error *err);

/* Free what OPT_TEXT and OPT_LIST rows own in the target, and zero them. */
void option_release(const struct option_row *rows, size_t count, void *target);

/* Where text is broken that goes to no terminal. */
#define OPTION_HELP_WIDTH 80

/* Adds the words of a text whose first line begins at `column`, broken before `width`; later lines
 * begin at `column` too. Ends with a newline. */
void option_wrap(struct buf *out, const char *text, size_t column, unsigned width);

/* The OPTIONS part of --help, wrapped to `width` columns (0: OPTION_HELP_WIDTH), grouped by
 * heading.
 */
void option_help(
        struct buf *out, const struct option_table *tables, size_t table_count, unsigned width);

/*
 * One line a row, tab-separated: heading, name, letter or "-", type, metavar or "-", choices joined
 * by
 * ',' or "-", help. The man pages' OPTIONS and the completions are made from this and checked
 * against it.
 */
void option_describe(struct buf *out, const struct option_table *tables, size_t table_count);

#endif
