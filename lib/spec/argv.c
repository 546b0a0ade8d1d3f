/* From a command line to a specification. */
#include "spec/spec_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/ignore.h"
#include "base/option_words.h"

/* What the command line leaves once its options are taken. */
struct words {
	char **operands;
	size_t count;
	char **rest; /* after "--" */
	size_t rest_count;
};

/* "find" or "summarize,hash": its bits; 0 when some part is no operation. */
static uint32_t parse_operations(const char *text)
{
	uint32_t all = 0;
	for (;;) {
		size_t len = strcspn(text, ",");
		uint32_t bit = spec_operation_bit(text, len);
		all |= bit;
		if (!bit) {
			return 0;
		}
		if (!text[len]) {
			return all;
		}
		text += len + 1;
	}
}

static int add_all(struct strlist *list, char *const *words, size_t count, struct vega_error *err)
{
	for (size_t i = 0; i < count; i++) {
		if (!strlist_add(list, words[i])) {
			return vega_fail_nomem(err);
		}
	}
	return 0;
}

/* The whole of a file that an option names. */
static int read_named(
        const char *option, const char *path, struct buf *text, struct vega_error *err)
{
	struct vega_error why;
	int code = file_read_all(path, text, &why);
	return code ? vega_fail(err, code, "--%s: %s", option, why.text) : 0;
}

/* A line by itself: what is wrong with it is told with its place. */
static int check_pattern(
        const char *pattern, const char *path, size_t number, struct vega_error *err)
{
	struct ignore *ignore = ignore_new();
	struct vega_error why;
	int code = ignore ? ignore_add(ignore, pattern, &why) : vega_fail_nomem(&why);
	ignore_free(ignore);
	return code ? vega_fail(
	                      err, code, "--exclude-from %s, line %zu: %s", path, number, why.text)
	            : 0;
}

/* The lines of a gitignore file that say something, as git reads them: CRLF and a leading byte
 * order mark are tolerated. */
static int add_pattern_lines(struct strlist *list, const char *path, struct vega_error *err)
{
	struct buf text = {.max = SPEC_JSON_MAX};
	int code = read_named("exclude-from", path, &text, err);
	if (code != 0) {
		goto out;
	}
	if (text.len && memchr(text.data, '\0', text.len)) {
		code = vega_fail(err, VEGA_USAGE,
		        "--exclude-from %s: not a list of patterns; it holds a NUL byte", path);
		goto out;
	}
	size_t number = 0, at = text.len >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
	while (at < text.len) {
		const char *line = text.data + at;
		const char *end = memchr(line, '\n', text.len - at);
		size_t len = end ? (size_t)(end - line) : text.len - at;
		at += len + 1;
		number++;
		if (end && len && line[len - 1] == '\r') {
			len--;
		}
		if (len == 0 || *line == '#') {
			continue;
		}
		code = strlist_add_len(list, line, len)
		               ? check_pattern(list->items[list->count - 1], path, number, err)
		               : vega_fail_nomem(err);
		if (code) {
			goto out;
		}
	}
out:
	buf_release(&text);
	return code;
}

/* Later patterns win over earlier ones, so those of files and those of --exclude keep the order in
 * which they were given. */
static int merge_excludes(
        struct spec *spec, const struct option_given *given, struct vega_error *err)
{
	struct strlist merged = {0};
	size_t pattern = 0, file = 0;
	int code = 0;
	if (spec->exclude_from.count == 0) {
		return 0;
	}
	for (size_t i = 0; code == 0 && i < given->count; i++) {
		size_t offset = given->rows[i]->offset;
		if (!spec_has_row(given->rows[i])) {
			continue;
		}
		if (offset == offsetof(struct spec, exclude)) {
			code = add_all(&merged, &spec->exclude.items[pattern++], 1, err);
		} else if (offset == offsetof(struct spec, exclude_from)) {
			code = add_pattern_lines(&merged, spec->exclude_from.items[file++], err);
		}
	}
	if (code == 0) {
		strlist_release(&spec->exclude_from);
		strlist_release(&spec->exclude);
		spec->exclude = merged;
	} else {
		strlist_release(&merged);
	}
	return code;
}

static int read_roots(struct spec *spec, const char *path, struct vega_error *err)
{
	struct buf text = BUF_INIT;
	int code = read_named("files0-from", path, &text, err);
	if (code == 0 && text.len == 0) {
		code = vega_fail(
		        err, VEGA_USAGE, "--files0-from %s: empty; it names no root", path);
	}
	for (size_t at = 0; code == 0 && at < text.len;) {
		const char *root = text.data + at;
		size_t len = strnlen(root, text.len - at);
		if (len == 0) {
			code = vega_fail(err, VEGA_USAGE,
			        "--files0-from %s: root number %zu is empty; separate the roots by "
			        "single NUL bytes",
			        path, spec->roots.count + 1);
		} else if (!strlist_add_len(&spec->roots, root, len)) {
			code = vega_fail_nomem(err);
		}
		at += len + 1;
	}
	buf_release(&text);
	return code;
}

/* --depth, which is no option of its own. */
static bool is_depth(const struct option_row *row)
{
	return row->offset == offsetof(struct spec, list_depth) && spec_has_row(row);
}

/* It is another name of --max-depth: of both, the last one wins. */
static void merge_depths(struct spec *spec, const struct option_given *given)
{
	bool last = false;
	for (size_t i = 0; i < given->count; i++) {
		const struct option_row *row = given->rows[i];
		bool other = row->offset == offsetof(struct spec, show_depth) && spec_has_row(row);
		last = is_depth(row) || (last && !other);
	}
	spec->show_depth = last ? spec->list_depth : spec->show_depth;
	spec->list_depth = (struct option_number){0};
}

/* "-e csv,.tsv" names two; other commas, as in a stored specification's, are part of a name. */
static int split_extensions(struct spec *spec, struct vega_error *err)
{
	struct strlist split = {0};
	int code = 0;
	for (size_t i = 0; code == 0 && i < spec->extension.count; i++) {
		const char *given = spec->extension.items[i];
		if (given[strcspn(given, "*?[")]) {
			code = vega_fail(err, VEGA_USAGE,
			        "--extension %.200s: an extension has no wildcards; write --name "
			        "'GLOB' (-n), or -e csv",
			        given);
		}
		for (const char *at = given; code == 0; at++) {
			size_t len = strcspn(at, ",");
			code = strlist_add_len(&split, at, len) ? 0 : vega_fail_nomem(err);
			at += len;
			if (!*at) {
				break;
			}
		}
	}
	if (code != 0) {
		strlist_release(&split);
		return code;
	}
	strlist_release(&spec->extension);
	spec->extension = split;
	return 0;
}

static int split_all(struct spec *spec, struct vega_error *err)
{
	int code = split_extensions(spec, err);
	for (size_t i = 0; code == 0 && i < spec->without.count; i++) {
		code = split_extensions(spec->without.items[i], err);
	}
	for (size_t i = 0; code == 0 && i < spec->others.count; i++) {
		code = split_all(spec->others.items[i], err);
	}
	return code;
}

/* The set that predicates go into, and whether the next one is negated. */
struct grouping {
	struct spec *spec, *set;
	bool negated;
};

static int lonely_not(struct vega_error *err)
{
	return vega_fail(err, VEGA_USAGE, "--not needs a predicate behind it, such as --name GLOB");
}

/* Where a row of the specification is set: see struct option_given. */
static int redirect(
        void *context, const struct option_row *row, void **target, struct vega_error *err)
{
	struct grouping *g = context;
	if (*target != g->spec || !spec_is_predicate(row)) {
		if (g->negated) {
			return lonely_not(err);
		}
		g->negated = *target == g->spec && row->offset == offsetof(struct spec, said_not);
		bool begins = *target == g->spec && row->offset == offsetof(struct spec, said_or);
		return begins ? spec_add_set(&g->spec->others, &g->set, err) : 0;
	}
	struct spec *set = g->set;
	int code = g->negated ? spec_add_set(&g->set->without, &set, err) : 0;
	g->negated = false;
	*target = set;
	return code;
}

static int check_given(
        const struct spec *spec, const struct option_given *given, struct vega_error *err)
{
	for (size_t i = 0; i < given->count; i++) {
		const struct option_row *row = given->rows[i];
		if (spec_has_row(row) && !is_depth(row)) {
			int code = spec_check_row(row, spec->operations, err);
			if (code != 0) {
				return code;
			}
		}
	}
	return 0;
}

static bool exists(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0;
}

/* The operation that a word of len bytes is nearest to, or begins. */
static const char *near_operation(const char *word, size_t len)
{
	char name[OPTION_NAME_MAX] = "";
	const char *nearest = NULL;
	if (len < 2 || len >= sizeof name) {
		return NULL;
	}
	memcpy(name, word, len);
	unsigned least = option_tolerance(name) + 1;
	for (size_t i = 0; operations[i]; i++) {
		unsigned far = option_distance(name, operations[i]->name);
		if (strncmp(operations[i]->name, name, len) == 0) {
			return operations[i]->name;
		}
		if (far < least && far < len) {
			least = far;
			nearest = operations[i]->name;
		}
	}
	return nearest;
}

/* The part of "find,hsh" that is no operation, where another is one; else the whole word. */
static const char *wrong_part(const char *word, size_t *len, bool *others)
{
	const char *wrong = NULL;
	*others = false;
	for (const char *at = word;; at++) {
		size_t part = strcspn(at, ",");
		if (spec_operation_bit(at, part)) {
			*others = true;
		} else if (!wrong) {
			wrong = at;
			*len = part;
		}
		at += part;
		if (!*at) {
			break;
		}
	}
	if (wrong && *others && *len > 0) {
		return wrong;
	}
	*len = strlen(word);
	return word;
}

/* A first word that is no operation is a root, but not when it is no file either, and looks as if
 * an operation was meant: others follow it, it is nearly one, or other tools call one so. */
static int check_first(const struct words *words, const struct option_table *tables,
        size_t table_count, struct vega_error *err)
{
	const char *word = words->operands[0];
	if (!*word || strchr(word, '/')) {
		return 0;
	}
	size_t len = 0;
	bool others;
	const char *part = wrong_part(word, &len, &others);
	const char *near = near_operation(part, len);
	const char *write = option_word(tables, table_count, word);
	int shown = len > 200 ? 200 : (int)len;
	bool suspect = write || near || others || words->count > 1;
	if (!suspect || exists(word)) { /* asked last: a file system may not answer */
		return 0;
	}
	if (write) {
		return vega_fail(
		        err, VEGA_USAGE, "%.200s: no such operation or file; %s", word, write);
	}
	if (near) {
		return vega_fail(err, VEGA_USAGE,
		        "%.*s: no such operation or file; did you mean %s?", shown, part, near);
	}
	return vega_fail(err, VEGA_USAGE, "%.*s: no such operation or file", shown, part);
}

/* Names in place of roots: fd takes a pattern there, find parentheses and "!". */
static int check_roots(const struct words *words, const struct option_table *tables,
        size_t table_count, struct vega_error *err)
{
	for (size_t i = 0; i < words->count; i++) {
		const char *root = words->operands[i];
		const char *write = ispunct((unsigned char)*root) && *root && !root[1]
		                            ? option_word(tables, table_count, root)
		                            : NULL;
		if (!write && (strchr(root, '/') || !root[strcspn(root, "*?[")])) {
			continue;
		}
		if (!exists(root)) {
			return vega_fail(err, VEGA_USAGE, "%.200s: no such file; %s", root,
			        write ? write : "for entries of that name write --name 'GLOB'");
		}
	}
	return 0;
}

/* "-r DIR" alone, as dust has it, would search the working directory for paths that hold DIR. */
static int check_swallowed(int argc, char *const *argv, struct vega_error *err)
{
	for (int i = 1; i + 1 < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "-r") == 0 && exists(argv[i + 1])) {
			return vega_fail(err, VEGA_USAGE,
			        "-r %.200s: -r is --regex, and no root follows; write . behind it "
			        "to "
			        "search here",
			        argv[i + 1]);
		}
	}
	return 0;
}

/* Takes the operation off the operands. */
static void take_operations(struct spec *spec, struct words *words)
{
	spec->operations = words->count ? parse_operations(words->operands[0]) : 0;
	if (spec->operations) {
		words->operands++;
		words->count--;
	} else {
		spec->operations = 1; /* the first */
	}
}

static int take_words(struct spec *spec, const struct words *words, const char *files0_from,
        struct vega_error *err)
{
	bool filter = spec_takes_command(spec);
	int code = add_all(&spec->roots, words->operands, words->count, err);
	if (code == 0) {
		code = add_all(filter ? &spec->command : &spec->roots, words->rest,
		        words->rest_count, err);
	}
	if (code != 0) {
		return code;
	}
	if (!files0_from) {
		return spec->roots.count || strlist_add(&spec->roots, ".") ? 0
		                                                           : vega_fail_nomem(err);
	}
	if (spec->roots.count) {
		return vega_fail(err, VEGA_USAGE,
		        "'%s' cannot be given together with --files0-from, which names the roots",
		        spec->roots.items[0]);
	}
	for (size_t i = 0; i < spec->exclude_from.count; i++) {
		if (strcmp(files0_from, "-") == 0 &&
		        strcmp(spec->exclude_from.items[i], "-") == 0) {
			return vega_fail(err, VEGA_USAGE,
			        "--files0-from and --exclude-from cannot both read standard input");
		}
	}
	return read_roots(spec, files0_from, err);
}

int spec_parse_argv(struct spec *spec, const struct option_table *tables, size_t table_count,
        char *const *files0_from, int argc, char **argv, struct vega_error *err)
{
	struct grouping grouping = {spec, spec, false};
	struct option_given given = {.redirect = redirect, .context = &grouping};
	char **operands = NULL;
	size_t count = 0;
	int rest = argc;
	int code = option_parse(
	        tables, table_count, argc, argv, &operands, &count, &rest, &given, err);
	spec->said_not = spec->said_or = false;
	if (code == 0 && grouping.negated) {
		code = lonely_not(err);
	}
	if (code == 0) {
		struct words words = {operands, count, argv + rest, (size_t)(argc - rest)};
		const char *from = files0_from ? *files0_from : NULL;
		take_operations(spec, &words);
		merge_depths(spec, &given);
		if (!from && count && count == words.count) {
			code = check_first(&words, tables, table_count, err);
		}
		if (!from && code == 0) {
			code = check_roots(&words, tables, table_count, err);
		}
		if (code == 0) {
			code = check_given(spec, &given, err);
		}
		if (code == 0 && !count && !words.rest_count && !from) {
			code = check_swallowed(argc, argv, err);
		}
		if (code == 0) {
			code = take_words(spec, &words, from, err);
		}
	}
	if (code == 0) {
		code = split_all(spec, err);
	}
	if (code == 0) {
		code = merge_excludes(spec, &given, err);
	}
	if (code == 0) {
		spec_normalize(spec);
		code = spec_check(spec, err);
	}
	free(operands);
	free(given.rows);
	return code;
}
