/*
 * Removing old jobs and their files, in an order that a kill may break off. Stages go before their
 * jobs: a job names its stage, so one that is killed in between leaves a job without files, which
 * the next call removes, and never files that nobody knows. A spooled file goes when its lease is
 * over and it is not the result of its job; what the store does not know may belong to another
 * store that shares the directory.
 */
#include "worker/prune.h"

#include <string.h>
#include <time.h>

#include "base/uri.h"
#include "child/spool.h"

#define WORKER_FORGOTTEN_MS (24 * 3600 * 1000)
#define UNKNOWN_GRACE_S 3600 /* of a file whose job is not in this store */

struct pruning {
	struct store *store;
	const struct prune_options *options;
	struct prune_counts *counts;
	bool failed; /* something could not be removed, as was told */
};

static void tell(struct pruning *p, const struct vega_error *err)
{
	p->options->trouble(err, p->options->context);
	p->failed = true;
}

static unsigned count_stages(
        const struct pruning *p, const char *id, uint64_t lease_seq, const char *spec)
{
	const struct prune_stages *stages = p->options->stages;
	return stages && lease_seq ? stages->count(id, lease_seq, spec, p->options->context) : 0;
}

static int remove_stages(const struct job *job, void *context)
{
	struct pruning *p = context;
	struct vega_error err;
	unsigned count = count_stages(p, job->id, job->lease_seq, job->spec);
	int code = 0;
	if (count && !p->options->dry_run) {
		code = p->options->stages->discard(
		        job->id, job->lease_seq, job->spec, p->options->context, &err);
	}
	if (code) {
		tell(p, &err);
	} else {
		p->counts->stages += count;
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
		code = p->options->spool
		               ? spool_remove(p->options->spool, job->id, job->records_uri,
		                         p->options->dry_run, &p->counts->spooled_bytes, &err)
		               : VEGA_NO;
	}
	if (code == VEGA_NO) {
		p->counts->elsewhere++;
		return false;
	}
	/* A dry run has left its stages where they are. */
	bool staged = !p->options->dry_run && code == 0 &&
	              count_stages(p, job->id, job->lease_seq, job->spec) > 0;
	if (code || staged) {
		if (code) {
			tell(p, &err);
		}
		p->counts->kept++;
		return false;
	}
	p->counts->spooled += spooled;
	p->counts->jobs++;
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

/* What comes from a lease that is over and is not the job's result is of no use to anybody. */
static bool is_stray(struct pruning *p, const struct spool_file *file)
{
	struct job job;
	struct vega_error err;
	int code = p->store->driver->get(p->store, file->id, STORE_PART_RESULT, &job, &err);
	if (code == VEGA_NO) {
		if (!p->options->spool_shared) {
			return file->modified < time(NULL) - UNKNOWN_GRACE_S;
		}
		p->counts->unknown++;
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
	p->counts->strays++;
	p->counts->stray_bytes += file->size;
	return !p->options->dry_run;
}

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
		p->counts->workers += code == 0;
	}
	strlist_release(&names);
	return code;
}

int prune_store(struct store *store, const struct prune_options *options,
        struct prune_counts *counts, struct vega_error *err)
{
	struct pruning p = {.store = store, .options = options, .counts = counts};
	*counts = (struct prune_counts){0};
	int code = prune_stages(&p, err);
	if (code == 0) {
		code = prune_jobs(&p, err);
	}
	if (code == 0 && options->spool) {
		code = spool_sweep(options->spool, judge_file, &p, err);
	}
	if (code == 0) {
		code = prune_workers(&p, err);
	}
	if (code == 0 && p.failed) {
		code = vega_fail(err, VEGA_PARTIAL, "not everything could be removed");
	}
	return code;
}
