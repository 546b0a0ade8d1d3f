#include "submit_spec.h"

#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "engine/engine.h"

static int check_spec(struct spec *spec, const struct strlist *given, struct vega_error *err)
{
	struct strlist allowed = {0};
	int rc = spec_allowed_roots(given, getenv("VEGA_ROOTS"), &allowed, err);
	if (rc == 0) {
		rc = spec_resolve_paths(spec, err);
	}
	if (rc == 0 && allowed.count) {
		rc = spec_check_beneath(spec, &allowed, err);
	}
	if (rc == 0) {
		rc = engine_check(spec, allowed.count ? &allowed : NULL, err);
	}
	strlist_release(&allowed);
	return rc;
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
	int rc = spec_parse_json(&back, json->data, json->len, err);
	spec_release(&back);
	return rc;
}

int submit_add_spec(struct spec *spec, const struct strlist *roots, struct strlist *texts,
        struct vega_error *err)
{
	struct buf json = BUF_INIT;
	int rc = check_spec(spec, roots, err);
	rc = rc ? rc : write_spec(spec, &json, err);
	if (rc == 0 && !strlist_add(texts, json.data)) {
		rc = vega_fail_nomem(err);
	}
	buf_release(&json);
	return rc;
}

static int add_line(const char *line, size_t len, const struct strlist *roots,
        struct strlist *texts, struct vega_error *err)
{
	struct spec spec;
	spec_init(&spec);
	int rc = len ? spec_parse_json(&spec, line, len, err)
	             : vega_fail(err, VEGA_USAGE, "empty; a specification is wanted");
	rc = rc ? rc : submit_add_spec(&spec, roots, texts, err);
	spec_release(&spec);
	return rc;
}

int submit_read_batch(const char *path, const struct strlist *roots, struct strlist *texts,
        struct vega_error *err)
{
	struct buf file = BUF_INIT;
	struct vega_error why;
	int rc = file_read_all(path, &file, err);
	const char *line = rc ? NULL : buf_cstr(&file);
	const char *end = line ? line + file.len : NULL;
	while (rc == 0 && line < end) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		const char *stop = newline ? newline : end;
		rc = texts->count < SUBMIT_BATCH_MAX
		             ? add_line(line, (size_t)(stop - line), roots, texts, &why)
		             : vega_fail(&why, VEGA_USAGE, "a batch has at most %d lines; split it",
		                       SUBMIT_BATCH_MAX);
		if (rc) {
			rc = vega_fail(err, rc, "--batch %s, line %zu: %s", path, texts->count + 1,
			        why.text);
		}
		line = newline ? newline + 1 : end;
	}
	if (rc == 0 && texts->count == 0) {
		rc = vega_fail(err, VEGA_USAGE, "--batch %s: empty; it names no job", path);
	}
	buf_release(&file);
	return rc;
}
