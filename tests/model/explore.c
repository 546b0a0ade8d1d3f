/*
 * Visits every state of the model that up to so many faults can bring about, those with fewer
 * faults first, and checks the invariants in each; then looks for ways to go on for ever, without
 * further faults, and never end the job. With mutants, each of which must break an invariant.
 *
 *	explore [FAULTS]
 */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "worker/attempt.h"

#define NONE UINT32_MAX
#define FAULTS_MAX 8

enum mutant mutant;
bool staged_job;
struct state *now;
static const char *violation;

void violate(const char *what)
{
	violation = violation ? violation : what;
}

/* --- the actions -------------------------------------------------------------------------------
 */

enum kind {
	SUBMITS,
	SUBMISSION_LANDS,
	SUBMISSION_VANISHES,
	TICKS,
	CANCELS,
	PRUNES,
	FOREIGN_FILE,
	OF_WORKERS, /* those below come for each */
	TENDS = OF_WORKERS,
	BEATS,
	FINISHES,
	CLAIMS,
	REAPS,
	KILLS,
	RESUMES,
	RESUMES_WITH_BEAT,
	RESUMES_WITH_FINISH,
	LANDS,
	VANISHES,
	CHILD_STEPS,
	CHILD_OBEYS,
	CHILD_FAILS,
	CHILD_REFUSES,
	CLAIMS_IN_VAIN,
	FINISHES_IN_VAIN,
	STOPS,
	DIES,
	STALLS,
	KINDS,
};

static const struct {
	const char *name;
	bool calls, fault;
	/* Weak fairness: if one of this group could be done for ever, one is done; 0: need not. */
	uint8_t group;
} kinds[KINDS] = {
        [SUBMITS] = {"the job is submitted", true, false, 1},
        [SUBMISSION_LANDS] = {"a late submission is carried out", false, false, 2},
        [SUBMISSION_VANISHES] = {"a late submission vanishes", false, false, 2},
        [TICKS] = {"time passes", false, false, 3},
        [CANCELS] = {"the job is to be cancelled", true, false, 0},
        [PRUNES] = {"the job is pruned", false, false, 0},
        [FOREIGN_FILE] = {"a stranger puts a file in the way", false, true, 0},
        [TENDS] = {"looks at the clock", false, false, 4},
        [BEATS] = {"renews its lease", true, false, 5},
        [FINISHES] = {"commits or finishes", true, false, 6},
        [CLAIMS] = {"claims", true, false, 7},
        [REAPS] = {"sees that its child has ended", false, false, 8},
        [KILLS] = {"kills its child after the grace", false, false, 9},
        [RESUMES] = {"resumes", false, false, 10},
        [RESUMES_WITH_BEAT] = {"resumes, just about to renew its lease", false, false, 10},
        [RESUMES_WITH_FINISH] = {"resumes, just about to commit or finish", false, false, 10},
        [LANDS] = {"has a late request carried out", false, false, 11},
        [VANISHES] = {"has a late request vanish", false, false, 11},
        [CHILD_STEPS] = {"'s child goes on", false, false, 12},
        [CHILD_OBEYS] = {"'s child obeys SIGTERM", false, false, 0},
        [CHILD_FAILS] = {"'s child fails", false, true, 0},
        [CHILD_REFUSES] = {"'s child refuses the job", false, true, 0},
        [CLAIMS_IN_VAIN] = {"claims and cannot start a child", false, true, 0},
        [FINISHES_IN_VAIN] = {"commits and cannot start a child", false, true, 0},
        [STOPS] = {"is told to stop", false, true, 0},
        [DIES] = {"is killed", false, true, 0},
        [STALLS] = {"stalls", false, true, 0},
};
#define GROUPS 16 /* of each worker */

static const char *const behaviours[BEHAVIOURS] = {"", ": no reply, but it is done",
        ": no reply, and it is not done", ": no reply, and it may yet be done", ": refused"};

struct action {
	enum kind kind;
	enum behaviour behaviour;
	uint8_t worker, cost;
	uint64_t fair; /* a bit for each group of each worker, or 0 */
};

static struct action actions[256];
static unsigned action_count;

static void add_action(enum kind kind, unsigned worker, enum behaviour behaviour)
{
	bool fault = kinds[kind].fault || behaviour != FINE;
	actions[action_count++] = (struct action){.kind = kind,
	        .worker = (uint8_t)worker,
	        .behaviour = behaviour,
	        .cost = fault,
	        .fair = !fault && kinds[kind].group
	                        ? UINT64_C(1) << (worker * GROUPS + kinds[kind].group)
	                        : 0};
}

static void list_actions(void)
{
	for (unsigned kind = 0; kind < KINDS; kind++) {
		unsigned workers = kind < OF_WORKERS ? 1 : WORKERS;
		unsigned ways = kinds[kind].calls ? BEHAVIOURS : 1;
		for (unsigned i = 0; i < workers * ways; i++) {
			add_action((enum kind)kind, i % workers, (enum behaviour)(i / workers));
		}
	}
}

static void count_down(uint8_t *ticks)
{
	*ticks = *ticks ? (uint8_t)(*ticks - 1) : 0;
}

static bool tick(void)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		if (worker_is_due(i)) {
			return false;
		}
	}
	count_down(&now->left);
	for (unsigned i = 0; i < WORKERS; i++) {
		struct model_worker *w = &now->workers[i];
		if (!w->stalled) {
			count_down(&w->left);
		} else if (w->lag < LEASE) {
			w->lag++;
		}
		w->tried = 0;
	}
	return true;
}

static bool land(struct model_flight *flight, bool carry_out)
{
	if (flight->call == CALL_NONE) {
		return false;
	}
	if (carry_out) {
		store_lands(flight);
	}
	*flight = (struct model_flight){.call = CALL_NONE};
	return true;
}

static bool put_foreign_file(void)
{
	bool free_place = staged_job && !now->target[0];
	now->target[0] = free_place ? FOREIGN : now->target[0];
	return free_place;
}

static bool act(const struct action *action)
{
	unsigned i = action->worker;
	struct model_worker *w = &now->workers[i];
	enum behaviour b = action->behaviour;
	switch (action->kind) {
	case SUBMITS:
		return store_submit(b);
	case SUBMISSION_LANDS:
	case SUBMISSION_VANISHES:
		return land(&now->submission, action->kind == SUBMISSION_LANDS);
	case TICKS:
		return tick();
	case CANCELS:
		return store_cancel(b);
	case PRUNES:
		return store_prune();
	case FOREIGN_FILE:
		return put_foreign_file();
	case TENDS:
		return worker_tends(i);
	case BEATS:
		return worker_beats(i, b);
	case FINISHES:
	case FINISHES_IN_VAIN:
		return worker_finishes(i, b, action->kind == FINISHES);
	case CLAIMS:
	case CLAIMS_IN_VAIN: /* the first claim is the first worker's: they are alike */
		return (now->epoch || i == 0) && worker_claims(i, b, action->kind == CLAIMS);
	case REAPS:
		return worker_reaps(i);
	case KILLS:
		return worker_loses_patience(i);
	case RESUMES:
		return worker_resumes(i, CALL_NONE);
	case RESUMES_WITH_BEAT:
		return worker_resumes(i, CALL_BEAT);
	case RESUMES_WITH_FINISH:
		return worker_resumes(i, CALL_FINISH);
	case LANDS:
	case VANISHES:
		return land(&w->flight, action->kind == LANDS);
	case CHILD_STEPS:
		return child_goes_on(w);
	case CHILD_OBEYS:
		return child_obeys(w);
	case CHILD_FAILS:
		return child_fails(w, 1);
	case CHILD_REFUSES:
		return child_fails(w, 2);
	case STOPS:
		return worker_is_stopped(i);
	case DIES:
		return worker_dies(i);
	case STALLS:
		return worker_stalls(i);
	default:
		return false;
	}
}

/* --- the invariants -----------------------------------------------------------------------------
 */

static void judge_files(void)
{
	bool over = row_over(now);
	unsigned whole = 0;
	for (unsigned i = 0; i < FILES; i++) {
		bool kept = now->stages[now->committed] & 2u << i;
		if (now->published[i] > 1) {
			violate("I3: a file was published twice");
		}
		if (now->present && now->committed && !over && !kept && !now->target[i]) {
			violate("I3: a committed file is lost");
		}
		if (now->target[i] && now->target[i] != FOREIGN &&
		        now->target[i] != now->committed) {
			violate("I3: files of different attempts are mixed");
		}
		if ((now->final == JOB_FAILED || now->final == JOB_CANCELLED) &&
		        now->published[i]) {
			violate("I3: a job that did not succeed has published a file");
		}
		whole += now->target[i] != 0;
	}
	if (now->present && staged_job && now->job == JOB_COMPLETED && whole < FILES) {
		violate("I3: a completed job has not published all of its files");
	}
}

static void judge(const struct state *before)
{
	if (now->acknowledged && !now->present && !now->pruned) {
		violate("I1: an acknowledged job is not there");
	}
	if (now->pruned && !row_over(now)) {
		violate("I1: a job that is not over was removed");
	}
	if (now->present && row_over(now) && !now->final) {
		now->final = now->job;
	}
	if (now->present && now->final && now->job != now->final) {
		violate("I2: a terminal state has changed");
	}
	if (now->present && now->cancel == CANCEL_TAKEN && row_over(now) &&
	        now->job != JOB_CANCELLED) {
		violate("I7: a job whose cancellation was acknowledged is not CANCELLED");
	}
	if (now->present && now->seq < before->seq) {
		violate("I4: lease_seq has fallen");
	}
	if (now->twins) {
		violate("I6: one submission has become two jobs");
	}
	if (now->present && now->job == JOB_COMPLETED &&
	        now->result != (staged_job ? now->committed : now->finished)) {
		violate("I3: a completed job has not its own result");
	}
	if (now->present && (now->committed || now->job == JOB_COMPLETED) &&
	        !now->records[now->result]) {
		violate("I3: the records of a result that counts are gone");
	}
	judge_files();
}

/* --- the states that were seen
 * -------------------------------------------------------------------- */

struct node {
	uint32_t parent;
	uint32_t edges; /* where they begin */
	uint8_t edge_count, action, cost;
	bool expanded;
};

struct edge {
	uint32_t to;
	uint8_t action;
};

static struct state *states;
static struct node *nodes;
static uint32_t count, room;
static uint32_t *table; /* open addressing; NONE: free */
static uint32_t table_size;
static struct edge *edges; /* of actions that are no faults */
static uint32_t edge_count, edge_room;
static uint32_t *levels[FAULTS_MAX + 2];
static uint32_t level_count[FAULTS_MAX + 2], level_room[FAULTS_MAX + 2];
static uint64_t transitions;

static void *more(void *array, uint32_t need, uint32_t *have, size_t size)
{
	if (need < *have) {
		return array;
	}
	*have = *have ? *have * 2 : 4096;
	array = realloc(array, *have * size);
	if (!array) {
		fprintf(stderr, "out of memory\n");
		exit(2);
	}
	return array;
}

static uint32_t slot_of(const struct state *state)
{
	uint32_t at = (uint32_t)XXH3_64bits(state, sizeof *state) & (table_size - 1);
	while (table[at] != NONE && memcmp(&states[table[at]], state, sizeof *state) != 0) {
		at = (at + 1) & (table_size - 1);
	}
	return at;
}

static void grow_table(void)
{
	table_size = table_size ? table_size * 2 : 1u << 16;
	table = realloc(table, table_size * sizeof *table);
	if (!table) {
		exit(2);
	}
	memset(table, 0xff, table_size * sizeof *table);
	for (uint32_t i = 0; i < count; i++) {
		table[slot_of(&states[i])] = i;
	}
}

static uint32_t find(const struct state *state)
{
	uint32_t have = room;
	if (count * 2 >= table_size) {
		grow_table();
	}
	uint32_t at = slot_of(state);
	if (table[at] != NONE) {
		return table[at];
	}
	states = more(states, count, &have, sizeof *states);
	nodes = more(nodes, count, &room, sizeof *nodes);
	states[count] = *state;
	nodes[count] = (struct node){.parent = NONE, .cost = UINT8_MAX};
	table[at] = count;
	return count++;
}

static void reach(uint32_t node, uint32_t parent, unsigned action, unsigned cost)
{
	if (nodes[node].cost <= cost) {
		return;
	}
	nodes[node].cost = (uint8_t)cost;
	nodes[node].parent = parent;
	nodes[node].action = (uint8_t)action;
	levels[cost] = more(levels[cost], level_count[cost], &level_room[cost], sizeof **levels);
	levels[cost][level_count[cost]++] = node;
}

/* The step, or the state (to is NONE), that breaks an invariant. */
static struct broken {
	uint32_t from, to;
	uint8_t action;
} broken;

/* False at a violation. */
static bool expand(uint32_t node, unsigned faults)
{
	const struct state before = states[node];
	unsigned cost = nodes[node].cost;
	nodes[node].expanded = true;
	nodes[node].edges = edge_count;
	for (unsigned i = 0; i < action_count; i++) {
		struct state after = before;
		now = &after;
		if (cost + actions[i].cost > faults || !act(&actions[i])) {
			continue;
		}
		judge(&before);
		if (!violation && memcmp(&before, &after, sizeof after) == 0) {
			continue;
		}
		uint32_t to = find(&after);
		reach(to, node, i, cost + actions[i].cost);
		transitions++;
		if (violation) {
			broken = (struct broken){.from = node, .to = to, .action = (uint8_t)i};
			return false;
		}
		if (!actions[i].cost) {
			edges = more(edges, edge_count, &edge_room, sizeof *edges);
			edges[edge_count++] = (struct edge){.to = to, .action = (uint8_t)i};
			nodes[node].edge_count++;
		}
	}
	return true;
}

static bool explore(unsigned faults)
{
	static const struct state first;
	count = edge_count = 0;
	transitions = 0;
	violation = NULL;
	memset(level_count, 0, sizeof level_count);
	memset(table, 0xff, table_size * sizeof *table);
	reach(find(&first), NONE, 0, 0);
	for (unsigned cost = 0; cost <= faults; cost++) {
		for (uint32_t i = 0; i < level_count[cost]; i++) {
			uint32_t node = levels[cost][i];
			if (!nodes[node].expanded && !expand(node, faults)) {
				return false;
			}
		}
	}
	return true;
}

/* --- liveness: is there a way to go on for ever?
 * -------------------------------------------------- */

static bool waits(uint32_t node)
{
	const struct state *s = &states[node];
	return s->present ? !row_over(s) : !s->pruned;
}

static uint64_t enabled(uint32_t node)
{
	uint64_t fair = 0;
	for (uint32_t i = 0; i < nodes[node].edge_count; i++) {
		fair |= actions[edges[nodes[node].edges + i].action].fair;
	}
	return fair;
}

struct search {
	uint32_t *order, *low, *component, *stack, *path, *next;
	uint32_t stacked, depth, visited;
};

/*
 * The members of one strongly connected component, on top of the stack. Who stays in it for ever
 * is fair when nothing is left undone that could be done in every one of its states.
 */
static bool ends_fairly(struct search *s, uint32_t head)
{
	uint64_t always = UINT64_MAX, done = 0;
	uint32_t from = s->stacked, node;
	bool moves = false;
	do {
		node = s->stack[--from];
		s->component[node] = head;
	} while (node != head);
	for (uint32_t i = from; i < s->stacked; i++) {
		node = s->stack[i];
		always &= enabled(node);
		for (uint32_t j = 0; j < nodes[node].edge_count; j++) {
			const struct edge *edge = &edges[nodes[node].edges + j];
			if (s->component[edge->to] == head) {
				done |= actions[edge->action].fair;
				moves = true;
			}
		}
	}
	s->stacked = from;
	return moves ? (always & ~done) != 0 : always != 0;
}

/* Tarjan's algorithm, without recursion. Returns a state of a component to stay in, or NONE. */
static uint32_t search_from(struct search *s, uint32_t root)
{
	s->path[s->depth++] = root;
	while (s->depth) {
		uint32_t node = s->path[s->depth - 1];
		if (!s->order[node]) {
			s->order[node] = s->low[node] = ++s->visited;
			s->stack[s->stacked++] = node;
		}
		if (s->next[node] < nodes[node].edge_count) {
			uint32_t to = edges[nodes[node].edges + s->next[node]++].to;
			if (!waits(to)) {
				continue;
			}
			if (!s->order[to]) {
				s->path[s->depth++] = to;
			} else if (s->component[to] == NONE && s->order[to] < s->low[node]) {
				s->low[node] = s->order[to];
			}
			continue;
		}
		if (s->low[node] == s->order[node] && !ends_fairly(s, node)) {
			return node;
		}
		s->depth--;
		if (s->depth) {
			uint32_t up = s->path[s->depth - 1];
			s->low[up] = s->low[node] < s->low[up] ? s->low[node] : s->low[up];
		}
	}
	return NONE;
}

static bool always_ends(void)
{
	uint32_t *space = calloc(count, 6 * sizeof *space);
	if (!space) {
		exit(2);
	}
	struct search s = {space, space + count, space + 2 * (size_t)count,
	        space + 3 * (size_t)count, space + 4 * (size_t)count, space + 5 * (size_t)count, 0,
	        0, 0};
	memset(s.component, 0xff, count * sizeof *s.component);
	uint32_t found = NONE;
	for (uint32_t i = 0; i < count && found == NONE; i++) {
		if (waits(i) && !s.order[i]) {
			found = search_from(&s, i);
		}
	}
	free(space);
	if (found != NONE) {
		violate("I8: without further faults, the job need not end");
		broken = (struct broken){.from = found, .to = NONE};
	}
	return found == NONE;
}

/* --- what was found
 * --------------------------------------------------------------------------------- */

static void print_step(uint8_t number, const struct state *s)
{
	const struct action *action = &actions[number];
	char who[32] = "";
	if (action->kind >= OF_WORKERS) {
		snprintf(who, sizeof who, "worker %c%s", 'A' + action->worker,
		        kinds[action->kind].name[0] == '\'' ? "" : " ");
	}
	printf("    %s%s%s\n", who, kinds[action->kind].name, behaviours[action->behaviour]);
	printf("        %s, lease %u, %u left, committed %u, ended %u%s\n",
	        s->present ? job_state_name((enum job_state)s->job) : "no job", s->seq, s->left,
	        s->committed, s->finished, s->cancel_requested ? ", to be cancelled" : "");
}

static unsigned print_way(uint32_t node, bool show)
{
	if (nodes[node].parent == NONE) {
		return 0;
	}
	unsigned steps = print_way(nodes[node].parent, show) + 1;
	if (show) {
		print_step(nodes[node].action, &states[node]);
	}
	return steps;
}

/* How it came to the violation; returns in how many steps. */
static unsigned print_broken(bool show)
{
	unsigned steps = print_way(broken.from, show);
	if (broken.to != NONE && show) {
		print_step(broken.action, &states[broken.to]);
	}
	return steps + (broken.to != NONE);
}

static bool holds(const char *name, unsigned faults)
{
	bool good = explore(faults) && always_ends();
	printf("%s: %u states, %llu transitions, up to %u faults: %s\n", name, count,
	        (unsigned long long)transitions, faults,
	        good ? "every invariant holds" : violation);
	if (!good) {
		print_broken(true);
	}
	fflush(stdout);
	return good;
}

static const char *const mutant_names[MUTANTS] = {
        [NO_FENCE_IN_FINISH] = "finish without a fence",
        [NO_FENCE_IN_COMMIT] = "commit without a fence",
        [NO_FENCE_IN_HEARTBEAT] = "heartbeat without a fence",
        [NO_NEW_LEASE_SEQ] = "a claim keeps lease_seq",
        [NO_IDEMPOTENCY] = "a key is not unique",
        [COMMIT_IN_SPITE_OF_CANCEL] = "commit in spite of a cancellation",
        [COMPLETE_IN_SPITE_OF_CANCEL] = "complete in spite of a cancellation",
        [CANCEL_IN_SPITE_OF_COMMIT] = "cancel in spite of a commit",
        [COMMITTED_IS_GIVEN_UP] = "a committed job is given up",
        [PUBLISH_BEFORE_COMMIT] = "publish without a commit",
        [PUBLISH_OVERWRITES] = "publishing overwrites",
        [PUBLISH_OWN_STAGE] = "publish one's own stage, not the committed one",
        [DISCARD_WHILE_UNKNOWN] = "discard what may be committed",
        [NO_STOP_BEFORE_LEASE_END] = "a child is not stopped before its lease ends",
        [CHILD_OUTLIVES_WORKER] = "a child outlives its worker",
        [NO_TAKING_OVER] = "expired leases are not taken over",
        [DROP_RECORDS_UNANSWERED] = "remove the records of a result that may be stored",
        [PRUNE_WHAT_IS_NOT_OVER] = "prune a job that is not over",
};

static bool breaks(unsigned faults, bool staged)
{
	staged_job = staged;
	return !explore(faults) || !always_ends();
}

static bool kills(unsigned faults)
{
	bool good = breaks(faults, true) || breaks(faults, false);
	if (good) {
		printf("killed: %s: %s, in %u steps\n", mutant_names[mutant], violation,
		        print_broken(false));
	} else {
		printf("SURVIVES: %s\n", mutant_names[mutant]);
	}
	fflush(stdout);
	return good;
}

int main(int argc, char **argv)
{
	unsigned faults = argc > 1 ? (unsigned)(argv[1][0] - '0') : 2, killed = 0;
	if (argc > 2 || faults > FAULTS_MAX || (argc > 1 && argv[1][1])) {
		fprintf(stderr, "usage: explore [FAULTS], 0 to %d\n", FAULTS_MAX);
		return 2;
	}
	list_actions();
	grow_table();
	bool good = holds("a job without files", faults);
	staged_job = true;
	good &= holds("a job that writes files", faults);
	for (unsigned i = NO_MUTANT + 1; i < MUTANTS; i++) {
		mutant = (enum mutant)i;
		killed += kills(faults);
	}
	printf("%u of %u mutants killed\n", killed, MUTANTS - 1);
	return !good || killed != MUTANTS - 1;
}
