/*
 * The specification: what to do. It is all that goes from a command, a job row or a REST call into
 * the engine.
 *
 * Tables of options (spec/options.c: those of every operation; spec/NAME.c: its own) fill this
 * plain struct from argv and from JSON, write the canonical JSON, and make --help, the man pages'
 * OPTIONS and the completions. A zeroed struct plus spec_init() is valid. Not thread-safe while it
 * is filled; read-only and shared by threads afterwards.
 *
 * Canonical JSON (one line, keys in table order, only what differs from the default):
 *   {"v":1,"operations":["find"],"roots":["/data"],"options":{"extension":["csv"],"min_size":1048576},
 *    "command":["gzip","-9"]}
 * and further members "not":[{"name":["a"]},…] and "or":[{"options":{…},"not":[…]},…], where
 * options are predicates. "max_depth" is --descend, "show_depth" is --max-depth, and "depth" is
 * what --depth was before it became another name of that. A byte string is a JSON string when it is
 * valid UTF-8 without NUL, else {"b64":"…"}. Numbers, sizes (bytes) and durations (nanoseconds) are
 * integers below 2^53, else decimal strings (cJSON and JavaScript read doubles); readers accept
 * either, and any text that argv would, but for the name of a file as a time. Times are always
 * absolute: RFC 3339, or "@SECONDS[.NANOSECONDS]"; "7d" is resolved when the spec is made, so that
 * a retry asks the same question. All three of "v", "operations" and "roots" are required.
 */
#ifndef VEGA_SPEC_SPEC_H
#define VEGA_SPEC_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/option.h"
#include "base/strlist.h"
#include "spec/operation.h"

#define SPEC_VERSION 1

/* The longest JSON that is read, and the most values in it: bounds on what a stranger's job costs.
 */
#define SPEC_JSON_MAX ((size_t)16 << 20)
#define SPEC_JSON_VALUES_MAX 1000000

enum spec_overwrite { OVERWRITE_NEVER, OVERWRITE_DIFFERING, OVERWRITE_ALWAYS };

/* Sets of predicates: of each spec, those alone are used, and `without`. */
#define SPEC_SETS_MAX 100
struct spec;
struct spec_sets {
	struct spec **items;
	size_t count;
};

struct spec {
	uint32_t operations;    /* spec_operation bits; 0 is never valid */
	struct strlist roots;   /* as given; made absolute by vega-submit; never empty after
	                           spec_parse_argv */
	struct strlist command; /* a filter: argv after "--"; see operation.takes_command */

	/* Which entries: every given predicate must hold; the items of one list are alternatives.
	 */
	struct strlist name, iname, path, regex, extension;
	uint32_t type; /* bits 1 << enum file_type; 0: all */
	struct option_number min_size, max_size;
	bool empty;
	struct option_time newer_than, older_than;          /* mtime > / mtime < */
	struct option_time changed_after, changed_before;   /* ctime */
	struct option_time accessed_after, accessed_before; /* atime */
	struct strlist user, group;                         /* names or numbers */
	bool nouser, nogroup;
	char *perm; /* find's -perm: MODE, -MODE, /MODE; see spec_parse_perm() */
	bool executable;
	char *links; /* find's -links: N, +N, -N; see spec_parse_links() */
	struct spec_sets
	        without;         /* none of them holds as a whole; --not makes each of one predicate
	                          */
	struct spec_sets others; /* an entry that is not selected by the above may be by one of
	                         these, which have none  themselves */
	bool said_not, said_or;  /* only between argv and spec, which they leave false */

	/* Where to look. */
	struct option_number min_depth;  /* a root is depth 0 */
	struct option_number show_depth; /* --max-depth: nothing deeper is shown; what counts all
	                                    below a directory (operation.counts_below) does so */
	struct option_number list_depth; /* of stored specifications ("depth"): how deep
	                                    by_directory goes; on a command line, another name
	                                    of --max-depth */
	struct option_number descend;    /* nothing deeper is looked at; "max_depth" in JSON */
	bool one_file_system;
	struct strlist exclude; /* gitignore patterns; the lines of --exclude-from files are added
	                           to it in order */
	struct strlist exclude_from; /* only between argv and spec: spec_parse_argv reads the files
	                                and empties it */
	bool exclude_caches;         /* skip directories with a valid CACHEDIR.TAG */
	bool skip_hidden;

	/* How. */
	struct option_number threads;  /* unset: see engine/team.h */
	struct option_number max_iops; /* file-system calls a second; see fs/limited.h */
	bool sort;                     /* records in path order: record/order.h */

	/* Of operations that write. */
	char *out;
	unsigned overwrite; /* enum spec_overwrite */

	union operation_options own[OPERATION_COUNT]; /* of each; typed by spec/NAME.h */
};

void spec_init(struct spec *spec);
void spec_release(struct spec *spec);

/*
 * Parse a command line: [OP[,OP…]] [OPTION]… [ROOT]… [-- COMMAND…]. `tables` are all of the
 * command's tables, those that fill `spec` among them (spec_tables), as they go to cmd_common().
 * The first operand before "--" is taken as OP when every comma-separated part of it names an
 * operation; otherwise the operation is the first of OPERATIONS. No root means ".". With an
 * operation that takes a command, that is what follows "--"; with the others, it is further roots.
 * `files0_from` (may be NULL, or point to a NULL string) is the value of the command's own
 * --files0-from: NUL-separated roots are read from it, and then no ROOT operand is allowed. Ends
 * with spec_check().
 *
 * The fields of options that stand before an error are set all the same, so a command asks for
 * --help and --version first, whatever this returns.
 */
#define SPEC_TABLES (1 + OPERATION_COUNT)
void spec_tables(struct spec *spec, struct option_table tables[static SPEC_TABLES]);

int spec_parse_argv(struct spec *spec, const struct option_table *tables, size_t table_count,
        char *const *files0_from, int argc, char **argv, struct vega_error *err);

/*
 * Read JSON. VEGA_USAGE for what is not JSON, not an object, has an unknown member or option, a
 * wrong type, or "v" above SPEC_VERSION ("made by a newer VegaFS; upgrade this one"). Ends with
 * spec_check().
 */
int spec_parse_json(struct spec *spec, const char *json, size_t len, struct vega_error *err);

/* Everything that can be judged without looking at a file system: options against operations,
 * min above max, patterns that do not compile as globs, perm, users and groups that do not exist,
 * transform without --to/COMMAND or --out, … */
int spec_check(const struct spec *spec, struct vega_error *err);

/* The canonical JSON, appended. */
void spec_to_json(const struct spec *spec, struct buf *out);

/* The operations of a spec, one by one; *index begins at 0. NULL after the last. */
const struct operation *spec_next_operation(const struct spec *spec, unsigned *index);

/* The operation of a spec that has one; NULL when it has several. */
const struct operation *spec_only_operation(const struct spec *spec);

bool spec_writes(const struct spec *spec);             /* files, below spec.out */
bool spec_computes(const struct spec *spec);           /* some operation does, rather than wait */
bool spec_answers_in_summary(const struct spec *spec); /* some operation does */
bool spec_answers_in_records(const struct spec *spec); /* some operation does */

/* Does an option say how much of a summary is shown (--top, --max-depth)? */
bool spec_shapes_summary(const struct spec *spec);

/* Which options that are given leave something out: entries, or, with `entering`, whole directories
 * that are not entered. *index begins at 0. "--exclude" without the dashes; NULL after the last. */
const char *spec_next_omission(const struct spec *spec, bool entering, size_t *index);

/* How many levels below a root the walk descends: UINT64_MAX without a limit. --max-depth is one
 * where no operation counts what lies below it. */
uint64_t spec_descent(const struct spec *spec);

/*
 * Make each root, and --out, absolute with links resolved (out need not exist yet), and a filter
 * that is named by a relative path absolute. VEGA_USAGE names one that does not exist, and an --out
 * that is, contains or lies inside a root directory.
 */
int spec_resolve_paths(struct spec *spec, struct vega_error *err);

/*
 * What may be touched: `given` (--root), or, where that is empty, the colon-separated `environment`
 * (VEGA_ROOTS; may be NULL); resolved, and added to `allowed`. None of either, or an empty one:
 * `allowed` stays empty, and anything may be.
 */
int spec_allowed_roots(const struct strlist *given, const char *environment,
        struct strlist *allowed, struct vega_error *err);

/*
 * Is each root, and --out, one of `allowed` or beneath it? Both must have been resolved. VEGA_USAGE
 * names the first that is not. A courtesy at submission: the engine checks again with the
 * descriptors it opens.
 */
int spec_check_beneath(
        const struct spec *spec, const struct strlist *allowed, struct vega_error *err);

/* find's -perm argument. `kind` is 0 (exactly), '-' (all of them) or '/' (any of them). Octal or
 * symbolic (u+w,g=r). */
int spec_parse_perm(const char *text, char *kind, uint32_t *mode, struct vega_error *err);

/* find's -links argument. `kind` is 0 (exactly), '+' (more) or '-' (fewer). */
int spec_parse_links(const char *text, char *kind, uint64_t *links, struct vega_error *err);

#endif
