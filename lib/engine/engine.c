#include "engine/engine.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/escape.h"
#include "base/killpoint.h"
#include "base/quota.h"
#include "engine/content.h"
#include "engine/expected.h"
#include "engine/growth.h"
#include "engine/receipt.h"
#include "engine/team.h"
#include "fs/limited.h"

#define OPS_MAX CONTENT_OPS_MAX

struct run {
	const struct spec *spec;
	const struct engine_config *config;
	const struct op *op[OPS_MAX];
	void *self[OPS_MAX];
	size_t dir_offset[OPS_MAX];
	unsigned op_count;
	unsigned content_index[CONTENT_OPS_MAX]; /* which of op[] content.op[i] is */
	struct content_config content;
	struct cache *cache;
	struct quota quota;
	atomic_bool memory_ended; /* of what is limited */
	struct sink *sink;        /* NULL during the planning pass */
	bool receipt;             /* it will be seen */
	struct fs_trees *trees;
	struct walk *walk;
	struct growth growth;
	pthread_mutex_t message_lock;
	uint64_t expected; /* entries, for the callback; asked when it first is called; by its lock
	                    */
	bool expected_asked;
	struct buf first_error; /* that went into a record; under the lock */
	uint64_t started_ns;
};

/* The visitor's context. */
struct run_thread {
	struct run *run;
	struct sink_thread *sink;
	struct op_thread op_thread[OPS_MAX];
	void *accumulator[OPS_MAX];
	struct content_thread *content;
	struct receipt receipt;
	uint64_t unwritten; /* errors of operations that write */
};

static void on_turn(void *context);

/* --- Threads
 * ---------------------------------------------------------------------------------------- */

static void thread_free(struct run_thread *t)
{
	if (!t) {
		return;
	}
	content_thread_free(t->content);
	for (unsigned i = 0; i < t->run->op_count; i++) {
		if (t->accumulator[i]) {
			t->run->op[i]->thread_end(t->accumulator[i]);
		}
	}
	free(t);
}

static bool begin_content(struct run_thread *t)
{
	const struct run *run = t->run;
	void *accumulators[CONTENT_OPS_MAX];
	if (run->content.op_count == 0) {
		return true;
	}
	for (unsigned i = 0; i < run->content.op_count; i++) {
		accumulators[i] = t->accumulator[run->content_index[i]];
	}
	t->content = content_thread_new(&run->content, accumulators, t);
	return t->content != NULL;
}

static void *thread_begin(void *shared, struct walk_thread *walk_thread)
{
	struct run *run = shared;
	struct run_thread *t = calloc(1, sizeof *t);
	if (!t) {
		return NULL;
	}
	t->run = run;
	t->sink = run->sink ? sink_thread_new(run->sink) : NULL;
	bool ready = t->sink || !run->sink;
	for (unsigned i = 0; i < run->op_count && ready; i++) {
		t->op_thread[i] = (struct op_thread){
		        .sink = t->sink,
		        .walk = walk_thread,
		        .spec = run->spec,
		        .self = run->self[i],
		        .dir_offset = run->dir_offset[i],
		        .stop = run->config->stop,
		        .turn = on_turn,
		        .turn_context = t,
		};
		t->accumulator[i] = run->op[i]->thread_begin(&t->op_thread[i]);
		ready = t->accumulator[i] != NULL;
	}
	if (!ready || !begin_content(t)) {
		thread_free(t);
		return NULL;
	}
	return t;
}

static struct run_thread *thread_at(const struct run *run, unsigned index)
{
	return walk_thread_context(walk_thread_at(run->walk, index));
}

/* --- Progress and messages
 * ---------------------------------------------------------------------------- */

/* One at a time, and not between two messages. */
static void show_progress(struct run *run, struct engine_progress *progress)
{
	pthread_mutex_lock(&run->message_lock);
	if (!run->expected_asked) {
		run->expected = expected_entries(run->spec, run->walk);
		run->expected_asked = true;
	}
	progress->expected = run->expected;
	run->config->progress(progress, run->config->context);
	pthread_mutex_unlock(&run->message_lock);
}

static void report_progress(struct run_thread *t)
{
	struct run *run = t->run;
	struct walk_ledger ledger;
	walk_ledger(run->walk, &ledger);
	struct engine_progress progress = {
	        .entries = ledger.entries,
	        .waiting = ledger.directories_waiting,
	        .errors = ledger.errors,
	        .elapsed_ns = monotonic_ns() - run->started_ns,
	};
	for (unsigned i = 0; i < walk_thread_count(run->walk); i++) {
		const struct run_thread *other = thread_at(run, i);
		progress.bytes += other && other->content ? content_bytes(other->content) : 0;
	}
	if (run->config->progress_records) {
		struct record record = {
		        .type = RECORD_PROGRESS,
		        .entries = progress.entries,
		        .bytes = progress.bytes,
		        .waiting = progress.waiting,
		        .errors = progress.errors,
		};
		sink_record(t->sink, &record);
		sink_flush(t->sink);
	}
	if (run->config->progress) {
		show_progress(run, &progress);
	}
}

static void on_turn(void *context)
{
	struct run_thread *t = context;
	atomic_int *tick = t->run->config->tick;
	if (tick && atomic_load_explicit(tick, memory_order_relaxed) &&
	        atomic_exchange_explicit(tick, 0, memory_order_relaxed)) {
		report_progress(t);
	}
}

static void end_run(struct run *run)
{
	int running = 0;
	atomic_compare_exchange_strong(run->config->stop, &running, -1);
}

static void message(struct run *run, const char *line)
{
	if (run->config->message) {
		pthread_mutex_lock(&run->message_lock);
		run->config->message(line, run->config->context);
		pthread_mutex_unlock(&run->message_lock);
	}
}

static void tell(void *context, const char *text)
{
	message(context, text);
}

static void cache_warning(void *context, const char *text)
{
	struct buf line = BUF_INIT;
	buf_printf(&line, "going on without the cache: %s", text);
	message(context, buf_cstr(&line) ? line.data : text);
	buf_release(&line);
}

/* --- The visitor
 * -------------------------------------------------------------------------------------- */

static void on_enter(void *context, struct walk_dir *dir, int dir_handle)
{
	struct run_thread *t = context;
	const struct run *run = t->run;
	if (t->content) {
		content_enter(t->content, dir, dir_handle);
	}
	for (unsigned i = 0; i < run->op_count; i++) {
		if (run->op[i]->enter) {
			run->op[i]->enter(t->accumulator[i], dir, dir_handle,
			        (char *)walk_dir_data(dir) + run->dir_offset[i]);
		}
	}
}

static bool on_entry(void *context, const struct walk_entry *entry)
{
	struct run_thread *t = context;
	const struct run *run = t->run;
	bool taken = false;
	for (unsigned i = 0; i < run->op_count; i++) {
		const struct op *op = run->op[i];
		if (op->entry && (op->types & (1u << entry->type))) {
			op->entry(t->accumulator[i], entry);
			taken = true;
		}
	}
	if (t->content && entry->type == FILE_REGULAR) {
		taken = content_file(t->content, entry) || taken;
	}
	if (run->receipt && taken) {
		receipt_entry(&t->receipt, entry);
	}
	return taken;
}

static void on_leave(void *context, struct walk_dir *dir)
{
	struct run_thread *t = context;
	const struct run *run = t->run;
	if (t->content) {
		content_leave(t->content, dir);
	}
	for (unsigned i = 0; i < run->op_count; i++) {
		if (run->op[i]->leave) {
			char *mine = walk_dir_data(dir);
			char *parents = dir->parent ? walk_dir_data(dir->parent) : NULL;
			size_t offset = run->dir_offset[i];
			run->op[i]->leave(t->accumulator[i], dir, mine + offset,
			        parents ? parents + offset : NULL);
		}
	}
}

/* "PATH: reason", printable: it may hold a name, or what a filter said. */
static void error_line(struct buf *line, const char *dir, size_t dir_len, const char *name,
        size_t name_len, int errnum, const char *text)
{
	escape_terminal(line, dir, dir_len);
	escape_terminal(line, name, name_len);
	buf_add_str(line, ": ");
	text = text ? text : vega_errno_text(errnum);
	escape_terminal(line, text, strlen(text));
}

/* Is that an operation of this run that writes files? */
static bool writes(const struct run *run, const char *what)
{
	for (unsigned i = 0; i < run->op_count; i++) {
		if ((run->op[i]->needs & OP_WRITES) && strcmp(run->op[i]->name, what) == 0) {
			return true;
		}
	}
	return false;
}

static uint64_t unwritten(const struct run *run)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < walk_thread_count(run->walk); i++) {
		sum += thread_at(run, i)->unwritten;
	}
	return sum;
}

static void on_error(void *context, const char *what, const char *dir, size_t dir_len,
        const char *name, size_t name_len, int errnum, const char *text)
{
	struct run_thread *t = context;
	struct run *run = t->run;
	struct buf line = BUF_INIT;
	t->unwritten += writes(run, what);
	if (errnum == ENOMEM && run->config->memory_limited) {
		atomic_store(&run->memory_ended, true);
		end_run(run);
	}
	if (run->receipt) {
		receipt_error(&t->receipt, dir, dir_len, name, name_len, errnum);
	}
	if (run->config->format->error_records) {
		struct record record = {
		        .type = RECORD_ERROR,
		        .op = what,
		        .dir = dir,
		        .name = name,
		        .dir_len = dir_len,
		        .name_len = name_len,
		        .errnum = errnum,
		        .message = text,
		};
		sink_record(t->sink, &record);
		pthread_mutex_lock(&run->message_lock);
		if (!run->first_error.len) {
			error_line(&run->first_error, dir, dir_len, name, name_len, errnum, text);
		}
		pthread_mutex_unlock(&run->message_lock);
		return;
	}
	error_line(&line, dir, dir_len, name, name_len, errnum, text);
	if (buf_cstr(&line)) {
		message(run, line.data);
	}
	buf_release(&line);
}

static void on_breathe(void *context)
{
	struct run_thread *t = context;
	const struct engine_config *config = t->run->config;
	for (unsigned i = 0; i < t->run->op_count; i++) {
		if (t->run->op[i]->batch_end) {
			t->run->op[i]->batch_end(t->accumulator[i]);
		}
	}
	sink_flush_old(t->sink);
	if (sink_error(t->run->sink)) {
		int none = 0; /* a signal's number stays */
		atomic_compare_exchange_strong(config->stop, &none, -1);
	}
	on_turn(t);
}

static void on_idle(void *context)
{
	struct run_thread *t = context;
	sink_flush(t->sink);
}

static const struct walk_visitor run_visitor = {
        .enter = on_enter,
        .entry = on_entry,
        .leave = on_leave,
        .error = on_error,
        .breathe = on_breathe,
        .idle = on_idle,
};

/* --- The planning pass: an operation sees all names before it writes
 * ------------------------------------- */

static bool plan_entry(void *context, const struct walk_entry *entry)
{
	struct run_thread *t = context;
	for (unsigned i = 0; i < t->run->op_count; i++) {
		const struct op *op = t->run->op[i];
		if (op->plan && (op->types & (1u << entry->type))) {
			op->plan(t->accumulator[i], entry);
		}
	}
	return true;
}

/* What cannot be read now is reported by the pass that counts. */
static void plan_error(void *context, const char *what, const char *dir, size_t dir_len,
        const char *name, size_t name_len, int errnum, const char *text)
{
	(void)context, (void)what, (void)dir, (void)dir_len;
	(void)name, (void)name_len, (void)errnum, (void)text;
}

static void plan_nothing(void *context)
{
	(void)context;
}

static const struct walk_visitor plan_visitor = {
        .entry = plan_entry,
        .error = plan_error,
        .breathe = plan_nothing,
        .idle = plan_nothing,
};

/* --- Preparation
 * -------------------------------------------------------------------------------------- */

static void choose_ops(struct run *run)
{
	for (unsigned i = 0; ops[i]; i++) {
		if (!(run->spec->operations & (1u << i)) || run->op_count == OPS_MAX) {
			continue;
		}
		if (ops[i]->needs & OP_CONTENT) {
			run->content_index[run->content.op_count] = run->op_count;
			run->content.op[run->content.op_count++] = ops[i];
		}
		run->op[run->op_count++] = ops[i];
	}
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
	        .slow_entries = run->content.op_count > 0,
	        .slice = limited_slice(run->spec),
	        .threads = team_within(run, team_most(run->spec)),
	        .team = choose_team,
	        .visitor = &run_visitor,
	        .thread_begin = thread_begin,
	        .shared = run,
	        .stop = run->config->stop,
	};
	for (unsigned i = 0; i < run->op_count; i++) {
		config.want |= run->op[i]->want ? run->op[i]->want(run->spec) : 0;
		if (run->op[i] == &op_find) {
			config.want |= run->config->format->meta;
		}
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

static int open_ops(struct run *run, struct vega_error *err)
{
	const struct op_output output = {.allowed = run->config->allowed,
	        .stage = run->config->stage,
	        .quota = quota_of(run)};
	int code = 0;
	for (unsigned i = 0; i < run->op_count && !code; i++) {
		if (run->op[i]->open) {
			code = run->op[i]->open(run->spec, &output, &run->self[i], err);
		}
	}
	return code;
}

static bool plan_wanted(const struct run *run)
{
	for (unsigned i = 0; i < run->op_count; i++) {
		if (run->op[i]->plan && run->op[i]->plan_needed(run->self[i])) {
			return true;
		}
	}
	return false;
}

static int plan(struct run *run, const struct walk_config *settings, struct vega_error *err)
{
	struct walk_config config = *settings;
	config.visitor = &plan_visitor;
	config.slow_entries = false;
	bool complete = false;
	int code = walk_new(&config, &run->walk, err);
	code = code ? code : walk_run(run->walk, &complete, err);
	for (unsigned i = 0; run->walk && i < walk_thread_count(run->walk); i++) {
		for (unsigned op = 0; op < run->op_count && i > 0; op++) {
			if (run->op[op]->merge) {
				run->op[op]->merge(thread_at(run, 0)->accumulator[op],
				        thread_at(run, i)->accumulator[op]);
			}
		}
	}
	for (unsigned op = 0; op < run->op_count && !code; op++) {
		if (run->op[op]->plan_end) {
			code = run->op[op]->plan_end(run->self[op], err);
		}
	}
	for (unsigned i = 0; run->walk && i < walk_thread_count(run->walk); i++) {
		thread_free(thread_at(run, i));
	}
	walk_free(run->walk);
	run->walk = NULL;
	return code;
}

/* --- The summary
 * -------------------------------------------------------------------------------------- */

static void roots_json(const struct spec *spec, struct json *json)
{
	json_key(json, "roots");
	json_array_begin(json);
	for (size_t i = 0; i < spec->roots.count; i++) {
		const char *root = spec->roots.items[i];
		size_t len = strlen(root);
		if (utf8_valid(root, len)) {
			json_text(json, root, len);
		} else {
			json_object_begin(json);
			json_member_path(json, "path", root, len);
			json_object_end(json);
		}
	}
	json_array_end(json);
}

static void ledger_json(const struct run *run, struct json *json)
{
	struct walk_ledger ledger;
	walk_ledger(run->walk, &ledger);
	json_key(json, "ledger");
	json_object_begin(json);
	json_member_u64(json, "entries", ledger.entries);
	json_member_u64(json, "reported", ledger.reported);
	json_member_u64(json, "filtered", ledger.filtered);
	json_member_u64(json, "errors", ledger.errors);
	if (unwritten(run)) {
		json_member_u64(json, "unwritten", unwritten(run));
	}
	json_object_end(json);
}

static void content_json(const struct run *run, struct json *json)
{
	struct content_stats stats = {0};
	for (unsigned i = 0; i < walk_thread_count(run->walk); i++) {
		content_stats_add(thread_at(run, i)->content, &stats);
	}
	json_key(json, "content");
	json_object_begin(json);
	json_member_u64(json, "files_read", stats.files_read);
	json_member_u64(json, "bytes_read", stats.bytes_read);
	json_member_u64(json, "cache_hits", stats.cache_hits);
	json_object_end(json);
}

/* Folds all accumulators into the first thread's, and writes the summary object; false when an
 * operation's part is not whole. */
static bool summarize_run(struct run *run, bool complete, struct buf *out)
{
	struct json json = json_writer(out);
	bool whole = true;
	struct run_thread *first = thread_at(run, 0);
	json_object_begin(&json);
	json_member_str(&json, "type", "summary");
	json_member_u64(&json, "v", RECORD_VERSION);
	json_key(&json, "complete");
	json_bool(&json, complete);
	roots_json(run->spec, &json);
	json_key(&json, "operations");
	json_array_begin(&json);
	for (unsigned i = 0; i < run->op_count; i++) {
		json_str(&json, run->op[i]->name);
	}
	json_array_end(&json);
	json_member_u64(&json, "elapsed_ns", monotonic_ns() - run->started_ns);
	ledger_json(run, &json);
	if (run->receipt) {
		unsigned __int128 sum = 0;
		for (unsigned i = 0; i < walk_thread_count(run->walk); i++) {
			sum += thread_at(run, i)->receipt.sum;
		}
		receipt_json(sum, &json);
	}
	for (unsigned i = 0; i < run->op_count; i++) {
		const struct op *op = run->op[i];
		for (unsigned other = 1; op->merge && other < walk_thread_count(run->walk);
		        other++) {
			op->merge(first->accumulator[i], thread_at(run, other)->accumulator[i]);
		}
		json_key(&json, op->name);
		whole = op->finish(run->self[i], first->accumulator[i], &json) && whole;
	}
	if (run->content.op_count > 0) {
		content_json(run, &json);
	}
	json_object_end(&json);
	return whole;
}

/* --- The run
 * ------------------------------------------------------------------------------------------ */

/* What was held back until now; it may still find errors. */
static void settle(struct run *run)
{
	for (unsigned i = 0; i < run->op_count; i++) {
		if (run->op[i]->settle) {
			run->op[i]->settle(run->self[i], thread_at(run, 0)->accumulator[i],
			        walk_first_thread(run->walk));
		}
	}
}

static int fail_partial(const struct run *run, uint64_t errors, struct vega_error *err)
{
	struct buf text = BUF_INIT;
	record_add_faults(&text, errors, unwritten(run));
	int code = buf_cstr(&text) ? vega_fail(err, VEGA_PARTIAL, "%s", text.data)
	                           : vega_fail_nomem(err);
	buf_release(&text);
	return code;
}

/* The walk is over: the outcome, with the summary written. */
static int conclude(struct run *run, bool complete, struct vega_error *err)
{
	struct walk_ledger ledger;
	struct buf summary = BUF_INIT;
	settle(run);
	if (run->config->progress_end) {
		run->config->progress_end(run->config->context);
	}
	walk_ledger(run->walk, &ledger);
	bool whole = summarize_run(run, complete, &summary);
	KILL_POINT(summary);
	if (summary.failed) {
		buf_release(&summary);
		sink_finish(run->sink, NULL, 0, NULL);
		run->sink = NULL;
		return vega_fail_nomem(err);
	}
	/* A picture of nothing would read like an answer. */
	bool picture = run->config->format == format_find("text");
	int code = sink_finish(
	        run->sink, picture && ledger.no_root ? NULL : summary.data, summary.len, err);
	run->sink = NULL;
	buf_release(&summary);
	if (code && err->sys == EINTR) {
		return vega_fail(err, VEGA_INTERRUPTED, "stopped; nobody reads the output");
	}
	if (code) {
		return code;
	}
	if (!whole) {
		return vega_fail_nomem(err);
	}
	if (!complete) {
		return vega_fail(err, VEGA_INTERRUPTED, "stopped; the result is not complete");
	}
	if (ledger.no_root) {
		const char *why = run->first_error.len ? buf_cstr(&run->first_error) : NULL;
		return vega_fail(err, VEGA_FATAL, "nothing could be read%s%s", why ? ": " : "",
		        why ? why : "");
	}
	if (ledger.errors) {
		return fail_partial(run, ledger.errors, err);
	}
	return 0;
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
	code = walk_run(run->walk, &complete, err);
	if (code == 0) {
		code = conclude(run, complete, err);
	}
	for (unsigned i = 0; i < walk_thread_count(run->walk); i++) {
		thread_free(thread_at(run, i));
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
	}
	return code;
}

int run_spec(const struct spec *spec, const struct engine_config *config, struct vega_error *err)
{
	struct run run = {
	        .spec = spec,
	        .config = config,
	        .message_lock = PTHREAD_MUTEX_INITIALIZER,
	        .started_ns = monotonic_ns(),
	        .content = {.spec = spec, .stop = config->stop, .breathe = on_breathe},
	        .quota = {.most = config->max_output < INT64_MAX ? (int64_t)config->max_output
	                                                         : INT64_MAX,
	                .stop = config->stop},
	};
	run.receipt = config->format->whole_summary;
	const struct fs_setting setting = {.roots = &spec->roots,
	        .given = config->tree,
	        .max_iops = spec->max_iops.set ? spec->max_iops.value : 0,
	        .stop = config->stop};
	int code = fs_trees_new(&setting, &run.trees, err);
	if (code) {
		return code;
	}
	choose_ops(&run);
	if (config->verbose) {
		struct team team = choose_size(&run);
		team_tell(spec, run.trees, &team, tell, &run);
	}
	code = open_ops(&run, err);
	if (!code && run.content.op_count > 0) {
		code = cache_open(config->cache_url, &run.cache, err);
	}
	if (run.cache) {
		run.cache->warn = cache_warning;
		run.cache->warn_context = &run;
		run.content.cache = run.cache;
	}
	if (!code) {
		struct walk_config settings = walk_settings(&run);
		code = plan_wanted(&run) ? plan(&run, &settings, err) : 0;
		code = code ? code : walk_and_conclude(&run, &settings, err);
		code = judge_limits(&run, code, err);
	}
	walk_free(run.walk);
	fs_trees_free(run.trees);
	buf_release(&run.first_error);
	if (run.cache) {
		run.cache->backend->close(run.cache);
	}
	for (unsigned i = 0; i < run.op_count; i++) {
		if (run.op[i]->close) {
			run.op[i]->close(run.self[i]);
		}
	}
	return code;
}

static int open_and_close_root(const struct spec *spec, const struct fs_trees *trees, size_t index,
        const struct strlist *allowed, struct vega_error *err)
{
	struct fs_tree *tree = fs_tree_at(trees, index);
	const char *root = spec->roots.items[index];
	struct file_meta meta;
	char *name = NULL;
	int handle = tree->backend->open_root(tree, root, allowed, &meta, &name);
	free(name);
	if (handle < 0) {
		return vega_fail_errno(err, VEGA_USAGE, -handle, "%s", root);
	}
	tree->backend->close(tree, handle);
	return 0;
}

int engine_check(const struct spec *spec, const struct strlist *allowed, struct vega_error *err)
{
	struct fs_trees *trees = NULL;
	const struct fs_setting setting = {.roots = &spec->roots};
	int code = fs_trees_new(&setting, &trees, err);
	if (code) {
		return code;
	}
	const struct walk_config config = {.spec = spec,
	        .trees = trees,
	        .allowed = allowed,
	        .threads = 1,
	        .visitor = &run_visitor};
	struct walk *walk = NULL;
	code = walk_new(&config, &walk, err);
	walk_free(walk);
	for (size_t i = 0; i < spec->roots.count && !code; i++) {
		code = open_and_close_root(spec, trees, i, allowed, err);
	}
	fs_trees_free(trees);
	return code;
}
