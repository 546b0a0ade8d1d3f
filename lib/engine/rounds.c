/*
 * Rounds: after the walk an operation may have entries that it held back gone over again, reading
 * other content of them. Operations take turns: while one goes through its rounds, the others wait.
 */
#include "engine/run_internal.h"

#include <errno.h>

#include "base/check.h"

static bool next_held(void *context, struct walk_held *held)
{
	const struct run *run = context;
	return run->op[run->round.index]->next(run->self[run->round.index], held);
}

/* Each thread turns to the round when it gets its first entry of it. */
static bool turn_to_round(struct run_thread *t)
{
	const struct run *run = t->run;
	void *accumulator = t->accumulator[run->round.index];
	if (t->round == run->round.number) {
		return true;
	}
	if (t->content) {
		content_thread_set(t->content, &run->round.content, &accumulator);
	} else {
		t->content = content_thread_new(&run->round.content, &accumulator, t);
	}
	t->round = t->content ? run->round.number : 0;
	return t->content != NULL;
}

static void on_held(void *context, const struct walk_entry *entry)
{
	struct run_thread *t = context;
	if (turn_to_round(t)) {
		content_file(t->content, entry);
	} else {
		walk_error(entry, t->run->operation[t->run->round.index]->name, ENOMEM, NULL);
	}
}

/* One operation's. False: memory ended. *complete is cleared by a stop. */
static bool run_rounds_of(struct run *run, unsigned index, bool *complete)
{
	const struct op *op = run->op[index];
	const struct walk_again again = {
	        .next = next_held, .context = run, .entry = on_held, .threads = run_team(run)};
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

bool run_rounds(struct run *run, bool *complete)
{
	bool whole = true;
	for (unsigned i = 0; i < run->op_count && whole; i++) {
		if (run->op[i]->round) {
			whole = run_rounds_of(run, i, complete);
		}
	}
	return whole;
}
