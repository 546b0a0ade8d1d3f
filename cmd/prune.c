#include "prune.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/uri.h"
#include "cmd.h"
#include "fs/stage.h"
#include "job_print.h"
#include "child/spool.h"
#include "spec/spec.h"

#define WORKER_FORGOTTEN_MS (24 * 3600 * 1000)
#define UNKNOWN_GRACE_S 3600 /* of a file whose job is not in this store */

struct pruning {
	struct store *store;
	const struct prune_options *options;
	char *spool; /* a real path, or NULL: there is none */
	bool failed; /* something could not be removed, as was told */

	uint64_t jobs, spooled, stages, strays, workers;
	uint64_t spooled_bytes, stray_bytes;
	uint64_t elsewhere; /* jobs whose records are */
	uint64_t kept;      /* jobs of which something could not be removed */
	uint64_t unknown;   /* files of jobs that the store does not know */

	/* the output directory that was opened last: many jobs have the same */
	char *out;
	struct output_root *root;
};

static void tell(struct pruning *p, const struct vega_error *err)
{
	cmd_message(err->text);
	p->failed = true;
}

/* --- stages ----------------------------------------------------------------------------------- */

static void forget_root(struct pruning *p)
{
	if (p->root) {
		output_root_close(p->root);
	}
	free(p->out);
	p->root = NULL;
	p->out = NULL;
}

/* Where a job writes its files, or NULL: it writes none, or not where we may look. */
static struct output_root *root_of(struct pruning *p, const char *json)
{
	struct spec spec;
	struct vega_error err;
	if (!p->options->stages) {
		return NULL;
	}
	spec_init(&spec);
	bool writes = spec_parse_json(&spec, json, strlen(json), &err) == 0 && spec_writes(&spec);
	if (writes && !(p->out && strcmp(p->out, spec.out) == 0)) {
		forget_root(p);
		p->out = strdup(spec.out);
		if (output_root_open(spec.out, p->options->roots, &p->root, &err) != 0) {
			p->root = NULL;
		}
	}
	spec_release(&spec);
	return writes ? p->root : NULL;
}

static int count_stages(struct pruning *p, const char *id, uint64_t lease_seq, const char *spec)
{
	struct stage stage = {.seq = lease_seq};
	struct output_root *root = lease_seq ? root_of(p, spec) : NULL;
	memcpy(stage.id, id, sizeof stage.id);
	int count = root ? stage_count(root, &stage) : 0;
	return count > 0 ? count : 0;
}

static int remove_stages(const struct job *job, void *context)
{
	struct pruning *p = context;
	struct stage stage = {.seq = job->lease_seq};
	int count = count_stages(p, job->id, job->lease_seq, job->spec);
	if (!count) {
		return 0;
	}
	memcpy(stage.id, job->id, sizeof stage.id);
	int failed = p->options->dry_run ? 0 : stage_discard(p->root, &stage);
	if (failed) {
		struct vega_error err;
		vega_fail_errno(&err, VEGA_FATAL, -failed,
		        "cannot remove what is left of job %s in %s", job->id, p->out);
		tell(p, &err);
	} else {
		p->stages += (uint64_t)count;
	}
	return 0;
}

/* Of every job that has ended, however long ago: such a stage only takes room. */
static int prune_stages(struct pruning *p, struct vega_error *err)
{
	const struct store_filter ended = {
	        .states = 1u << JOB_COMPLETED | 1u << JOB_FAILED | 1u << JOB_CANCELLED,
	        .parts = STORE_PART_SPEC};
	return p->options->stages ? p->store->driver->list(p->store, &ended, remove_stages, p, err)
	                          : 0;
}

/* --- jobs ------------------------------------------------------------------------------------- */

/* On a host that is gone for good, as we were told. */
static bool is_forgotten(const struct pruning *p, const char *records_uri)
{
	const struct strlist *hosts = p->options->forgotten;
	struct uri uri;
	struct vega_error err;
	if (!hosts->count || uri_parse(records_uri, &uri, &err) < 0) {
		return false;
	}
	bool names_host = uri.host && strcmp(uri.scheme, "file") == 0, found = false;
	for (size_t i = 0; i < hosts->count && names_host; i++) {
		found |= strcmp(uri.host, hosts->items[i]) == 0;
	}
	uri_release(&uri);
	return found;
}

static bool remove_job(const struct store_pruned *job, void *context)
{
	struct pruning *p = context;
	struct vega_error err;
	int code = 0;
	bool spooled = job->records_uri && !is_forgotten(p, job->records_uri);
	if (spooled) {
		code = p->spool ? spool_remove(p->spool, job->id, job->records_uri,
		                          p->options->dry_run, &p->spooled_bytes, &err)
		                : VEGA_NO;
	}
	if (code == VEGA_NO) {
		p->elsewhere++;
		return false;
	}
	/* A dry run has left its stages where they are. */
	bool staged = !p->options->dry_run && code == 0 &&
	              count_stages(p, job->id, job->lease_seq, job->spec) > 0;
	if (code || staged) {
		if (code) {
			tell(p, &err);
		}
		p->kept++;
		return false;
	}
	p->spooled += spooled;
	p->jobs++;
	return true;
}

static int prune_jobs(struct pruning *p, struct vega_error *err)
{
	struct store_prune prune = {.older_ms = p->options->older_ms,
	        .states = p->options->states,
	        .queue = p->options->queue,
	        .label = p->options->label,
	        .batch = p->options->batch,
	        .dry_run = p->options->dry_run,
	        .remove = remove_job,
	        .context = p};
	int count;
	do {
		count = p->store->driver->prune(p->store, &prune, err);
	} while (count > 0);
	return count;
}

/* --- spooled files of no job ------------------------------------------------------------------ */

/* What comes from a lease that is over and is not the job's result is of no use to anybody. */
static bool is_stray(struct pruning *p, const struct spool_file *file)
{
	struct job job;
	struct vega_error err;
	int code = p->store->driver->get(p->store, file->id, STORE_PART_RESULT, &job, &err);
	if (code == VEGA_NO) {
		/* Other stores may share the default directory. */
		if (p->options->spool) {
			return file->modified < time(NULL) - UNKNOWN_GRACE_S;
		}
		p->unknown++;
		return false;
	}
	if (code) {
		tell(p, &err);
		return false;
	}
	const char *slash = job.records_uri ? strrchr(job.records_uri, '/') : NULL;
	bool result = slash && strcmp(slash + 1, file->name) == 0;
	bool over = job_state_terminal(job.state) || file->lease_seq < job.lease_seq;
	job_release(&job);
	return over && !result;
}

static bool judge_file(const struct spool_file *file, void *context)
{
	struct pruning *p = context;
	if (!file->part && !is_stray(p, file)) {
		return false;
	}
	p->strays++;
	p->stray_bytes += file->size;
	return !p->options->dry_run;
}

/* --- workers ---------------------------------------------------------------------------------- */

static int note_forgotten(const struct store_worker *worker, void *context)
{
	struct strlist *names = context;
	return worker->silent_ms < WORKER_FORGOTTEN_MS || strlist_add(names, worker->name) ? 0 : 1;
}

static int prune_workers(struct pruning *p, struct vega_error *err)
{
	struct strlist names = {0};
	int code = p->store->driver->workers(p->store, note_forgotten, &names, err);
	for (size_t i = 0; code == 0 && i < names.count; i++) {
		if (!p->options->dry_run) {
			code = p->store->driver->leave(p->store, names.items[i], err);
		}
		p->workers += code == 0;
	}
	strlist_release(&names);
	return code;
}

/* --- what is said ----------------------------------------------------------------------------- */

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

static void add_text(struct buf *out, const struct pruning *p)
{
	const char *verb = p->options->dry_run ? "would remove" : "removed";
	add_line(out, verb, p->jobs, "job", "jobs", 0);
	add_line(out, verb, p->spooled, "spooled stream", "spooled streams", p->spooled_bytes);
	add_line(out, verb, p->strays, "file of no job", "files of no job", p->stray_bytes);
	add_line(out, verb, p->stages, "stage", "stages", 0);
	add_line(out, verb, p->workers, "lost worker", "lost workers", 0);
	add_line(out, "left", p->elsewhere,
	        "job whose records are on another host, or not in --spool; if that host is gone "
	        "for good, say --forget-host NAME",
	        "jobs whose records are on other hosts, or not in --spool; if such a host is gone "
	        "for good, say --forget-host NAME",
	        0);
	add_line(out, "left", p->kept, "job of which something could not be removed",
	        "jobs of which something could not be removed", 0);
	add_line(out, "left", p->unknown,
	        "file of a job that this store does not know; it is removed when --spool says "
	        "that no other store uses the directory",
	        "files of jobs that this store does not know; they are removed when --spool says "
	        "that no other store uses the directory",
	        0);
}

static void add_json(struct buf *out, const struct pruning *p)
{
	struct json json = json_writer(out);
	json_object_begin(&json);
	json_member_str(&json, "type", "prune");
	json_member_u64(&json, "v", 1);
	json_key(&json, "dry_run");
	json_bool(&json, p->options->dry_run);
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

/* --- all together ----------------------------------------------------------------------------- */

static int find_spool(struct pruning *p, struct vega_error *err)
{
	const char *given = p->options->spool;
	char *path = given ? NULL : store_state_path("results");
	const char *wanted = given ? given : path;
	p->spool = wanted ? realpath(wanted, NULL) : NULL;
	int failed = p->spool ? 0 : errno;
	free(path);
	return given && failed ? vega_fail_errno(err, VEGA_USAGE, failed, "--spool %s", given) : 0;
}

static int prune_all(struct pruning *p, struct vega_error *err)
{
	int code = prune_stages(p, err);
	code = code ? code : prune_jobs(p, err);
	if (code == 0 && p->spool) {
		code = spool_sweep(p->spool, judge_file, p, err);
	}
	return code ? code : prune_workers(p, err);
}

int prune(struct store *store, const struct prune_options *options, struct vega_error *err)
{
	struct pruning p = {.store = store, .options = options};
	struct buf out = BUF_INIT;
	struct vega_error printing;
	int code = find_spool(&p, err);
	if (code) {
		return code;
	}
	code = prune_all(&p, err);
	(options->json ? add_json : add_text)(&out, &p);
	int printed = print_buf(&out, &printing);
	if (code == 0 && printed) {
		code = printed;
		*err = printing;
	}
	if (code == 0 && p.failed) {
		code = vega_fail(err, VEGA_PARTIAL, "not everything could be removed");
	}
	forget_root(&p);
	free(p.spool);
	return code;
}
