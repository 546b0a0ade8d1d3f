#include "spec/spec_internal.h"

const char *const spec_operations[] = {"summarize", "find", "hash", "transform", NULL};

/* In the order of enum file_type, so that the bits are 1 << type. */
static const char *const types[] = {"?", "f", "d", "l", "p", "s", "b", "c", NULL};
static const char *const algos[] = {"xxh128", "sha256", NULL};
static const char *const codecs[] = {"", "zstd", "gzip", "none", NULL};

#define FIELD(member) .offset = offsetof(struct spec, member)

#define WHICH "Which entries"
#define WHERE "Where to look"
#define HOW "How"
#define SUMMARIZE "summarize"
#define HASH "hash"
#define TRANSFORM "transform"

const struct option_row spec_option_rows[] = {
        {"name", 'n', OPT_LIST, FIELD(name), 0, "GLOB", NULL, WHICH,
                "the name matches GLOB; repeat for alternatives"},
        {"iname", 0, OPT_LIST, FIELD(iname), 0, "GLOB", NULL, WHICH,
                "the same, ignoring the case of ASCII letters"},
        {"path", 'p', OPT_LIST, FIELD(path), 0, "GLOB", NULL, WHICH,
                "the whole path, root included, matches GLOB ('*' matches '/' too)"},
        {"regex", 'r', OPT_LIST, FIELD(regex), 0, "REGEX", NULL, WHICH,
                "the path contains a match of the Perl-compatible REGEX"},
        {"extension", 'e', OPT_LIST, FIELD(extension), 0, "EXT", NULL, WHICH,
                "the name ends in .EXT, ignoring case; repeat for alternatives"},
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
                "modified after TIME: an age (90min 2h 7d 3w 6month 1y), a date, @SECONDS, or a "
                "file with a '/' in its path"},
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
                "of GROUP (a name or number)"},
        {"perm", 0, OPT_TEXT, FIELD(perm), 0, "MODE", NULL, WHICH,
                "the permission bits are MODE, include all of -MODE, or any of /MODE"},

        {"min-depth", 0, OPT_NUMBER, FIELD(min_depth), 0, "N", NULL, WHERE,
                "pass over entries less than N levels below a root"},
        {"max-depth", 'd', OPT_NUMBER, FIELD(max_depth), 0, "N", NULL, WHERE,
                "descend at most N levels below a root"},
        {"one-file-system", 'x', OPT_FLAG, FIELD(one_file_system), 0, NULL, NULL, WHERE,
                "do not enter other file systems"},
        {"exclude", 'E', OPT_LIST, FIELD(exclude), 0, "PATTERN", NULL, WHERE,
                "leave out what matches PATTERN (as in .gitignore), and all below it"},
        {"exclude-from", 0, OPT_LIST, FIELD(exclude_from), 0, "FILE", NULL, WHERE,
                "read such patterns from FILE"},
        {"exclude-caches", 0, OPT_FLAG, FIELD(exclude_caches), 0, NULL, NULL, WHERE,
                "leave out directories that hold a CACHEDIR.TAG"},
        {"skip-hidden", 0, OPT_FLAG, FIELD(skip_hidden), 0, NULL, NULL, WHERE,
                "leave out names that begin with a dot, and all below them"},

        {"threads", 'j', OPT_NUMBER, FIELD(threads), 0, "N", NULL, HOW,
                "use N threads (default: by file system, at first one a processor on local ones)"},
        {"max-iops", 0, OPT_NUMBER, FIELD(max_iops), 0, "N", NULL, HOW,
                "make at most N calls to the file system a second: each listing, stat, open and "
                "read is one (default: no limit)"},
        {"sort", 0, OPT_FLAG, FIELD(sort), 0, NULL, NULL, HOW,
                "order the records by path (kept in memory until the end)"},

        {"top", 'N', OPT_NUMBER, FIELD(top), SPEC_SUMMARIZE, "N", NULL, SUMMARIZE,
                "name the N largest files and directories (default: 20)"},
        {"depth", 0, OPT_NUMBER, FIELD(depth), SPEC_SUMMARIZE, "N", NULL, SUMMARIZE,
                "give each directory's total down to N levels (default: 0, the roots)"},

        {"algo", 'a', OPT_CHOICE, FIELD(algo), SPEC_HASH, "NAME", algos, HASH,
                "xxh128 (default), or sha256; sha256sum -c and xxhsum -c read the output"},

        {"to", 0, OPT_CHOICE, FIELD(to), SPEC_TRANSFORM, "CODEC", codecs, TRANSFORM,
                "compress with zstd or gzip, or 'none' to decompress either"},
        {"out", 'o', OPT_TEXT, FIELD(out), SPEC_TRANSFORM, "DIR", NULL, TRANSFORM,
                "write the mirrored tree below DIR"},
        {"level", 0, OPT_NUMBER, FIELD(level), SPEC_TRANSFORM, "N", NULL, TRANSFORM,
                "compression level (zstd 1-19, default 3; gzip 1-9, default 6)"},
        {"overwrite", 0, OPT_FLAG, FIELD(overwrite), SPEC_TRANSFORM, NULL, NULL, TRANSFORM,
                "replace output files that differ"},
        {"output-name", 0, OPT_TEXT, FIELD(output_name), SPEC_TRANSFORM, "TEMPLATE", NULL,
                TRANSFORM,
                "name of a filter's output in its directory: {/} name, {/.} name without extension "
                "(default: {/})"},
        {"timeout", 0, OPT_DURATION, FIELD(timeout), SPEC_TRANSFORM, "DURATION", NULL, TRANSFORM,
                "end a filter that runs longer on one file"},
};

_Static_assert(sizeof spec_option_rows / sizeof *spec_option_rows <= 64,
        "json_read.c remembers in 64 bits which options it has seen");
const size_t spec_option_count = sizeof spec_option_rows / sizeof *spec_option_rows;

void spec_init(struct spec *spec)
{
	*spec = (struct spec){0};
}

void spec_release(struct spec *spec)
{
	option_release(spec_option_rows, spec_option_count, spec);
	strlist_release(&spec->roots);
	strlist_release(&spec->command);
	spec_init(spec);
}

uint32_t spec_operation_bit(const char *name, size_t len)
{
	for (unsigned i = 0; spec_operations[i]; i++) {
		if (strlen(spec_operations[i]) == len &&
		        memcmp(spec_operations[i], name, len) == 0) {
			return UINT32_C(1) << i;
		}
	}
	return 0;
}

void spec_operation_names(uint32_t operations, struct buf *out)
{
	const char *separator = "";
	for (unsigned i = 0; spec_operations[i]; i++) {
		if (operations & UINT32_C(1) << i) {
			buf_add_str(out, separator);
			buf_add_str(out, spec_operations[i]);
			separator = ",";
		}
	}
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
	for (size_t i = 0; i < spec->extension.count; i++) {
		char *text = spec->extension.items[i];
		size_t dots = strspn(text, ".");
		memmove(text, text + dots, strlen(text + dots) + 1);
	}
}
