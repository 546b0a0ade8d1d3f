/* run_spec(): which operations, how many threads, the walk, and what its outcome is called. */
#include "engine/run_internal.h"

#include <errno.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/killpoint.h"
#include "base/escape.h"
#include "engine/hang.h"
#include "engine/inode_results.h"
#include "engine/partial.h"
#include "engine/team.h"
#include "fs/limited.h"
#include "record/render.h"

_Static_assert(OPERATION_COUNT <= OPS_MAX && OPS_MAX <= 32, "a run can have all, as bits");

/* All slots are there that op.h asks for together. */
static void check_slots(const struct op *op)
{
	CHECK(op->thread_begin && op->thread_end && op->finish);
	CHECK(!(op->content.kind || op->round) || (op->begin_file && op->end_file));
	CHECK(op->content.kind != OP_RANDOM || op->random);
	CHECK(!op->cache_name == !op->file_result);
	CHECK(!op->round == !op->next);
	CHECK(!op->plan == !op->plan_end && !op->plan == !op->plan_needed);
	CHECK(!op->leave || op->dir_size);
	CHECK(!op->serialize == !op->deserialize);
}

void run_add_op(struct run *run, const struct op *op, const struct operation *operation)
{
	CHECK(run->op_count < OPS_MAX);
	check_slots(op);
	if (op->content.kind) {
		run->content_index[run->content.op_count] = run->op_count;
		run->content.op[run->content.op_count++] = op;
	}
	run->rounds = run->rounds || op->round;
	run->types[run->op_count] = op->entry && !op->round ? op->types : 0;
	CHECK(!operation->counts_below || (!op->content.kind && !op->round && !op->plan));
	run->show_depth = run->spec->show_depth.set ? run->spec->show_depth.value : UINT64_MAX;
	run->deepest[run->op_count] = operation->counts_below ? UINT64_MAX : run->show_depth;
	run->operation[run->op_count] = operation;
	run->op[run->op_count++] = op;
}

static unsigned team_within(const struct run *run, unsigned threads)
{
	unsigned most = run->config->max_threads;
	return most && most < threads ? most : threads;
}

/* Under a ceiling, threads whose number depends on the disk would make its success depend on it. */
static struct team choose_size(const struct run *run)
{
	struct team team = team_for(run->spec, run->trees);
	team.most = run->config->memory_limited ? team.begin : team.most;
	return team;
}

static unsigned team_begin(const struct run *run)
{
	return team_within(run, choose_size(run).begin);
}

static unsigned choose_team(void *shared, unsigned now)
{
	struct run *run = shared;
	if (now == 0) {
		struct team team = choose_size(run);
		growth_begin(&run->growth, team.begin, team.most);
		return team_within(run, team.begin);
	}
	return team_within(run, growth_next(&run->growth, now));
}

/* Under a ceiling, so many that a breath is taken every tenth of a second; 0: as many as is best.
 */
static unsigned limited_slice(const struct spec *spec)
{
	uint64_t calls = spec->max_iops.set ? spec->max_iops.value / 10 : 0;
	return !spec->max_iops.set || calls >= LIMITED_LOAN ? 0 : calls ? (unsigned)calls : 1;
}

static struct walk_config walk_settings(struct run *run)
{
	struct walk_config config = {
	        .spec = run->spec,
	        .trees = run->trees,
	        .allowed = run->config->allowed,
	        .part = run->part,
	        .slow_entries = run->content.op_count > 0,
	        .slice = limited_slice(run->spec),
	        .threads = team_within(run, team_most(run->spec)),
	        .team = choose_team,
	        .visitor = &run_visitor,
	        .thread_begin = run_thread_begin,
	        .shared = run,
	        .stop = run->config->stop,
	};
	for (unsigned i = 0; i < run->op_count; i++) {
		config.want |= run->op[i]->want ? run->op[i]->want(run->spec) : 0;
		config.want |= run->config->format->meta & run->operation[i]->schema.meta;
		run->dir_offset[i] = config.dir_data_size;
		config.dir_data_size += (run->op[i]->dir_size + 15) & ~(size_t)15;
	}
	config.want |= run->receipt ? RECEIPT_META : 0;
	if (run->content.op_count > 0) {
		config.want |= content_want(&run->content);
		run->content.dir_offset = config.dir_data_size;
		config.dir_data_size += content_dir_size(&run->content);
	}
	return config;
}

static struct quota *quota_of(struct run *run)
{
	return run->config->max_output ? &run->quota : NULL;
}

static void tell(void *context, const char *text)
{
	run_message(context, text);
}

static int open_ops(struct run *run, struct vega_error *err)
{
	const struct op_output output = {.allowed = run->config->allowed,
	        .stage = run->config->stage,
	        .quota = quota_of(run),
	        .now = run->now,
	        .message = tell,
	        .message_context = run,
	        .part = run->part != NULL};
	int code = 0;
	for (unsigned i = 0; i < run->op_count && !code; i++) {
		if (run->op[i]->open) {
			code = run->op[i]->open(run->spec, &output, &run->self[i], err);
		}
	}
	return code;
}

/* What was held back until now; it may still find errors. */
static void settle(struct run *run)
{
	for (unsigned i = 0; i < run->op_count; i++) {
		if (run->op[i]->settle) {
			run->op[i]->settle(run->self[i], run_thread_at(run, 0)->accumulator[i],
			        walk_first_thread(run->walk));
		}
	}
}

/* Folds all accumulators into the first thread's. */
static void run_outcome(struct run *run, bool complete, struct outcome *outcome)
{
	struct run_thread *first = run_thread_at(run, 0);
	*outcome = (struct outcome){.spec = run->spec,
	        .op_count = run->op_count,
	        .complete = complete,
	        .has_receipt = run->receipt,
	        .elapsed_ns = monotonic_ns() - run->started_ns};
	walk_ledger(run->walk, &outcome->ledger);
	for (unsigned i = 0; i < walk_thread_count(run->walk); i++) {
		const struct run_thread *t = run_thread_at(run, i);
		outcome->receipt += t->receipt.sum;
		outcome->unwritten += t->unwritten;
		if (t->content) {
			content_stats_add(t->content, &outcome->content);
		}
		for (unsigned op = 0; op < run->op_count && i > 0; op++) {
			if (run->op[op]->merge) {
				run->op[op]->merge(first->accumulator[op], t->accumulator[op]);
			}
		}
	}
	for (unsigned op = 0; op < run->op_count; op++) {
		outcome->op[op] = run->op[op];
		outcome->operation[op] = run->operation[op];
		outcome->self[op] = run->self[op];
		outcome->accumulator[op] = first->accumulator[op];
	}
}

/* The end of a text that is no picture, for whoever watches. */
static void tell_facts(struct run *run, const struct buf *summary)
{
	const struct engine_config *config = run->config;
	if (!config->tell_facts || !config->format->picture || config->options.terminal) {
		return;
	}
	struct format_options options = config->options;
	struct buf line = BUF_INIT;
	options.color = false;
	options.width = 1000; /* one line */
	render_facts(&line, &options, summary->data, summary->len);
	if (line.len) {
		line.len--; /* the newline */
	}
	if (buf_cstr(&line) && line.len) {
		run_message(run, line.data);
	}
	buf_release(&line);
}

/* The outcome, with the summary written. whole: memory sufficed. */
static int conclude(struct run *run, bool complete, bool whole, struct vega_error *err)
{
	struct outcome outcome;
	struct buf summary = BUF_INIT, *out = run->partial ? run->partial : &summary;
	settle(run);
	if (run->config->progress_end) {
		run->config->progress_end(run->config->context);
	}
	run_outcome(run, complete, &outcome);
	bool packed = run->partial ? partial_pack(&outcome, run->walk, run->part, run->now, out)
	                           : outcome_json(&outcome, out);
	KILL_POINT(summary);
	if (out->failed) {
		buf_release(&summary);
		sink_finish(run->sink, NULL, 0, NULL);
		run->sink = NULL;
		return vega_fail_nomem(err);
	}
	/* A picture of nothing would read like an answer. */
	bool picture = run->config->format->picture;
	bool silent = run->partial || (picture && outcome.ledger.no_root);
	int code = sink_finish(run->sink, silent ? NULL : summary.data, summary.len, err);
	run->sink = NULL;
	if (!code && !silent) {
		tell_facts(run, &summary);
	}
	buf_release(&summary);
	if (code && err->sys == EINTR) {
		return vega_fail(err, VEGA_INTERRUPTED, "interrupted while the output was blocked");
	}
	if (code) {
		return code;
	}
	if (!whole || !packed) {
		return vega_fail_nomem(err);
	}
	/* The parts together say whether anything could be read. */
	outcome.ledger.no_root = outcome.ledger.no_root && !run->partial;
	return outcome_code(
	        &outcome, run->first_error.len ? buf_cstr(&run->first_error) : NULL, err);
}

static void end_batches(struct run *run)
{
	for (unsigned i = 0; i < walk_thread_count(run->walk); i++) {
		const struct run_thread *t = run_thread_at(run, i);
		for (unsigned op = 0; op < run->op_count; op++) {
			if (run->op[op]->batch_end) {
				run->op[op]->batch_end(t->accumulator[op]);
			}
		}
	}
}

/* See engine/hang.h. */
static void conclude_hung(struct run *run)
{
	struct vega_error err;
	struct buf dir = BUF_INIT, line = BUF_INIT;
	int code = VEGA_INTERRUPTED;
	if (run->sink) {
		end_batches(run);
		walk_abandon(run->walk, &dir);
		code = conclude(run, false, true, &err);
	}
	if (code == VEGA_INTERRUPTED) {
		escape_terminal(&line, dir.data, dir.len);
		const char *text = line.len ? buf_cstr(&line) : NULL;
		vega_fail(&err, code, "interrupted; %s does not answer; the result is not complete",
		        text ? text : "a file system");
	}
	run->config->hung(code, &err, run->config->context);
}

static int walk_and_conclude(
        struct run *run, const struct walk_config *settings, struct vega_error *err)
{
	bool complete = false;
	int code = walk_new(settings, &run->walk, err);
	if (code) {
		return code;
	}
	run->sink = sink_new(
	        run->config->fd, run->config->format, &run->config->options, run->spec->sort);
	if (!run->sink) {
		return vega_fail_nomem(err);
	}
	sink_stop_on(run->sink, run->config->stop);
	sink_limit(run->sink, quota_of(run));
	hang_walk(true);
	code = walk_run(run->walk, &complete, err);
	bool whole = code || !run->rounds || run_rounds(run, team_begin(run), &complete);
	hang_walk(false);
	if (code == 0) {
		code = conclude(run, complete, whole, err);
	}
	for (unsigned i = 0; i < walk_thread_count(run->walk); i++) {
		run_thread_free(run_thread_at(run, i));
	}
	if (run->sink) {
		sink_finish(run->sink, NULL, 0, NULL);
	}
	return code;
}

/* What was exceeded is why the run ended, whatever came of that. */
static int judge_limits(struct run *run, int code, struct vega_error *err)
{
	if (quota_of(run) && quota_exceeded(&run->quota)) {
		struct buf most = BUF_INIT;
		format_exact_size(&most, run->config->max_output);
		code = vega_fail(err, VEGA_FATAL, "it wrote more than --max-output %s",
		        buf_cstr(&most) ? most.data : "");
		buf_release(&most);
	} else if (atomic_load(&run->memory_ended)) {
		code = vega_fail_nomem(err);
	} else if (atomic_load(&run->full)) {
		code = vega_fail_errno(err, VEGA_UNAVAILABLE, atomic_load(&run->full),
		        "not all is written, since --out %s is full; make room and run it again",
		        run->spec->out);
	}
	return code;
}

int run_begin(struct run *run, const struct spec *spec, const struct engine_config *config,
        struct vega_error *err)
{
	*run = (struct run){
	        .spec = spec,
	        .config = config,
	        .now = config->now.sec ? config->now : vega_now(),
	        .message_lock = PTHREAD_MUTEX_INITIALIZER,
	        .started_ns = monotonic_ns(),
	        .content = {.spec = spec, .stop = config->stop, .breathe = run_breathe},
	        .quota = {.most = config->max_output < INT64_MAX ? (int64_t)config->max_output
	                                                         : INT64_MAX,
	                .stop = config->stop},
	        .receipt = config->format->whole_summary,
	};
	if (config->hung) {
		hang_watch(run, conclude_hung);
	}
	const struct fs_setting setting = {.roots = &spec->roots,
	        .given = config->tree,
	        .max_iops = spec->max_iops.set ? spec->max_iops.value : 0,
	        .stop = config->stop};
	return fs_trees_new(&setting, &run->trees, err);
}

static void run_end(struct run *run)
{
	hang_walk(false);
	walk_free(run->walk);
	fs_trees_free(run->trees);
	inode_results_free(run->content.inodes);
	buf_release(&run->first_error);
	if (run->cache) {
		run->cache->backend->close(run->cache);
	}
	for (unsigned i = 0; i < run->op_count; i++) {
		if (run->op[i]->close) {
			run->op[i]->close(run->self[i]);
		}
	}
}

int run_ops(struct run *run, struct vega_error *err)
{
	if (run->config->verbose) {
		struct team team = choose_size(run);
		team_tell(run->spec, run->trees, &team, tell, run);
	}
	int code = open_ops(run, err);
	if (!code && run->content.op_count > 0) {
		code = cache_open(run->config->cache_url, &run->cache, err);
	}
	if (run->cache) {
		run->cache->warn = run_warn_cache;
		run->cache->warn_context = run;
		run->content.cache = run->cache;
	}
	if (!code && run->content.op_count > 0) {
		run->content.inodes = inode_results_new(); /* without memory each name is read */
	}
	if (!code) {
		struct walk_config settings = walk_settings(run);
		code = run_plan(run, &settings, err);
		code = code ? code : walk_and_conclude(run, &settings, err);
		code = judge_limits(run, code, err);
	}
	run_end(run);
	return code;
}

/* partial: of a part, where its result goes. */
static int run_any(const struct spec *spec, const struct engine_config *config,
        const struct walk_part *part, struct buf *partial, struct vega_error *err)
{
	struct run run;
	int code = run_begin(&run, spec, config, err);
	if (code) {
		return code;
	}
	run.part = part;
	run.partial = partial;
	run.receipt = run.receipt || part;
	for (unsigned i = 0; ops[i]; i++) {
		if (spec->operations & (1u << i)) {
			run_add_op(&run, ops[i], operations[i]);
		}
	}
	return run_ops(&run, err);
}

int run_spec(const struct spec *spec, const struct engine_config *config, struct vega_error *err)
{
	return run_any(spec, config, NULL, NULL, err);
}

int run_part(const struct spec *spec, const struct engine_config *config,
        const struct walk_part *part, struct buf *partial, struct vega_error *err)
{
	int code = partial_check(spec, err);
	if (!code && !config->now.sec) {
		code = vega_fail(err, VEGA_USAGE, "a part of a walk needs the time of the whole");
	}
	return code ? code : run_any(spec, config, part, partial, err);
}
