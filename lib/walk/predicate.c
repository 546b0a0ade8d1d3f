/*
 * The predicates of a spec, compiled: cheap questions first (name, type), those that need metadata
 * or the whole path last.
 */
#include "walk/predicate.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/glob.h"

struct globs {
	struct glob **items;
	size_t count;
};

struct extension {
	const char *text;
	size_t len;
};

struct ids {
	uint32_t *items;
	size_t count;
};

struct predicates {
	const struct spec *spec;
	struct globs name, iname, path;
	struct extension *extension; /* spec's strings, without a leading dot */
	size_t extension_count;
	pcre2_code **regex;
	size_t regex_count;
	struct ids user, group;
	char perm_kind;
	uint32_t perm;
	bool has_perm;
	char links_kind;
	uint64_t links;
	uint32_t types;                        /* bits 1 << enum file_type; 0: all */
	struct predicates **without, **others; /* see struct spec */
	size_t without_count, others_count;
	bool rare;  /* is there a predicate that match_rare() asks? */
	bool names; /* is there a predicate on names? */
	unsigned want;
};

struct predicate_scratch {
	pcre2_match_data *match;
};

static int compile_globs(
        struct globs *out, const struct strlist *list, unsigned flags, struct vega_error *err)
{
	out->items = calloc(list->count + 1, sizeof *out->items);
	if (!out->items) {
		return vega_fail_nomem(err);
	}
	for (; out->count < list->count; out->count++) {
		int code =
		        glob_compile(list->items[out->count], flags, &out->items[out->count], err);
		if (code) {
			return code;
		}
	}
	return 0;
}

static void free_globs(struct globs *globs)
{
	for (size_t i = 0; i < globs->count; i++) {
		glob_free(globs->items[i]);
	}
	free(globs->items);
}

static bool match_globs(const struct globs *globs, const char *text, size_t len)
{
	for (size_t i = 0; i < globs->count; i++) {
		if (glob_match(globs->items[i], text, len)) {
			return true;
		}
	}
	return globs->count == 0;
}

static int compile_regexes(struct predicates *p, struct vega_error *err)
{
	const struct strlist *list = &p->spec->regex;
	p->regex = calloc(list->count + 1, sizeof *p->regex);
	if (!p->regex) {
		return vega_fail_nomem(err);
	}
	for (; p->regex_count < list->count; p->regex_count++) {
		const char *text = list->items[p->regex_count];
		int number;
		PCRE2_SIZE offset;
		/* Bytes, not UTF-8: a path need not be valid, and then must still be matched. */
		pcre2_code *code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
		        PCRE2_DOTALL | PCRE2_NEVER_BACKSLASH_C, &number, &offset, NULL);
		if (!code) {
			char why[256];
			pcre2_get_error_message(number, (PCRE2_UCHAR *)why, sizeof why);
			return vega_fail(err, VEGA_USAGE, "--regex %s: %s at offset %zu", text, why,
			        (size_t)offset);
		}
		pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
		p->regex[p->regex_count] = code;
	}
	return 0;
}

static bool number(const char *text, uint32_t *value)
{
	uint64_t wide;
	if (parse_u64(text, &wide, NULL) != 0 || wide > UINT32_MAX) {
		return false;
	}
	*value = (uint32_t)wide;
	return true;
}

/* Names first, as chown does: a name of digits is that name. */
static bool user_id(const char *text, uint32_t *id)
{
	const struct passwd *entry = getpwnam(text);
	if (entry) {
		*id = entry->pw_uid;
	}
	return entry || number(text, id);
}

static bool group_id(const char *text, uint32_t *id)
{
	const struct group *entry = getgrnam(text);
	if (entry) {
		*id = entry->gr_gid;
	}
	return entry || number(text, id);
}

static int resolve_ids(struct ids *out, const struct strlist *list, const char *option,
        bool (*resolve)(const char *, uint32_t *), struct vega_error *err)
{
	out->items = calloc(list->count + 1, sizeof *out->items);
	if (!out->items) {
		return vega_fail_nomem(err);
	}
	for (; out->count < list->count; out->count++) {
		if (!resolve(list->items[out->count], &out->items[out->count])) {
			return vega_fail(err, VEGA_USAGE, "--%s %s: no such %s on this host",
			        option, list->items[out->count], option);
		}
	}
	return 0;
}

static bool has_id(const struct ids *ids, uint32_t id)
{
	for (size_t i = 0; i < ids->count; i++) {
		if (ids->items[i] == id) {
			return true;
		}
	}
	return ids->count == 0;
}

static int compile_extensions(struct predicates *p, struct vega_error *err)
{
	const struct strlist *list = &p->spec->extension;
	p->extension = calloc(list->count + 1, sizeof *p->extension);
	if (!p->extension) {
		return vega_fail_nomem(err);
	}
	for (size_t i = 0; i < list->count; i++) {
		const char *text = list->items[i];
		text += *text == '.';
		p->extension[i] = (struct extension){text, strlen(text)};
	}
	p->extension_count = list->count;
	return 0;
}

static unsigned fields_wanted(const struct spec *spec)
{
	unsigned want = 0;
	want |= spec->min_size.set || spec->max_size.set || spec->empty ? META_SIZE : 0;
	want |= spec->newer_than.set || spec->older_than.set ? META_MTIME : 0;
	want |= spec->changed_after.set || spec->changed_before.set ? META_CTIME : 0;
	want |= spec->accessed_after.set || spec->accessed_before.set ? META_ATIME : 0;
	want |= spec->user.count || spec->group.count ? META_OWNER : 0;
	want |= spec->nouser || spec->nogroup ? META_OWNER : 0;
	want |= spec->perm || spec->executable ? META_MODE : 0;
	want |= spec->links ? META_IDENTITY : 0;
	return want;
}

#define NO_TYPE (UINT32_C(1) << 31)

static uint32_t types_wanted(const struct spec *spec)
{
	uint32_t files = UINT32_C(1) << FILE_REGULAR;
	bool possible = !spec->type || (spec->type & files);
	return !spec->executable ? spec->type : possible ? files : NO_TYPE;
}

static int compile_sets(struct predicates ***out, size_t *count, const struct spec_sets *sets,
        struct vega_error *err)
{
	*out = calloc(sets->count + 1, sizeof **out);
	int code = *out ? 0 : vega_fail_nomem(err);
	for (size_t i = 0; code == 0 && i < sets->count; i++) {
		code = predicates_new(sets->items[i], &(*out)[i], err);
		*count += code == 0;
	}
	return code;
}

static void free_sets(struct predicates **sets, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		predicates_free(sets[i]);
	}
	free(sets);
}

int predicates_new(const struct spec *spec, struct predicates **out, struct vega_error *err)
{
	struct predicates *p = calloc(1, sizeof *p);
	if (!p) {
		return vega_fail_nomem(err);
	}
	p->spec = spec;
	p->want = fields_wanted(spec);
	p->types = types_wanted(spec);
	p->names = spec->name.count || spec->iname.count || spec->extension.count || p->types;
	p->has_perm = spec->perm != NULL;
	p->rare = spec->nouser || spec->nogroup || spec->executable || spec->links;
	int code = compile_globs(&p->name, &spec->name, 0, err);
	code = code ? code : compile_globs(&p->iname, &spec->iname, GLOB_FOLD, err);
	code = code ? code : compile_globs(&p->path, &spec->path, 0, err);
	code = code ? code : compile_extensions(p, err);
	code = code ? code : compile_regexes(p, err);
	code = code ? code : resolve_ids(&p->user, &spec->user, "user", user_id, err);
	code = code ? code : resolve_ids(&p->group, &spec->group, "group", group_id, err);
	if (!code && spec->perm) {
		code = spec_parse_perm(spec->perm, &p->perm_kind, &p->perm, err);
	}
	if (!code && spec->links) {
		code = spec_parse_links(spec->links, &p->links_kind, &p->links, err);
	}
	if (!code && spec->without.count) {
		code = compile_sets(&p->without, &p->without_count, &spec->without, err);
	}
	if (!code && spec->others.count) {
		code = compile_sets(&p->others, &p->others_count, &spec->others, err);
	}
	if (code) {
		predicates_free(p);
		return code;
	}
	*out = p;
	return 0;
}

void predicates_free(struct predicates *p)
{
	if (!p) {
		return;
	}
	free_sets(p->without, p->without_count);
	free_sets(p->others, p->others_count);
	free_globs(&p->name);
	free_globs(&p->iname);
	free_globs(&p->path);
	for (size_t i = 0; i < p->regex_count; i++) {
		pcre2_code_free(p->regex[i]);
	}
	free(p->regex);
	free(p->extension);
	free(p->user.items);
	free(p->group.items);
	free(p);
}

static bool has_regex(const struct predicates *p)
{
	bool has = p->regex_count > 0;
	for (size_t i = 0; !has && i < p->without_count; i++) {
		has = has_regex(p->without[i]);
	}
	for (size_t i = 0; !has && i < p->others_count; i++) {
		has = has_regex(p->others[i]);
	}
	return has;
}

struct predicate_scratch *predicate_scratch_new(const struct predicates *p)
{
	struct predicate_scratch *scratch = calloc(1, sizeof *scratch);
	if (scratch && has_regex(p)) {
		/* Only whether it matches is asked, so one pair of offsets suffices. */
		scratch->match = pcre2_match_data_create(1, NULL);
		if (!scratch->match) {
			free(scratch);
			return NULL;
		}
	}
	return scratch;
}

void predicate_scratch_free(struct predicate_scratch *scratch)
{
	if (scratch) {
		pcre2_match_data_free(scratch->match);
		free(scratch);
	}
}

unsigned predicates_want(const struct predicates *p)
{
	unsigned want = p->want;
	for (size_t i = 0; i < p->without_count; i++) {
		want |= predicates_want(p->without[i]);
	}
	for (size_t i = 0; i < p->others_count; i++) {
		want |= predicates_want(p->others[i]);
	}
	return want;
}

bool predicates_need_path(const struct predicates *p)
{
	return p->path.count || p->regex_count;
}

bool predicates_grouped(const struct predicates *p)
{
	return p->without_count || p->others_count;
}

bool predicates_none(const struct predicates *p)
{
	return !p->names && !p->want && !predicates_need_path(p) && !predicates_grouped(p);
}

static bool match_extension(const struct predicates *p, const char *name, size_t len)
{
	for (size_t i = 0; i < p->extension_count; i++) {
		const struct extension *e = &p->extension[i];
		/* At least one byte before the dot: ".csv" is a hidden file without extension. */
		if (len > e->len + 1 && name[len - e->len - 1] == '.' &&
		        strncasecmp(name + len - e->len, e->text, e->len) == 0) {
			return true;
		}
	}
	return p->extension_count == 0;
}

static bool match_name(
        const struct predicates *p, const char *name, size_t len, enum file_type type)
{
	uint32_t types = p->types;
	if (types && type != FILE_UNKNOWN && !(types & (1u << type))) {
		return false;
	}
	return match_extension(p, name, len) && match_globs(&p->name, name, len) &&
	       match_globs(&p->iname, name, len);
}

bool predicates_match_name(
        const struct predicates *p, const char *name, size_t len, enum file_type type)
{
	return !p->names || p->others_count || match_name(p, name, len, type);
}

bool predicates_match_path(
        const struct predicates *p, struct predicate_scratch *scratch, const char *path, size_t len)
{
	if (!match_globs(&p->path, path, len)) {
		return false;
	}
	for (size_t i = 0; i < p->regex_count; i++) {
		if (pcre2_match(p->regex[i], (PCRE2_SPTR)path, len, 0, 0, scratch->match, NULL) >=
		        0) {
			return true;
		}
	}
	return p->regex_count == 0;
}

static bool match_times(const struct spec *spec, const struct file_meta *meta)
{
	const struct {
		const struct option_time *after, *before;
		struct vega_time time;
	} tests[] = {
	        {&spec->newer_than, &spec->older_than, meta->mtime},
	        {&spec->changed_after, &spec->changed_before, meta->ctime},
	        {&spec->accessed_after, &spec->accessed_before, meta->atime},
	};
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
		if (tests[i].after->set &&
		        vega_time_compare(tests[i].time, tests[i].after->value) <= 0) {
			return false;
		}
		if (tests[i].before->set &&
		        vega_time_compare(tests[i].time, tests[i].before->value) >= 0) {
			return false;
		}
	}
	return true;
}

static bool match_perm(const struct predicates *p, uint32_t mode)
{
	mode &= 07777;
	switch (p->perm_kind) {
	case '-':
		return (mode & p->perm) == p->perm;
	case '/':
		return p->perm == 0 || (mode & p->perm) != 0;
	default:
		return mode == p->perm;
	}
}

static bool match_links(const struct predicates *p, uint64_t links)
{
	return p->links_kind == '+'   ? links > p->links
	       : p->links_kind == '-' ? links < p->links
	                              : links == p->links;
}

/* The last ids that were asked, each with its answer: a tree has few owners, and asking for one may
 * go over a network.
 */
struct asked {
	uint64_t id; /* and one more, so that 0 is none */
	bool named;
};
#define ASKED 64

/* Nobody knows then; an owner is not called missing for it. The others mean that there is none
 * (getpwuid(3)). */
static bool is_failure(int error)
{
	return error && error != ENOENT && error != ESRCH && error != EBADF && error != EPERM;
}

static bool user_named(uint32_t id)
{
	static _Thread_local struct asked asked[ASKED];
	struct asked *slot = &asked[id % ASKED];
	if (slot->id != (uint64_t)id + 1) {
		struct passwd entry, *found = NULL;
		char text[4096];
		int error = getpwuid_r(id, &entry, text, sizeof text, &found);
		*slot = (struct asked){(uint64_t)id + 1, found || is_failure(error)};
	}
	return slot->named;
}

static bool group_named(uint32_t id)
{
	static _Thread_local struct asked asked[ASKED];
	struct asked *slot = &asked[id % ASKED];
	if (slot->id != (uint64_t)id + 1) {
		struct group entry, *found = NULL;
		char text[4096];
		int error = getgrgid_r(id, &entry, text, sizeof text, &found);
		*slot = (struct asked){(uint64_t)id + 1, found || is_failure(error)};
	}
	return slot->named;
}

static bool match_rare(
        const struct predicates *p, const struct file_meta *meta, enum file_type type)
{
	const struct spec *spec = p->spec;
	if (spec->executable && (type != FILE_REGULAR || !(meta->mode & 0111))) {
		return false;
	}
	return (!spec->links || match_links(p, meta->nlink)) &&
	       (!spec->nouser || !user_named(meta->uid)) &&
	       (!spec->nogroup || !group_named(meta->gid));
}

/* The fields that decide about an entry of that type. A directory is empty by its listing. */
static unsigned deciding(const struct predicates *p, enum file_type type)
{
	const struct spec *spec = p->spec;
	bool listed = type == FILE_DIRECTORY && !spec->min_size.set && !spec->max_size.set;
	return p->want & ~(listed ? (unsigned)META_SIZE : 0);
}

bool predicates_match_meta(
        const struct predicates *p, const struct file_meta *meta, enum file_type type)
{
	const struct spec *spec = p->spec;
	if (deciding(p, type) & ~meta->have) {
		return false;
	}
	if (spec->min_size.set && meta->size < spec->min_size.value) {
		return false;
	}
	if (spec->max_size.set && meta->size > spec->max_size.value) {
		return false;
	}
	if (spec->empty && type != FILE_DIRECTORY && (type != FILE_REGULAR || meta->size != 0)) {
		return false;
	}
	return match_times(spec, meta) && has_id(&p->user, meta->uid) &&
	       has_id(&p->group, meta->gid) && (!p->has_perm || match_perm(p, meta->mode)) &&
	       (!p->rare || match_rare(p, meta, type));
}

/* The cheap questions first; the path is asked for, and a directory listed, only where the others
 * leave it open. */
static bool match_set(const struct predicates *p, struct predicate_entry *entry)
{
	if (!match_name(p, entry->name, entry->name_len, entry->type) ||
	        (p->want && !predicates_match_meta(p, entry->meta, entry->type)) ||
	        (predicates_need_path(p) &&
	                !predicates_match_path(p, entry->scratch, entry->path, entry->path_len)) ||
	        (p->spec->empty && entry->type == FILE_DIRECTORY && !entry->is_empty(entry))) {
		return false;
	}
	for (size_t i = 0; i < p->without_count; i++) {
		if (match_set(p->without[i], entry)) {
			return false;
		}
	}
	return true;
}

bool predicates_match_groups(const struct predicates *p, struct predicate_entry *entry)
{
	bool matched = match_set(p, entry);
	for (size_t i = 0; !matched && i < p->others_count; i++) {
		matched = match_set(p->others[i], entry);
	}
	return matched;
}
