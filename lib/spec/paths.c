/* The paths of a specification: made absolute, and held against what may be touched. */
#include "spec/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The caller frees it. Links are not resolved. */
static int make_absolute(const char *path, char **out, struct vega_error *err)
{
	struct buf whole = BUF_INIT;
	if (*path != '/') {
		char *here = getcwd(NULL, 0);
		if (!here) {
			return vega_fail_errno(err, VEGA_USAGE, errno,
			        "%s: the current directory has no path", path);
		}
		buf_add_str(&whole, here);
		buf_add_char(&whole, '/');
		free(here);
	}
	buf_add_str(&whole, path);
	*out = buf_detach(&whole);
	return *out ? 0 : vega_fail_nomem(err);
}

static int resolve_existing(char **path, const char *what, struct vega_error *err)
{
	char *real = realpath(*path, NULL);
	if (!real) {
		return vega_fail_errno(err, VEGA_USAGE, errno, "%s%s", what, *path);
	}
	free(*path);
	*path = real;
	return 0;
}

/* Cuts the last component off path, and returns it; NULL when there is none left. */
static char *cut_component(char *path)
{
	size_t len = strlen(path);
	while (len > 0 && path[len - 1] == '/') {
		path[--len] = '\0';
	}
	char *slash = strrchr(path, '/');
	if (!slash) {
		return NULL;
	}
	*slash = '\0';
	return slash + 1;
}

/* The part that exists is resolved; the part that is still to be made is kept as it is. */
static int resolve_future(char **path, struct vega_error *err)
{
	struct strlist missing = {0};
	struct stat st;
	char *whole = NULL;
	char *real = NULL;
	int code = make_absolute(*path, &whole, err);
	while (code == 0 && !(real = realpath(*whole ? whole : "/", NULL))) {
		if (errno != ENOENT) {
			code = vega_fail_errno(err, VEGA_USAGE, errno, "--out %s", *path);
		} else if (lstat(whole, &st) == 0 && S_ISLNK(st.st_mode)) {
			code = vega_fail(err, VEGA_USAGE,
			        "--out %s: leads through %s, a link to nothing", *path, whole);
		} else {
			const char *name = cut_component(whole);
			if (strcmp(name, "..") == 0) {
				code = vega_fail(err, VEGA_USAGE,
				        "--out %s: goes through '..' of a directory that does not "
				        "exist",
				        *path);
			} else if (strcmp(name, ".") != 0 && !strlist_add(&missing, name)) {
				code = vega_fail_nomem(err);
			}
		}
	}
	struct buf joined = BUF_INIT;
	if (code == 0) {
		buf_add_str(&joined, strcmp(real, "/") == 0 && missing.count ? "" : real);
		while (missing.count > 0) {
			buf_add_char(&joined, '/');
			buf_add_str(&joined, missing.items[--missing.count]);
			free(missing.items[missing.count]);
		}
		char *result = buf_detach(&joined);
		if (result) {
			free(*path);
			*path = result;
		} else {
			code = vega_fail_nomem(err);
		}
	}
	strlist_release(&missing);
	free(whole);
	free(real);
	return code;
}

/* Is there such a program in PATH? */
static bool in_path(const char *program)
{
	const char *path = getenv("PATH");
	bool found = false;
	for (const char *at = path ? path : ""; *at && !found;) {
		size_t len = strcspn(at, ":");
		struct buf file = BUF_INIT;
		buf_add(&file, len ? at : ".", len ? len : 1);
		buf_add_char(&file, '/');
		buf_add_str(&file, program);
		const char *name = buf_cstr(&file);
		found = name && access(name, X_OK) == 0;
		buf_release(&file);
		at += len + (at[len] == ':');
	}
	return found;
}

/* A program named without a '/' is looked for again in the worker's PATH; any other is meant from
 * here. */
static int resolve_program(char **program, struct vega_error *err)
{
	char *whole;
	if (!strchr(*program, '/')) {
		return in_path(*program)
		               ? 0
		               : vega_fail(err, VEGA_USAGE,
		                         "filter %s: there is no such program in PATH", *program);
	}
	if (access(*program, X_OK) != 0) {
		return vega_fail_errno(err, VEGA_USAGE, errno, "filter %s", *program);
	}
	int code = make_absolute(*program, &whole, err);
	if (code == 0) {
		free(*program);
		*program = whole;
	}
	return code;
}

static bool is_beneath(const char *path, const char *top)
{
	size_t len = strlen(top);
	while (len > 0 && top[len - 1] == '/') {
		len--;
	}
	return strncmp(path, top, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* What is written must not be found by the walk that it is written by. */
static int check_apart(const struct spec *spec, struct vega_error *err)
{
	for (size_t i = 0; i < spec->roots.count; i++) {
		const char *root = spec->roots.items[i];
		struct stat st;
		if (stat(root, &st) < 0 || !S_ISDIR(st.st_mode)) {
			continue;
		}
		if (is_beneath(spec->out, root)) {
			return vega_fail(err, VEGA_USAGE,
			        "--out %s lies inside the input %s; choose a directory outside it",
			        spec->out, root);
		}
		if (is_beneath(root, spec->out)) {
			return vega_fail(err, VEGA_USAGE,
			        "--out %s contains the input %s; choose a directory beside it",
			        spec->out, root);
		}
	}
	return 0;
}

int spec_resolve_paths(struct spec *spec, struct vega_error *err)
{
	int code = 0;
	for (size_t i = 0; code == 0 && i < spec->roots.count; i++) {
		code = resolve_existing(&spec->roots.items[i], "", err);
	}
	if (code == 0 && spec->out) {
		code = resolve_future(&spec->out, err);
	}
	if (code == 0 && spec->out) {
		code = check_apart(spec, err);
	}
	if (code == 0 && spec->command.count) {
		code = resolve_program(&spec->command.items[0], err);
	}
	return code;
}

int spec_allowed_roots(const struct strlist *given, const char *environment,
        struct strlist *allowed, struct vega_error *err)
{
	bool ok = true;
	for (size_t i = 0; ok && i < given->count; i++) {
		ok = strlist_add(allowed, given->items[i]);
	}
	for (const char *at = given->count || !environment ? "" : environment; ok && *at;) {
		size_t len = strcspn(at, ":");
		ok = len == 0 || strlist_add_len(allowed, at, len);
		at += len + (at[len] == ':');
	}
	int code = ok ? 0 : vega_fail_nomem(err);
	if (ok && !allowed->count && environment && *environment) {
		code = vega_fail(err, VEGA_USAGE,
		        "VEGA_ROOTS is '%s' and names no directory; unset it to allow any",
		        environment);
	}
	for (size_t i = 0; code == 0 && i < allowed->count; i++) {
		code = resolve_existing(
		        &allowed->items[i], given->count ? "--root " : "VEGA_ROOTS: ", err);
	}
	return code;
}

static int check_path(
        const char *what, const char *path, const struct strlist *allowed, struct vega_error *err)
{
	for (size_t i = 0; i < allowed->count; i++) {
		if (is_beneath(path, allowed->items[i])) {
			return 0;
		}
	}
	struct buf list = BUF_INIT;
	for (size_t i = 0; i < allowed->count; i++) {
		buf_add_str(&list, i ? ", " : "");
		buf_add_str(&list, allowed->items[i]);
	}
	const char *text = buf_cstr(&list);
	int code = vega_fail(err, VEGA_USAGE, "%s%s lies outside the allowed directories (%s)",
	        what, path, text && *text ? text : "nothing");
	buf_release(&list);
	return code;
}

int spec_check_beneath(
        const struct spec *spec, const struct strlist *allowed, struct vega_error *err)
{
	for (size_t i = 0; i < spec->roots.count; i++) {
		int code = check_path("", spec->roots.items[i], allowed, err);
		if (code != 0) {
			return code;
		}
	}
	return spec->out ? check_path("--out ", spec->out, allowed, err) : 0;
}
