/*
 * From a specification, or a file of them, to the canonical JSON that a store keeps: paths made
 * absolute and kept beneath the roots that are allowed, checked by the engine, and read back under
 * the worker's limits.
 */
#include "store/submit_spec.h"

#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

static int check_spec(struct spec *spec, const struct submit_rules *rules, struct vega_error *err)
{
	struct strlist allowed = {0};
	int code = spec_allowed_roots(rules->roots, getenv("VEGA_ROOTS"), &allowed, err);
	if (code == 0) {
		code = spec_resolve_paths(spec, err);
	}
	if (code == 0 && allowed.count) {
		code = spec_check_beneath(spec, &allowed, err);
	}
	if (code == 0) {
		code = rules->check(spec, allowed.count ? &allowed : NULL, err);
	}
	strlist_release(&allowed);
	return code;
}

/* The canonical JSON; the worker's limits on reading it hold here already. */
static int write_spec(const struct spec *spec, struct buf *json, struct vega_error *err)
{
	struct spec back;
	spec_to_json(spec, json);
	if (!buf_cstr(json)) {
		return vega_fail_nomem(err);
	}
	spec_init(&back);
	int code = spec_parse_json(&back, json->data, json->len, err);
	spec_release(&back);
	return code;
}

int submit_add_spec(struct spec *spec, const struct submit_rules *rules, struct strlist *texts,
        struct vega_error *err)
{
	struct buf json = BUF_INIT;
	int code = check_spec(spec, rules, err);
	code = code ? code : write_spec(spec, &json, err);
	if (code == 0 && !strlist_add(texts, json.data)) {
		code = vega_fail_nomem(err);
	}
	buf_release(&json);
	return code;
}

static int add_line(const char *line, size_t len, const struct submit_rules *rules,
        struct strlist *texts, struct vega_error *err)
{
	struct spec spec;
	spec_init(&spec);
	int code = len ? spec_parse_json(&spec, line, len, err)
	               : vega_fail(err, VEGA_USAGE, "empty; a specification is wanted");
	code = code ? code : submit_add_spec(&spec, rules, texts, err);
	spec_release(&spec);
	return code;
}

int submit_read_batch(const char *path, const struct submit_rules *rules, struct strlist *texts,
        struct vega_error *err)
{
	struct buf file = BUF_INIT;
	struct vega_error why;
	int code = file_read_all(path, &file, err);
	const char *line = code ? NULL : buf_cstr(&file);
	const char *end = line ? line + file.len : NULL;
	while (code == 0 && line < end) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		const char *stop = newline ? newline : end;
		code = texts->count < SUBMIT_BATCH_MAX
		               ? add_line(line, (size_t)(stop - line), rules, texts, &why)
		               : vega_fail(&why, VEGA_USAGE,
		                         "a batch has at most %d lines; split it",
		                         SUBMIT_BATCH_MAX);
		if (code) {
			code = vega_fail(err, code, "--batch %s, line %zu: %s", path,
			        texts->count + 1, why.text);
		}
		line = newline ? newline + 1 : end;
	}
	if (code == 0 && texts->count == 0) {
		code = vega_fail(err, VEGA_USAGE, "--batch %s: empty; it names no job", path);
	}
	buf_release(&file);
	return code;
}
