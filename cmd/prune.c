/*
 * vega-admin prune: the spool and the stages of this host, for the library to prune, and what is
 * said of it. A stage is a matter of the engine wing, which the library's job wing does not see.
 */
#include "prune.h"

#include <errno.h>
#include <stdlib.h>

#include "cmd.h"
#include "fs/stage.h"
#include "job_print.h"
#include "spec/spec.h"
#include "worker/prune.h"

/* The output directory that was opened last: many jobs have the same. */
struct outputs {
	const struct strlist *roots; /* nothing else may be opened */
	char *out;
	struct output_root *root;
};

static void forget_root(struct outputs *o)
{
	if (o->root) {
		output_root_close(o->root);
	}
	free(o->out);
	o->root = NULL;
	o->out = NULL;
}

/* Where a job writes its files, or NULL: it writes none, or not where we may look. */
static struct output_root *root_of(struct outputs *o, const char *json)
{
	struct spec spec;
	struct vega_error err;
	spec_init(&spec);
	bool writes = spec_parse_json(&spec, json, strlen(json), &err) == 0 && spec_writes(&spec);
	if (writes && !(o->out && strcmp(o->out, spec.out) == 0)) {
		forget_root(o);
		o->out = strdup(spec.out);
		if (output_root_open(spec.out, o->roots, &o->root, &err) != 0) {
			o->root = NULL;
		}
	}
	spec_release(&spec);
	return writes ? o->root : NULL;
}

static struct stage stage_of(const char *id, uint64_t lease_seq)
{
	struct stage stage = {.seq = lease_seq};
	memcpy(stage.id, id, sizeof stage.id);
	return stage;
}

static unsigned count_stages(const char *id, uint64_t lease_seq, const char *spec, void *context)
{
	struct outputs *outputs = context;
	const struct stage stage = stage_of(id, lease_seq);
	struct output_root *root = root_of(outputs, spec);
	int count = root ? stage_count(root, &stage) : 0;
	return count > 0 ? (unsigned)count : 0;
}

static int discard_stages(
        const char *id, uint64_t lease_seq, const char *spec, void *context, struct vega_error *err)
{
	struct outputs *outputs = context;
	const struct stage stage = stage_of(id, lease_seq);
	struct output_root *root = root_of(outputs, spec);
	int error = root ? stage_discard(root, &stage) : 0;
	return error ? vega_fail_errno(err, VEGA_FATAL, -error,
	                       "cannot remove the staging directories of job %s in %s", id,
	                       outputs->out)
	             : 0;
}

static void tell(const struct vega_error *err, void *context)
{
	(void)context;
	cmd_message(err->text);
}

static void add_line(struct buf *out, const char *verb, uint64_t count, const char *one,
        const char *many, uint64_t bytes)
{
	if (!count) {
		return;
	}
	buf_printf(out, "%s ", verb);
	format_counted(out, count, one, many);
	if (bytes) {
		buf_add_str(out, ", ");
		format_size(out, bytes);
	}
	buf_add_char(out, '\n');
}

static void add_text(struct buf *out, const struct prune_counts *p, bool dry_run)
{
	const char *verb = dry_run ? "would remove" : "removed";
	add_line(out, verb, p->jobs, "job", "jobs", 0);
	add_line(out, verb, p->spooled, "spooled stream", "spooled streams", p->spooled_bytes);
	add_line(out, verb, p->strays, "file of no job", "files of no job", p->stray_bytes);
	add_line(out, verb, p->stages, "stage", "stages", 0);
	add_line(out, verb, p->workers, "lost worker", "lost workers", 0);
	add_line(out, "left", p->elsewhere,
	        "job whose records are on another host, or not in --spool; if that host is lost "
	        "for good, use --forget-host NAME",
	        "jobs whose records are on other hosts, or not in --spool; if such a host is lost "
	        "for good, use --forget-host NAME",
	        0);
	add_line(out, "left", p->kept, "job that could not be removed completely",
	        "jobs that could not be removed completely", 0);
	add_line(out, "left", p->unknown,
	        "file of a job that is not in this store; --spool DIR removes it, if no other "
	        "store uses DIR",
	        "files of jobs that are not in this store; --spool DIR removes them, if no other "
	        "store uses DIR",
	        0);
}

static void add_json(struct buf *out, const struct prune_counts *p, bool dry_run)
{
	struct json json = json_writer(out);
	json_object_begin(&json);
	json_member_str(&json, "type", "prune");
	json_member_u64(&json, "v", 1);
	json_key(&json, "dry_run");
	json_bool(&json, dry_run);
	json_member_u64(&json, "jobs", p->jobs);
	json_member_u64(&json, "spooled", p->spooled);
	json_member_u64(&json, "spooled_bytes", p->spooled_bytes);
	json_member_u64(&json, "strays", p->strays);
	json_member_u64(&json, "stray_bytes", p->stray_bytes);
	json_member_u64(&json, "stages", p->stages);
	json_member_u64(&json, "workers", p->workers);
	json_member_u64(&json, "left_elsewhere", p->elsewhere);
	json_member_u64(&json, "left_failed", p->kept);
	json_member_u64(&json, "left_unknown", p->unknown);
	json_object_end(&json);
	buf_add_char(out, '\n');
}

/* A real path, or NULL where there is none yet. */
static int find_spool(const char *given, char **spool, struct vega_error *err)
{
	char *path = given ? NULL : store_state_path("results");
	const char *wanted = given ? given : path;
	*spool = wanted ? realpath(wanted, NULL) : NULL;
	int failed = *spool ? 0 : errno;
	free(path);
	return given && failed ? vega_fail_errno(err, VEGA_USAGE, failed, "--spool %s", given) : 0;
}

int prune(struct store *store, const struct prune_request *request, struct vega_error *err)
{
	static const struct prune_stages stages = {
	        .count = count_stages, .discard = discard_stages};
	struct outputs outputs = {.roots = request->roots};
	struct prune_counts counts;
	struct prune_options options = request->options;
	struct buf out = BUF_INIT;
	struct vega_error printing;
	char *spool;
	int code = find_spool(request->spool, &spool, err);
	if (code) {
		return code;
	}
	options.spool = spool;
	options.spool_shared = !request->spool;
	options.stages = request->stages ? &stages : NULL;
	options.trouble = tell;
	options.context = &outputs;
	code = prune_store(store, &options, &counts, err);
	(request->json ? add_json : add_text)(&out, &counts, options.dry_run);
	int printed = print_buf(&out, &printing);
	if (printed && (code == 0 || code == VEGA_PARTIAL)) {
		code = printed;
		*err = printing;
	}
	forget_root(&outputs);
	free(spool);
	return code;
}
