/* The options of every operation, and the tables of them all. */
#include "spec/spec_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* In the order of enum file_type, so that the bits are 1 << type. */
static const char *const types[] = {"?", "f", "d", "l", "p", "s", "b", "c", NULL};

#define FIELD(member) .offset = offsetof(struct spec, member)

#define WHICH SPEC_WHICH
#define WHERE "Where to look"
#define HOW "How"

static const struct option_row common_rows[] = {
        {"name", 'n', OPT_LIST, FIELD(name), 0, "GLOB", NULL, WHICH,
                "the name matches GLOB; repeat for alternatives"},
        {"iname", 0, OPT_LIST, FIELD(iname), 0, "GLOB", NULL, WHICH,
                "the same, ignoring the case of ASCII letters"},
        {"path", 'p', OPT_LIST, FIELD(path), 0, "GLOB", NULL, WHICH,
                "the whole path, root included, matches GLOB ('*' matches '/' too)"},
        {"regex", 'r', OPT_LIST, FIELD(regex), 0, "REGEX", NULL, WHICH,
                "the path contains a match of the Perl-compatible REGEX"},
        {"extension", 'e', OPT_LIST, FIELD(extension), 0, "EXT", NULL, WHICH,
                "the name ends in .EXT, ignoring case; \"csv,tsv\" for either"},
        {"type", 't', OPT_CHOICES, FIELD(type), 0, "TYPE", types, WHICH,
                "f file, d directory, l symbolic link, p pipe, s socket, b or c device; \"f,l\" "
                "for either"},
        {"min-size", 0, OPT_SIZE, FIELD(min_size), 0, "SIZE", NULL, WHICH,
                "at least SIZE apparent bytes (K M G are powers of 1024, KB MB GB of 1000)"},
        {"max-size", 0, OPT_SIZE, FIELD(max_size), 0, "SIZE", NULL, WHICH,
                "at most SIZE apparent bytes"},
        {"empty", 0, OPT_FLAG, FIELD(empty), 0, NULL, NULL, WHICH,
                "regular files of 0 bytes and directories without entries"},
        {"newer-than", 0, OPT_TIME, FIELD(newer_than), 0, "TIME", NULL, WHICH,
                "modified after TIME: an age (90min 2h 7d 3w 6month 1y), a date, yesterday, "
                "@SECONDS, or a file with a '/' in its path"},
        {"older-than", 0, OPT_TIME, FIELD(older_than), 0, "TIME", NULL, WHICH,
                "modified before TIME"},
        {"changed-after", 0, OPT_TIME, FIELD(changed_after), 0, "TIME", NULL, WHICH,
                "its status (ctime) changed after TIME"},
        {"changed-before", 0, OPT_TIME, FIELD(changed_before), 0, "TIME", NULL, WHICH,
                "its status changed before TIME"},
        {"accessed-after", 0, OPT_TIME, FIELD(accessed_after), 0, "TIME", NULL, WHICH,
                "read after TIME"},
        {"accessed-before", 0, OPT_TIME, FIELD(accessed_before), 0, "TIME", NULL, WHICH,
                "read before TIME"},
        {"user", 'u', OPT_LIST, FIELD(user), 0, "USER", NULL, WHICH,
                "owned by USER (a name or number)"},
        {"group", 'g', OPT_LIST, FIELD(group), 0, "GROUP", NULL, WHICH,
                "owned by GROUP (a name or number)"},
        {"nouser", 0, OPT_FLAG, FIELD(nouser), 0, NULL, NULL, WHICH,
                "owned by a number that no user has"},
        {"nogroup", 0, OPT_FLAG, FIELD(nogroup), 0, NULL, NULL, WHICH,
                "owned by a number that no group has"},
        {"perm", 0, OPT_TEXT, FIELD(perm), 0, "MODE", NULL, WHICH,
                "the permission bits are MODE, include all of -MODE, or any of /MODE"},
        {"executable", 0, OPT_FLAG, FIELD(executable), 0, NULL, NULL, WHICH,
                "regular files that somebody may execute"},
        {"links", 0, OPT_TEXT, FIELD(links), 0, "N", NULL, WHICH,
                "it has N names (hard links), more than +N, or fewer than -N"},

        {"not", 0, OPT_FLAG, FIELD(said_not), 0, NULL, NULL, WHICH,
                "the next of these options must not hold"},
        {"or", 0, OPT_FLAG, FIELD(said_or), 0, NULL, NULL, WHICH,
                "all before it, back to another --or, hold, or all behind it do"},

        {"min-depth", 0, OPT_NUMBER, FIELD(min_depth), 0, "N", NULL, WHERE,
                "skip entries less than N levels below a root"},
        {"max-depth", 'd', OPT_NUMBER, FIELD(show_depth), 0, "N", NULL, WHERE,
                "show nothing more than N levels below a root; summarize counts what lies deeper, "
                "too (also: --depth)"},
        {"depth", 0, OPT_NUMBER, FIELD(list_depth), SPEC_SUMMARIZE, "N", NULL, NULL, NULL},
        {"descend", 0, OPT_NUMBER, FIELD(descend), 0, "N", NULL, WHERE,
                "descend at most N levels below a root: what lies deeper is not looked at"},
        {"one-file-system", 'x', OPT_FLAG, FIELD(one_file_system), 0, NULL, NULL, WHERE,
                "do not enter other file systems"},
        {"exclude", 'E', OPT_LIST, FIELD(exclude), 0, "PATTERN", NULL, WHERE,
                "exclude entries that match PATTERN (as in .gitignore), and all below them"},
        {"exclude-from", 0, OPT_LIST, FIELD(exclude_from), 0, "FILE", NULL, WHERE,
                "read patterns for --exclude from FILE"},
        {"exclude-caches", 0, OPT_FLAG, FIELD(exclude_caches), 0, NULL, NULL, WHERE,
                "exclude directories that hold a CACHEDIR.TAG"},
        {"skip-hidden", 0, OPT_FLAG, FIELD(skip_hidden), 0, NULL, NULL, WHERE,
                "exclude names that begin with a dot, and all below them"},

        {"threads", 'j', OPT_NUMBER, FIELD(threads), 0, "N", NULL, HOW,
                "use N threads (default: depends on the file system; local ones begin with one per "
                "processor)"},
        {"max-iops", 0, OPT_NUMBER, FIELD(max_iops), 0, "N", NULL, HOW,
                "make at most N calls to the file system per second: each listing, stat, open and "
                "read is one (default: no limit)"},
        {"sort", 0, OPT_FLAG, FIELD(sort), 0, NULL, NULL, HOW,
                "order the records by path, each directory followed by all below it (kept in "
                "memory "
                "until the end)"},
};

const struct operation *const operations[] = {
#define OPERATION_ROW(NAME, name) &operation_##name,
        OPERATIONS(OPERATION_ROW)
#undef OPERATION_ROW
                NULL,
};

const struct record_schema *const operation_schemas[] = {
#define OPERATION_SCHEMA(NAME, name) &operation_##name.schema,
        OPERATIONS(OPERATION_SCHEMA)
#undef OPERATION_SCHEMA
                NULL,
};

#define COMMON_COUNT (sizeof common_rows / sizeof *common_rows)

void spec_tables(struct spec *spec, struct option_table tables[static SPEC_TABLES])
{
	tables[0] = (struct option_table){common_rows, COMMON_COUNT, spec};
	for (size_t i = 0; i < OPERATION_COUNT; i++) {
		tables[1 + i] =
		        (struct option_table){operations[i]->rows, operations[i]->row_count, spec};
	}
}

const struct option_row *spec_row_at(size_t index)
{
	if (index < COMMON_COUNT) {
		return &common_rows[index];
	}
	index -= COMMON_COUNT;
	for (size_t i = 0; i < OPERATION_COUNT; i++) {
		if (index < operations[i]->row_count) {
			return &operations[i]->rows[index];
		}
		index -= operations[i]->row_count;
	}
	return NULL;
}

bool spec_has_row(const struct option_row *row)
{
	const struct option_row *each;
	for (size_t i = 0; (each = spec_row_at(i)); i++) {
		if (each == row) {
			return true;
		}
	}
	return false;
}

/* Options whose names on the command line have changed keep their names in stored specifications.
 */
static const struct {
	size_t offset;
	const char *json; /* "": none */
} json_names[] = {
        {offsetof(struct spec, show_depth), "show_depth"},
        {offsetof(struct spec, descend), "max_depth"},
        {offsetof(struct spec, exclude_from), ""},
        {offsetof(struct spec, said_not), ""},
        {offsetof(struct spec, said_or), ""},
};

void spec_json_name(const struct option_row *row, char name[SPEC_NAME_SIZE])
{
	for (size_t i = 0; i < sizeof json_names / sizeof *json_names; i++) {
		if (row->offset == json_names[i].offset) {
			snprintf(name, SPEC_NAME_SIZE, "%s", json_names[i].json);
			return;
		}
	}
	snprintf(name, SPEC_NAME_SIZE, "%s", row->name);
	for (char *c = name; *c; c++) {
		*c = *c == '-' ? '_' : *c;
	}
}

void spec_init(struct spec *spec)
{
	*spec = (struct spec){0};
}

bool spec_is_predicate(const struct option_row *row)
{
	return row->offset >= offsetof(struct spec, name) &&
	       row->offset < offsetof(struct spec, without);
}

int spec_add_set(struct spec_sets *sets, struct spec **set, struct vega_error *err)
{
	if (sets->count == SPEC_SETS_MAX) {
		return vega_fail(err, VEGA_USAGE, "more than %d of --not or --or", SPEC_SETS_MAX);
	}
	struct spec **items = reallocarray(sets->items, sets->count + 1, sizeof(struct spec *));
	if (!items) {
		return vega_fail_nomem(err);
	}
	sets->items = items;
	*set = calloc(1, sizeof **set);
	if (!*set) {
		return vega_fail_nomem(err);
	}
	items[sets->count++] = *set;
	return 0;
}

static void release_sets(struct spec_sets *sets)
{
	for (size_t i = 0; i < sets->count; i++) {
		spec_release(sets->items[i]);
		free(sets->items[i]);
	}
	free(sets->items);
}

void spec_release(struct spec *spec)
{
	const struct option_row *row;
	release_sets(&spec->without);
	release_sets(&spec->others);
	for (size_t i = 0; (row = spec_row_at(i)); i++) {
		option_release(row, 1, spec);
	}
	strlist_release(&spec->roots);
	strlist_release(&spec->command);
	spec_init(spec);
}

bool spec_row_is_set(const struct option_row *row, const struct spec *spec)
{
	const void *field = spec_field(row, spec);
	switch (row->type) {
	case OPT_FLAG:
		return *(const bool *)field;
	case OPT_NUMBER:
	case OPT_SIZE:
	case OPT_DURATION:
		return ((const struct option_number *)field)->set;
	case OPT_TIME:
		return ((const struct option_time *)field)->set;
	case OPT_TEXT:
		return *(char *const *)field != NULL;
	case OPT_LIST:
		return ((const struct strlist *)field)->count > 0;
	case OPT_COUNT:
	case OPT_CHOICE:
		return *(const unsigned *)field != 0;
	case OPT_CHOICES:
		return *(const uint32_t *)field != 0;
	}
	return false;
}

void spec_normalize(struct spec *spec)
{
	for (size_t i = 0; i < spec->without.count; i++) {
		spec_normalize(spec->without.items[i]);
	}
	for (size_t i = 0; i < spec->others.count; i++) {
		spec_normalize(spec->others.items[i]);
	}
	for (size_t i = 0; i < spec->extension.count; i++) {
		char *text = spec->extension.items[i];
		size_t dots = strspn(text, ".");
		memmove(text, text + dots, strlen(text + dots) + 1);
	}
}
