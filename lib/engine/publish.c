/* A job's stage becomes its output, or goes: on commit, outside of any run. */
#include "engine/engine.h"

#include <errno.h>

#include "base/escape.h"
#include "fs/stage.h"

struct publishing {
	const struct spec *spec;
	const struct engine_config *config;
	uint64_t refused;
};

static void on_refused(void *context, const char *dir, const char *name, int errnum)
{
	struct publishing *p = context;
	const char *out = p->spec->out;
	const char *why = errnum == EEXIST ? "exists and differs" : strerrordesc_np(errnum);
	struct buf line = BUF_INIT;
	escape_terminal(&line, out, strlen(out));
	buf_add_str(&line, out[strlen(out) - 1] == '/' ? "" : "/");
	escape_terminal(&line, dir, strlen(dir));
	escape_terminal(&line, name, strlen(name));
	buf_printf(&line, ": %s; not published", why);
	if (buf_cstr(&line) && p->config->message) {
		p->config->message(line.data, p->config->context);
	}
	buf_release(&line);
	p->refused++;
}

static int stage_lost(const struct spec *spec, const struct stage *stage, struct vega_error *err)
{
	char name[STAGE_NAME_MAX];
	stage_name(stage, name);
	return vega_fail(err, VEGA_FATAL,
	        "--out %s has no %s to publish: is it on another host, or not mounted? (To give up "
	        "its files, make an empty directory of that name.)",
	        spec->out, name);
}

int engine_publish(
        const struct spec *spec, const struct engine_config *config, struct vega_error *err)
{
	struct publishing publishing = {.spec = spec, .config = config};
	const struct stage_publication how = {.overwrite = spec->overwrite,
	        .stop = config->stop,
	        .refused = on_refused,
	        .context = &publishing};
	struct output_root *root;
	if (!spec->out) {
		return 0;
	}
	int code = output_root_open(spec->out, config->allowed, &root, err);
	if (code) {
		return code;
	}
	int result = stage_publish(root, config->stage, &how);
	output_root_close(root);
	if (result > 0) {
		return stage_lost(spec, config->stage, err);
	}
	if (result == -EINTR) {
		return vega_fail(err, VEGA_INTERRUPTED, "interrupted; not all files are published");
	}
	if (result < 0) {
		return vega_fail_errno(err, VEGA_FATAL, -result,
		        "cannot publish all files in --out %s", spec->out);
	}
	if (publishing.refused) {
		struct buf text = BUF_INIT;
		format_counted(&text, publishing.refused, "file", "files");
		const char *files = buf_cstr(&text);
		code = vega_fail(err, VEGA_PARTIAL, "%s could not be published in --out %s",
		        files ? files : "some files", spec->out);
		buf_release(&text);
		return code;
	}
	return 0;
}

int engine_discard(
        const struct spec *spec, const struct engine_config *config, struct vega_error *err)
{
	struct output_root *root;
	if (!spec->out) {
		return 0;
	}
	int code = output_root_open(spec->out, config->allowed, &root, err);
	if (code) {
		return code;
	}
	int result = stage_discard(root, config->stage);
	output_root_close(root);
	return result ? vega_fail_errno(err, VEGA_FATAL, -result,
	                        "cannot remove a staging directory in --out %s", spec->out)
	              : 0;
}
