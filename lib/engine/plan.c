/*
 * The planning pass: a walk before the one that counts, in which an operation that writes sees all
 * names before it writes.
 */
#include "engine/run_internal.h"

static bool plan_entry(void *context, const struct walk_entry *entry)
{
	struct run_thread *t = context;
	for (unsigned i = 0; i < t->run->op_count; i++) {
		const struct op *op = t->run->op[i];
		if (op->plan && (op->types & (1u << entry->type)) &&
		        entry->depth <= t->run->deepest[i]) {
			op->plan(t->accumulator[i], entry);
		}
	}
	return true;
}

/* What cannot be read now is reported by the pass that counts. */
static void plan_error(void *context, const struct record *error)
{
	(void)context, (void)error;
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

static bool wanted(const struct run *run)
{
	for (unsigned i = 0; i < run->op_count; i++) {
		if (run->op[i]->plan && run->op[i]->plan_needed(run->self[i])) {
			return true;
		}
	}
	return false;
}

int run_plan(struct run *run, const struct walk_config *settings, struct vega_error *err)
{
	if (!wanted(run)) {
		return 0;
	}
	struct walk_config config = *settings;
	config.visitor = &plan_visitor;
	config.slow_entries = false;
	bool complete = false;
	int code = walk_new(&config, &run->walk, err);
	code = code ? code : walk_run(run->walk, &complete, err);
	for (unsigned i = 0; run->walk && i < walk_thread_count(run->walk); i++) {
		for (unsigned op = 0; op < run->op_count && i > 0; op++) {
			if (run->op[op]->merge) {
				run->op[op]->merge(run_thread_at(run, 0)->accumulator[op],
				        run_thread_at(run, i)->accumulator[op]);
			}
		}
	}
	for (unsigned op = 0; op < run->op_count && !code; op++) {
		if (run->op[op]->plan_end) {
			code = run->op[op]->plan_end(run->self[op], err);
		}
	}
	for (unsigned i = 0; run->walk && i < walk_thread_count(run->walk); i++) {
		run_thread_free(run_thread_at(run, i));
	}
	walk_free(run->walk);
	run->walk = NULL;
	return code;
}
