/* The predicates: what each asks for, and its edges. */
#include "../tap.h"

#include <limits.h>
#include <stdlib.h>

#include "walk/predicate.h"

static struct spec spec;
static struct predicates *set;
static struct predicate_scratch *scratch;

static void begin(void)
{
	spec_init(&spec);
	spec.operations = SPEC_FIND;
}

static int compile(void)
{
	struct vega_error err;
	int code = predicates_new(&spec, &set, &err);
	if (!code) {
		scratch = predicate_scratch_new(set);
	}
	return code;
}

static void end(void)
{
	predicate_scratch_free(scratch);
	predicates_free(set);
	scratch = NULL;
	set = NULL;
	spec_release(&spec);
}

static bool name(const char *text, enum file_type type)
{
	return predicates_match_name(set, text, strlen(text), type);
}

static bool path(const char *text)
{
	return predicates_match_path(set, scratch, text, strlen(text));
}

static bool meta(struct file_meta m, enum file_type type)
{
	m.have = META_ALL;
	return predicates_match_meta(set, &m, type);
}

static void test_none(void)
{
	begin();
	is_int(compile(), 0, "no predicate compiles");
	ok(predicates_none(set) && !predicates_want(set) && !predicates_need_path(set),
	        "no predicate needs nothing");
	ok(name("", FILE_UNKNOWN) && path("") && meta((struct file_meta){0}, FILE_CHAR),
	        "no predicate selects everything");
	end();
}

static void test_names(void)
{
	begin();
	strlist_add(&spec.name, "*.c");
	strlist_add(&spec.name, "Make*");
	spec.type = 1u << FILE_REGULAR | 1u << FILE_SYMLINK;
	compile();
	ok(!predicates_none(set) && !predicates_want(set), "predicates on names need no stat");
	ok(name("x.c", FILE_REGULAR) && name("Makefile", FILE_SYMLINK),
	        "alternatives of globs and types are selected");
	ok(!name("x.c", FILE_DIRECTORY) && !name("x.h", FILE_REGULAR),
	        "a name and a type must both hold");
	ok(name("x.c", FILE_UNKNOWN), "an unknown type is asked for again later");
	ok(!name("x.C", FILE_REGULAR), "the case of --name counts");
	end();
	begin();
	strlist_add(&spec.iname, "*.TXT");
	compile();
	ok(name("a.txt", FILE_REGULAR) && name("A.Txt", FILE_REGULAR),
	        "the case of --iname does not count");
	end();
	begin();
	strlist_add(&spec.extension, "csv");
	strlist_add(&spec.extension, "tar.gz");
	compile();
	ok(name("a.csv", FILE_REGULAR) && name("A.CSV", FILE_REGULAR) &&
	                name("..csv", FILE_REGULAR),
	        "an extension matches in any case");
	ok(!name(".csv", FILE_REGULAR) && !name("csv", FILE_REGULAR) &&
	                !name("acsv", FILE_REGULAR) && !name("a.csv.", FILE_REGULAR),
	        "a hidden file has no extension");
	ok(name("b.tar.gz", FILE_REGULAR) && !name("b.gz", FILE_REGULAR),
	        "an extension may have several parts");
	end();
}

static void test_paths(void)
{
	begin();
	strlist_add(&spec.path, "*/docs/*");
	strlist_add(&spec.regex, "\\.c$");
	strlist_add(&spec.regex, "^\xff.x");
	is_int(compile(), 0, "a path glob and two regular expressions compile");
	ok(predicates_need_path(set) && !predicates_want(set),
	        "predicates on paths need only the path");
	ok(path("a/docs/b.c") && path("a/docs/b/d.c"), "'*' in a path glob matches '/'");
	ok(!path("a/docs/b.h") && !path("a/doc/b.c"),
	        "a path glob and a regular expression must both hold");
	ok(path("\xff\nx/docs/z"), "a dot of a regular expression is any byte");
	end();
	begin();
	strlist_add(&spec.regex, "(");
	is_int(compile(), VEGA_USAGE, "a malformed regular expression is rejected");
	end();
	begin();
	strlist_add(&spec.regex, "(a+)+$");
	compile();
	char many[64];
	memset(many, 'a', sizeof many);
	many[63] = 'b';
	ok(!predicates_match_path(set, scratch, many, sizeof many),
	        "a regular expression that explodes comes to an end");
	end();
}

static void test_sizes(void)
{
	begin();
	spec.min_size = (struct option_number){.set = true, .value = 10};
	spec.max_size = (struct option_number){.set = true, .value = 20};
	compile();
	is_int(predicates_want(set), META_SIZE, "predicates on sizes need the size");
	ok(meta((struct file_meta){.size = 10}, FILE_REGULAR) &&
	                meta((struct file_meta){.size = 20}, FILE_DIRECTORY),
	        "both bounds of a size are included");
	ok(!meta((struct file_meta){.size = 9}, FILE_REGULAR) &&
	                !meta((struct file_meta){.size = 21}, FILE_REGULAR),
	        "sizes beyond the bounds are excluded");
	end();
	begin();
	spec.empty = true;
	compile();
	ok(meta((struct file_meta){.size = 0}, FILE_REGULAR) &&
	                meta((struct file_meta){.size = 4096}, FILE_DIRECTORY),
	        "--empty selects files of 0 bytes, and directories to be listed");
	ok(!meta((struct file_meta){.size = 1}, FILE_REGULAR) &&
	                !meta((struct file_meta){.size = 0}, FILE_FIFO) &&
	                !meta((struct file_meta){.size = 0}, FILE_SYMLINK),
	        "--empty selects nothing else");
	end();
}

/* No size, no time, no owner and no mode are not a size of 0, 1970, root and 0. */
static void test_unknown(void)
{
	const struct file_meta nothing = {.have = META_IDENTITY}, size = {.have = META_SIZE};
	begin();
	spec.max_size = (struct option_number){.set = true, .value = 20};
	compile();
	ok(predicates_match_meta(set, &size, FILE_REGULAR), "a size of 0 is small");
	ok(!predicates_match_meta(set, &nothing, FILE_REGULAR), "an unknown size is not");
	ok(!predicates_match_meta(set, &nothing, FILE_DIRECTORY), "nor is a directory's");
	end();
	begin();
	spec.empty = true;
	compile();
	ok(!predicates_match_meta(set, &nothing, FILE_REGULAR), "an unknown size is not empty");
	ok(predicates_match_meta(set, &nothing, FILE_DIRECTORY),
	        "a directory is asked, not stat'ed");
	end();
	begin();
	spec.older_than = (struct option_time){.set = true, .value = {.sec = 1000}};
	compile();
	ok(!predicates_match_meta(set, &size, FILE_REGULAR), "an unknown time is not old");
	end();
	begin();
	strlist_add(&spec.user, "0");
	compile();
	ok(!predicates_match_meta(set, &size, FILE_REGULAR), "an unknown owner is not root");
	end();
	begin();
	spec.perm = strdup("-0");
	compile();
	ok(!predicates_match_meta(set, &size, FILE_REGULAR), "unknown permissions are not any");
	end();
}

static void test_times(void)
{
	const struct vega_time at = {.sec = 1000, .nsec = 5};
	static const int64_t seconds[] = {INT64_MIN, -1, 0, 999, 1001, INT64_MAX};
	begin();
	spec.newer_than = (struct option_time){.set = true, .value = at};
	compile();
	is_int(predicates_want(set), META_MTIME, "predicates on mtime need it");
	ok(!meta((struct file_meta){.mtime = at}, FILE_REGULAR), "an equal time is not newer");
	ok(meta((struct file_meta){.mtime = {1000, 6}}, FILE_REGULAR) &&
	                !meta((struct file_meta){.mtime = {1000, 4}}, FILE_REGULAR),
	        "times compare to the nanosecond");
	unsigned wrong = 0;
	for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
		struct file_meta m = {.mtime = {seconds[i], 999999999}};
		wrong += meta(m, FILE_REGULAR) != (seconds[i] > 1000);
	}
	is_int(wrong, 0, "times compare at both ends of 64 bits");
	end();
	begin();
	spec.changed_before = (struct option_time){.set = true, .value = at};
	spec.accessed_after = (struct option_time){.set = true, .value = at};
	compile();
	is_int(predicates_want(set), META_CTIME | META_ATIME,
	        "predicates on ctime and atime need both");
	ok(meta((struct file_meta){.ctime = {999, 0}, .atime = {1001, 0}}, FILE_REGULAR) &&
	                !meta((struct file_meta){.ctime = at, .atime = {1001, 0}}, FILE_REGULAR) &&
	                !meta((struct file_meta){.ctime = {999, 0}, .atime = at}, FILE_REGULAR),
	        "ctime and atime must both hold");
	end();
}

static void test_owners(void)
{
	begin();
	strlist_add(&spec.user, "0");
	strlist_add(&spec.user, "4294967294");
	strlist_add(&spec.group, "root");
	is_int(compile(), 0, "numbers and names of owners compile");
	is_int(predicates_want(set), META_OWNER, "predicates on owners need the owner");
	ok(meta((struct file_meta){.uid = 0}, FILE_REGULAR) &&
	                meta((struct file_meta){.uid = 4294967294}, FILE_REGULAR) &&
	                !meta((struct file_meta){.uid = 1}, FILE_REGULAR) &&
	                !meta((struct file_meta){.uid = 0, .gid = 7}, FILE_REGULAR),
	        "one of the users, and the group, must hold");
	end();
	static const char *const nobody[] = {"no such user", "4294967296", "-1", ""};
	for (size_t i = 0; i < sizeof nobody / sizeof *nobody; i++) {
		begin();
		strlist_add(&spec.user, nobody[i]);
		is_int(compile(), VEGA_USAGE, "the unknown user \"%s\" is rejected", nobody[i]);
		end();
	}
}

static bool perm(const char *text, uint32_t mode)
{
	begin();
	spec.perm = strdup(text);
	bool selected = compile() == 0 && predicates_want(set) == META_MODE &&
	                meta((struct file_meta){.mode = mode}, FILE_REGULAR);
	end();
	return selected;
}

static void test_permissions(void)
{
	ok(perm("644", 0100644) && !perm("644", 0100645) && !perm("644", 0104644),
	        "exact permissions must be equal");
	ok(perm("-600", 0100644) && !perm("-600", 0100444) && perm("-0", 0),
	        "all permissions of -MODE must be set");
	ok(perm("/022", 0100620) && !perm("/022", 0100644) && perm("/0", 0),
	        "any permission of /MODE may be set");
	ok(perm("-u+s", 0104755) && !perm("-u+s", 0100755), "symbolic permissions are understood");
}

int main(void)
{
	test_none();
	test_names();
	test_paths();
	test_sizes();
	test_unknown();
	test_times();
	test_owners();
	test_permissions();
	return done();
}
