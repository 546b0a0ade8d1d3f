/*
 * Rounds: after the walk an operation may have entries that it held back gone over again, reading
 * other content of them. Operations take turns: while one goes through its rounds, the others wait.
 */
#include "engine/run_internal.h"

#include "base/check.h"

static bool next_held(void *context, struct walk_held *held)
{
	const struct run *run = context;
	return run->op[run->round.index]->next(run->self[run->round.index], held);
}

/* Each thread turns to the round when it gets its first entry of it. */
static void on_held(void *context, const struct walk_entry *entry)
{
	struct run_thread *t = context;
	const struct run *run = t->run;
	if (t->round != run->round.number) {
		content_thread_set(
		        t->content, &run->round.content, &t->accumulator[run->round.index]);
		t->round = run->round.number;
	}
	content_file(t->content, entry);
}

/* One operation's. False: memory ended. *complete is cleared by a stop. */
static bool run_rounds_of(struct run *run, unsigned index, unsigned threads, bool *complete)
{
	const struct op *op = run->op[index];
	const struct walk_again again = {
	        .next = next_held, .context = run, .entry = on_held, .threads = threads};
	while (*complete) {
		struct op_content content = {OP_NO_CONTENT, 0};
		int answer = op->round(run->self[index], run_thread_at(run, 0)->accumulator[index],
		        walk_first_thread(run->walk), &content);
		if (answer <= 0) {
			return answer == 0;
		}
		CHECK(content.kind != OP_NO_CONTENT);
		run->round.index = index;
		run->round.number++;
		run->round.content = (struct content_config){.spec = run->spec,
		        .op = {op},
		        .op_count = 1,
		        .round = content,
		        .stop = run->config->stop,
		        .breathe = run_breathe};
		*complete = walk_again(run->walk, &again);
	}
	return true;
}

bool run_rounds(struct run *run, unsigned threads, bool *complete)
{
	bool whole = true;
	for (unsigned i = 0; i < run->op_count && whole; i++) {
		if (run->op[i]->round) {
			whole = run_rounds_of(run, i, threads, complete);
		}
	}
	return whole;
}
