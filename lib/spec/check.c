/* Judging a specification by itself, without looking at a file system. */
#include "spec/spec_internal.h"

#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "base/ignore.h"
#include "base/rate.h"

#define ALL_OPERATIONS ((UINT32_C(1) << OPERATION_COUNT) - 1)
#define THREADS_MAX 1024

int spec_check_row(const struct option_row *row, uint32_t bits, struct vega_error *err)
{
	if (!row->groups || (row->groups & bits)) {
		return 0;
	}
	struct buf owner = BUF_INIT, given = BUF_INIT;
	spec_operation_names(row->groups, &owner);
	spec_operation_names(bits, &given);
	const char *owner_text = buf_cstr(&owner);
	const char *given_text = buf_cstr(&given);
	int code = owner_text && given_text ? vega_fail(err, VEGA_USAGE,
	                                              "--%s belongs to the operation %s, not to %s",
	                                              row->name, owner_text, given_text)
	                                    : vega_fail_nomem(err);
	buf_release(&owner);
	buf_release(&given);
	return code;
}

static int check_operations(const struct spec *spec, struct vega_error *err)
{
	if (!spec->operations || (spec->operations & ~ALL_OPERATIONS)) {
		return vega_fail(err, VEGA_USAGE,
		        "the specification names no operation that this VegaFS has");
	}
	if (!spec->roots.count) {
		return vega_fail(err, VEGA_USAGE, "the specification names no root");
	}
	for (size_t i = 0; i < spec->roots.count; i++) {
		if (!*spec->roots.items[i]) {
			return vega_fail(err, VEGA_USAGE,
			        "root number %zu is empty; write '.' for the current directory",
			        i + 1);
		}
	}
	const struct option_row *row;
	for (size_t i = 0; (row = spec_row_at(i)); i++) {
		if (spec_row_is_set(row, spec)) {
			int code = spec_check_row(row, spec->operations, err);
			if (code != 0) {
				return code;
			}
		}
	}
	return 0;
}

static int check_glob_list(const char *option, const struct strlist *list, unsigned flags,
        bool of_names, struct vega_error *err)
{
	for (size_t i = 0; i < list->count; i++) {
		struct glob *glob = NULL;
		if (of_names && strchr(list->items[i], '/')) {
			return vega_fail(err, VEGA_USAGE,
			        "--%s %s: matches no name, because no name holds a '/'; use "
			        "--path",
			        option, list->items[i]);
		}
		struct vega_error why;
		int code = glob_compile(list->items[i], flags, &glob, &why);
		glob_free(glob);
		if (code != 0) {
			return vega_fail(err, code, "--%s %s", option, why.text);
		}
	}
	return 0;
}

static int check_excludes(const struct strlist *list, struct vega_error *err)
{
	if (!list->count) {
		return 0;
	}
	struct ignore *ignore = ignore_new();
	int code = ignore ? 0 : vega_fail_nomem(err);
	for (size_t i = 0; code == 0 && i < list->count; i++) {
		struct vega_error why;
		code = ignore_add(ignore, list->items[i], &why);
		if (code != 0) {
			vega_fail(err, code, "--exclude %s", why.text);
		}
	}
	ignore_free(ignore);
	return code;
}

static int check_extensions(const struct strlist *list, struct vega_error *err)
{
	for (size_t i = 0; i < list->count; i++) {
		const char *text = list->items[i];
		if (!*text || *text == '.' || strchr(text, '/')) {
			return vega_fail(err, VEGA_USAGE,
			        "--extension %s: not an extension; use e.g. csv or tar.gz",
			        *text ? text : "''");
		}
	}
	return 0;
}

/* An id that a file can have: (uid_t)-1 means "none" to the system calls. */
static bool is_id(const char *text)
{
	uint64_t id;
	return parse_u64(text, &id, NULL) == 0 && id < UINT32_MAX;
}

static int no_owner(const char *option, const char *text, struct vega_error *err)
{
	return vega_fail(err, VEGA_USAGE, "--%s %s: there is no such %s here; %s", option, text,
	        option,
	        text[strcspn(text, "*?[")] ? "for entries of that name write --name 'GLOB'"
	                                   : "a number would do");
}

static int check_owners(const struct spec *spec, struct vega_error *err)
{
	for (size_t i = 0; i < spec->user.count; i++) {
		if (!is_id(spec->user.items[i]) && !getpwnam(spec->user.items[i])) {
			return no_owner("user", spec->user.items[i], err);
		}
	}
	for (size_t i = 0; i < spec->group.count; i++) {
		if (!is_id(spec->group.items[i]) && !getgrnam(spec->group.items[i])) {
			return no_owner("group", spec->group.items[i], err);
		}
	}
	return 0;
}

static int check_predicates(const struct spec *spec, struct vega_error *err)
{
	char kind;
	uint32_t mode;
	uint64_t links;
	int code = check_glob_list("name", &spec->name, 0, true, err);
	if (code == 0) {
		code = check_glob_list("iname", &spec->iname, GLOB_FOLD, true, err);
	}
	if (code == 0) {
		code = check_glob_list("path", &spec->path, 0, false, err);
	}
	if (code == 0) {
		code = check_extensions(&spec->extension, err);
	}
	if (code == 0) {
		code = check_excludes(&spec->exclude, err);
	}
	if (code == 0) {
		code = check_owners(spec, err);
	}
	if (code == 0 && spec->perm) {
		code = spec_parse_perm(spec->perm, &kind, &mode, err);
	}
	if (code == 0 && spec->links) {
		code = spec_parse_links(spec->links, &kind, &links, err);
	}
	return code;
}

static int check_interval(const char *after_name, const struct option_time *after,
        const char *before_name, const struct option_time *before, struct vega_error *err)
{
	if (after->set && before->set && vega_time_compare(after->value, before->value) >= 0) {
		return vega_fail(err, VEGA_USAGE,
		        "no time is after that of --%s and before that of --%s", after_name,
		        before_name);
	}
	return 0;
}

static int check_depth(const struct spec *spec, const char *name, const struct option_number *most,
        struct vega_error *err)
{
	if (spec->min_depth.set && most->set && spec->min_depth.value > most->value) {
		return vega_fail(err, VEGA_USAGE,
		        "--min-depth (%" PRIu64 ") is above --%s (%" PRIu64 ")",
		        spec->min_depth.value, name, most->value);
	}
	return 0;
}

static int check_ranges(const struct spec *spec, struct vega_error *err)
{
	int code = check_depth(spec, "max-depth", &spec->show_depth, err);
	if (code == 0) {
		code = check_depth(spec, "descend", &spec->descend, err);
	}
	if (code == 0) {
		code = spec_check_range("threads", &spec->threads, 1, THREADS_MAX, err);
	}
	return code ? code : spec_check_range("max-iops", &spec->max_iops, 1, RATE_MAX, err);
}

static int check_intervals(const struct spec *spec, struct vega_error *err)
{
	if (spec->min_size.set && spec->max_size.set &&
	        spec->min_size.value > spec->max_size.value) {
		return vega_fail(err, VEGA_USAGE,
		        "--min-size (%" PRIu64 " bytes) is above --max-size (%" PRIu64 " bytes)",
		        spec->min_size.value, spec->max_size.value);
	}
	int code = check_interval(
	        "newer-than", &spec->newer_than, "older-than", &spec->older_than, err);
	if (code == 0) {
		code = check_interval("changed-after", &spec->changed_after, "changed-before",
		        &spec->changed_before, err);
	}
	if (code == 0) {
		code = check_interval("accessed-after", &spec->accessed_after, "accessed-before",
		        &spec->accessed_before, err);
	}
	return code;
}

static int check_command(const struct spec *spec, struct vega_error *err)
{
	if (!spec->command.count || spec_takes_command(spec)) {
		return 0;
	}
	uint32_t takers = 0;
	for (unsigned i = 0; operations[i]; i++) {
		takers |= (uint32_t)operations[i]->takes_command << i;
	}
	struct buf names = BUF_INIT;
	spec_operation_names(takers, &names);
	const char *text = buf_cstr(&names);
	int code = text ? vega_fail(err, VEGA_USAGE, "a command belongs to the operation %s", text)
	                : vega_fail_nomem(err);
	buf_release(&names);
	return code;
}

static int check_own(const struct spec *spec, struct vega_error *err)
{
	const struct operation *operation;
	int code = 0;
	for (unsigned i = 0; code == 0 && (operation = spec_next_operation(spec, &i));) {
		code = operation->check ? operation->check(spec, err) : 0;
		CHECK(code != 0 || !operation->writes || spec->out);
	}
	return code;
}

static bool has_predicate(const struct spec *set)
{
	const struct option_row *row;
	for (size_t i = 0; (row = spec_row_at(i)); i++) {
		if (spec_is_predicate(row) && spec_row_is_set(row, set)) {
			return true;
		}
	}
	return set->without.count > 0;
}

/* The predicates of a set, and those that must not hold with them. `needed`: there has to be one.
 */
static int check_set(const struct spec *set, bool needed, struct vega_error *err)
{
	if (needed && !has_predicate(set)) {
		return vega_fail(err, VEGA_USAGE,
		        "--or needs a predicate on both sides, such as --name GLOB");
	}
	int code = check_predicates(set, err);
	if (code == 0) {
		code = check_intervals(set, err);
	}
	for (size_t i = 0; code == 0 && i < set->without.count; i++) {
		const struct spec *negated = set->without.items[i];
		if (!has_predicate(negated) || negated->without.count) {
			return vega_fail(err, VEGA_USAGE,
			        "--not needs a predicate behind it, such as --name GLOB");
		}
		code = check_predicates(negated, err);
	}
	return code;
}

static int check_sets(const struct spec *spec, struct vega_error *err)
{
	int code = check_set(spec, spec->others.count > 0, err);
	for (size_t i = 0; code == 0 && i < spec->others.count; i++) {
		code = check_set(spec->others.items[i], true, err);
	}
	return code;
}

int spec_check(const struct spec *spec, struct vega_error *err)
{
	int code = check_operations(spec, err);
	if (code == 0) {
		code = check_sets(spec, err);
	}
	if (code == 0) {
		code = check_ranges(spec, err);
	}
	if (code == 0) {
		code = check_command(spec, err);
	}
	if (code == 0) {
		code = check_own(spec, err);
	}
	return code;
}
