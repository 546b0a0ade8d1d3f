/*
 * The state of each thread of the team during a run, and the visitor that hands each entry to all
 * of the operations of the run.
 */
#include "engine/run_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"

void run_thread_free(struct run_thread *t)
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
	if (run->content.op_count == 0 && !run->rounds) {
		return true;
	}
	for (unsigned i = 0; i < run->content.op_count; i++) {
		accumulators[i] = t->accumulator[run->content_index[i]];
	}
	t->content = content_thread_new(&run->content, accumulators, t);
	return t->content != NULL;
}

void *run_thread_begin(void *shared, struct walk_thread *walk_thread)
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
		        .turn = run_turn,
		        .turn_context = t,
		};
		t->accumulator[i] = run->op[i]->thread_begin(&t->op_thread[i]);
		ready = t->accumulator[i] != NULL;
	}
	if (!ready || !begin_content(t)) {
		run_thread_free(t);
		return NULL;
	}
	return t;
}

/* An operation that is shown nothing of a directory does not see it entered or left either. */
static bool shows_inside(uint64_t deepest, const struct walk_dir *dir)
{
	return dir->depth < deepest || dir->is_file_root;
}

static void on_enter(void *context, struct walk_dir *dir, int dir_handle)
{
	struct run_thread *t = context;
	const struct run *run = t->run;
	if (t->content && shows_inside(run->show_depth, dir)) {
		content_enter(t->content, dir, dir_handle);
	}
	for (unsigned i = 0; i < run->op_count; i++) {
		if (run->op[i]->enter && shows_inside(run->deepest[i], dir)) {
			run->op[i]->enter(t->accumulator[i], dir, dir_handle,
			        (char *)walk_dir_data(dir) + run->dir_offset[i]);
		}
	}
}

/* Operations with rounds come last, when it is known what failed: that is not held. */
static bool on_entry_last(struct run_thread *t, const struct walk_entry *entry)
{
	const struct run *run = t->run;
	bool taken = false;
	for (unsigned i = 0; i < run->op_count && !walk_entry_failed(entry); i++) {
		const struct op *op = run->op[i];
		if (op->round && op->entry && (op->types & (1u << entry->type))) {
			op->entry(t->accumulator[i], entry);
			taken = true;
		}
	}
	return taken;
}

static bool on_entry(void *context, const struct walk_entry *entry)
{
	struct run_thread *t = context;
	const struct run *run = t->run;
	bool taken = false;
	for (unsigned i = 0; i < run->op_count; i++) {
		if ((run->types[i] & (1u << entry->type)) && entry->depth <= run->deepest[i]) {
			run->op[i]->entry(t->accumulator[i], entry);
			taken = true;
		}
	}
	if (run->content.op_count > 0 && entry->type == FILE_REGULAR &&
	        entry->depth <= run->show_depth) {
		taken = content_file(t->content, entry) || taken;
	}
	if (run->rounds && entry->depth <= run->show_depth) {
		taken = on_entry_last(t, entry) || taken;
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
		if (run->op[i]->leave && shows_inside(run->deepest[i], dir)) {
			char *mine = walk_dir_data(dir);
			char *parents = dir->parent ? walk_dir_data(dir->parent) : NULL;
			size_t offset = run->dir_offset[i];
			run->op[i]->leave(t->accumulator[i], dir, mine + offset,
			        parents ? parents + offset : NULL);
		}
	}
}

/* "PATH: reason", printable: it may hold a name, or what a filter said. */
static void error_line(struct buf *line, const struct record *error)
{
	escape_terminal(line, error->dir, error->dir_len);
	escape_terminal(line, error->name, error->name_len);
	buf_add_str(line, ": ");
	const char *text = error->message ? error->message : vega_errno_text(error->errnum);
	escape_terminal(line, text, strlen(text));
}

/* Is that an operation of this run that writes files? */
static bool writes(const struct run *run, const char *what)
{
	for (unsigned i = 0; i < run->op_count; i++) {
		if (run->operation[i]->writes && strcmp(run->operation[i]->name, what) == 0) {
			return true;
		}
	}
	return false;
}

static void end_run(struct run *run)
{
	int running = 0;
	atomic_compare_exchange_strong(run->config->stop, &running, -1);
}

static void on_error(void *context, const struct record *error)
{
	struct run_thread *t = context;
	struct run *run = t->run;
	struct buf line = BUF_INIT;
	bool unwritten = writes(run, error->op);
	t->unwritten += unwritten;
	/* No other file will fare better. */
	if (unwritten && (error->errnum == ENOSPC || error->errnum == EDQUOT)) {
		atomic_store(&run->full, error->errnum);
		end_run(run);
	}
	if (error->errnum == ENOMEM && run->config->memory_limited) {
		atomic_store(&run->memory_ended, true);
		end_run(run);
	}
	if (run->receipt) {
		receipt_error(&t->receipt, error);
	}
	if (run->config->format->error_records) {
		sink_record(t->sink, error);
		pthread_mutex_lock(&run->message_lock);
		if (!run->first_error.len) {
			error_line(&run->first_error, error);
		}
		pthread_mutex_unlock(&run->message_lock);
		return;
	}
	error_line(&line, error);
	if (buf_cstr(&line)) {
		run_message(run, line.data);
	}
	buf_release(&line);
}

void run_breathe(void *context)
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
	run_turn(t);
}

static void on_idle(void *context)
{
	struct run_thread *t = context;
	sink_flush(t->sink);
}

const struct walk_visitor run_visitor = {
        .enter = on_enter,
        .entry = on_entry,
        .leave = on_leave,
        .error = on_error,
        .breathe = run_breathe,
        .idle = on_idle,
};
