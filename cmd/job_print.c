/* The result of one job: its summary, as JSON or as a picture, and its records. */
#include "job_print.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/json.h"
#include "child/spool.h"
#include "job/text.h"
#include "record/render.h"
#include "spec/spec.h"

int print_buf(struct buf *out, struct vega_error *err)
{
	int failed = out->failed ? -ENOMEM : fd_write_all(STDOUT_FILENO, out->data, out->len);
	buf_release(out);
	return failed ? vega_fail_errno(err, VEGA_FATAL, -failed, "cannot write to standard output")
	              : 0;
}

/* As with vega-walk: the picture fits the window, unless the job says how much is shown. A
 * specification that this version cannot read says nothing. */
static unsigned height_for(const struct job *job)
{
	struct spec spec;
	struct vega_error ignored = {0};
	spec_init(&spec);
	bool read =
	        job->spec && spec_parse_json(&spec, job->spec, strlen(job->spec), &ignored) == 0;
	bool shaped = read && spec_shapes_summary(&spec);
	spec_release(&spec);
	return shaped ? 0 : terminal_height(STDOUT_FILENO);
}

int job_print_result(const struct job *job, bool picture, struct vega_error *err)
{
	struct buf out = BUF_INIT;
	int code = job_need_result(job, err);
	if (code) {
		return code;
	}
	if (!job->summary) {
		return vega_fail(err, VEGA_FATAL, "job %s lost its summary; run it again", job->id);
	}
	size_t len = strlen(job->summary);
	if (picture) {
		const struct format_options options = {
		        .terminal = true,
		        .color = terminal_color(STDOUT_FILENO),
		        .utf8 = terminal_utf8(),
		        .width = terminal_width(STDOUT_FILENO),
		        .height = height_for(job),
		        .schemas = operation_schemas,
		};
		render_summary(&out, &options, job->summary, len);
	} else {
		struct json json = json_writer(&out);
		json_raw(&json, job->summary, len);
		buf_add_char(&out, '\n');
	}
	return print_buf(&out, err);
}

static int copy(int fd, struct vega_error *err)
{
	char block[65536];
	ssize_t got;
	while ((got = read(fd, block, sizeof block)) != 0) {
		if (got < 0 && errno != EINTR) {
			return vega_fail_errno(err, VEGA_FATAL, errno, "cannot read the records");
		}
		int failed = got < 0 ? 0 : fd_write_all(STDOUT_FILENO, block, (size_t)got);
		if (failed) {
			return vega_fail_errno(
			        err, VEGA_FATAL, -failed, "cannot write to standard output");
		}
	}
	return 0;
}

static int print_inline(const struct job *job, struct vega_error *err)
{
	struct buf digest = BUF_INIT, out = BUF_INIT;
	int code;
	buf_add_str(&out, job->records ? job->records : "");
	if (!spool_digest(out.data, out.len, &digest)) {
		code = vega_fail_nomem(err);
	} else if (!job->records_digest || strcmp(digest.data, job->records_digest) != 0) {
		code = vega_fail(err, VEGA_FATAL,
		        "the records of job %s have changed since it stored them (%s, expected "
		        "%s); run it again",
		        job->id, digest.data, job->records_digest ? job->records_digest : "none");
	} else {
		code = print_buf(&out, err);
	}
	buf_release(&digest);
	buf_release(&out);
	return code;
}

int job_print_records(const struct job *job, struct vega_error *err)
{
	int fd, code = job_need_result(job, err);
	if (code || !job->records_size) {
		return code;
	}
	if (!job->records_uri) {
		return print_inline(job, err);
	}
	code = spool_open(job->records_uri, job->records_size, job->records_digest, &fd, err);
	if (code == 0) {
		code = copy(fd, err);
		close(fd);
	}
	return code;
}
