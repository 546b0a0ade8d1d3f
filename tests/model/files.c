/*
 * The children, and the file system below --out, as fs/stage.c leaves it: a stage is made by a
 * walk, its files are linked into place and unlinked, one after another, by those who publish, and
 * stages are removed by those who discard. Any of them may be killed between two steps.
 */
#include "model.h"

#include <signal.h>

#define STAGE 1u
#define FILE_BIT(number) (uint8_t)(2u << (number))

static bool ends(struct model_child *child, uint8_t code)
{
	child->end = CHILD_EXITED;
	child->code = code;
	return true;
}

static bool walk(struct model_child *child)
{
	uint8_t *stage = &now->stages[child->stage];
	if (!staged_job || child->at == FILES) {
		child->said = 1;
		return ends(child, 0);
	}
	if (child->at == 0) {
		*stage |= STAGE;
	} else if (!(*stage & STAGE)) {
		return ends(child, 1); /* removed by a worker that has taken over */
	}
	*stage |= FILE_BIT(child->at);
	child->at++;
	return true;
}

static void publish_file(struct model_child *child, unsigned number)
{
	uint8_t *stage = &now->stages[child->stage], *target = &now->target[number];
	if (!(*stage & FILE_BIT(number))) {
		return; /* another process has published it */
	}
	if (*target && mutant != PUBLISH_OVERWRITES) {
		/* It stays: something else is there, or the same, linked by one that was killed. */
		child->refused |= *target != child->stage;
		child->at++;
		return;
	}
	if (*target == FOREIGN) {
		violate("a file that is not the job's was overwritten");
	}
	if (child->stage != now->committed) {
		violate("I5: a file was published that no commit stands behind");
	}
	if (now->cancel == CANCEL_TAKEN) {
		violate("I7: a file was published after a cancellation was acknowledged");
	}
	*target = child->stage;
	now->published[number]++;
}

static bool publish(struct model_child *child)
{
	uint8_t *stage = &now->stages[child->stage];
	unsigned step = child->at++;
	if (step == 0) {
		return *stage & STAGE ? true : ends(child, 2);
	}
	unsigned number = (step - 1) / 2;
	if (number == FILES) {
		return ends(child, child->refused ? 3 : 0);
	}
	if (step % 2 == 1) {
		publish_file(child, number);
	} else {
		*stage &= (uint8_t)~FILE_BIT(number);
	}
	return true;
}

/* From its own lease's down to the first. */
static bool discard(struct model_child *child)
{
	now->stages[child->stage] = 0;
	return --child->stage ? true : ends(child, 0);
}

/* Does the worker hold its lease, as far as the store knows? */
static bool lease_runs(const struct model_worker *worker)
{
	return now->present && now->job == JOB_PROCESSING && worker->epoch == now->epoch &&
	       now->left > 0;
}

bool child_goes_on(struct model_worker *worker)
{
	struct model_child *child = &worker->child;
	if (child->kind == CHILD_NONE || child->end != CHILD_RUNS) {
		return false;
	}
	if (child->kind != CHILD_DISCARD && !worker->stalled && !lease_runs(worker)) {
		violate("a child works on although its lease has ended and its worker could know");
	}
	return child->kind == CHILD_WALK      ? walk(child)
	       : child->kind == CHILD_PUBLISH ? publish(child)
	                                      : discard(child);
}

bool child_fails(struct model_worker *worker, uint8_t code)
{
	struct model_child *child = &worker->child;
	if (child->kind == CHILD_NONE || child->end != CHILD_RUNS) {
		return false;
	}
	if (child->kind != CHILD_WALK && code == 2) {
		return false;
	}
	return ends(child, code);
}

bool child_obeys(struct model_worker *worker)
{
	struct model_child *child = &worker->child;
	if (child->kind == CHILD_NONE || child->end != CHILD_RUNS || !child->told) {
		return false;
	}
	child->end = CHILD_KILLED;
	child->code = SIGTERM;
	return true;
}
