/* Progress and messages of a run: by any thread of its team, one at a time. */
#include "engine/run_internal.h"

#include "base/clock.h"
#include "engine/expected.h"

/* One at a time, and not between two messages. Under the lock no file system is asked: it may not
 * answer. */
static void show_progress(struct run *run, struct engine_progress *progress)
{
	if (!atomic_exchange(&run->expected_asked, true)) {
		atomic_store(&run->expected, expected_entries(run->spec, run->walk));
	}
	pthread_mutex_lock(&run->message_lock);
	progress->expected = atomic_load(&run->expected);
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
		const struct run_thread *other = run_thread_at(run, i);
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

void run_turn(void *context)
{
	struct run_thread *t = context;
	atomic_int *tick = t->run->config->tick;
	if (tick && atomic_load_explicit(tick, memory_order_relaxed) &&
	        atomic_exchange_explicit(tick, 0, memory_order_relaxed)) {
		report_progress(t);
	}
}

void run_message(struct run *run, const char *line)
{
	if (run->config->message) {
		pthread_mutex_lock(&run->message_lock);
		run->config->message(line, run->config->context);
		pthread_mutex_unlock(&run->message_lock);
	}
}

void run_warn_cache(void *context, const char *text)
{
	struct buf line = BUF_INIT;
	buf_printf(&line, "continuing without the cache: %s", text);
	run_message(context, buf_cstr(&line) ? line.data : text);
	buf_release(&line);
}
