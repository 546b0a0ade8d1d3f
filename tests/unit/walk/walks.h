/*
 * Walks over the file system in memory (fake.h, and later.h when run.later is set): the visitor
 * that keeps the book, what must hold of every walk, and the tests that hold for each way of
 * listing.
 */
#ifndef TESTS_UNIT_WALK_WALKS_H
#define TESTS_UNIT_WALK_WALKS_H

#include "../tap.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "walk/walk.h"

#include "later.h"

struct seen {
	struct walk_thread *thread;
	uint64_t entries, errors;
};

/* What a walk is to be like, and what came of it. */
static struct {
	unsigned threads;
	unsigned chosen, asked, team; /* chosen: by config.team; 0: there is none */
	bool grows;                   /* the team, whenever it is asked */
	atomic_uint enter_us;         /* how long a directory takes */
	bool slow, one_file_system, paths;
	bool later;   /* pages come later */
	long stop_at; /* entry; 0: never */
	atomic_int stop;
	atomic_long entries, doubled, misnamed, unknown, early, live, peak_live;
	struct walk_ledger ledger;
	uint64_t errors;
	unsigned want;
	bool complete;
	int code;
} run = {.want = META_SIZE};

/* The wall clock: an hour ahead until it is set right. Somebody who waits has asked a clock. */
static struct {
	atomic_bool ahead, asked;
} wall;

int clock_gettime(clockid_t id, struct timespec *now)
{
	int result = (int)syscall(SYS_clock_gettime, id, now);
	atomic_store(&wall.asked, true);
	now->tv_sec += atomic_load(&wall.ahead) && id == CLOCK_REALTIME ? 3600 : 0;
	return result;
}

static struct node **node_of(struct walk_dir *dir)
{
	return walk_dir_data(dir);
}

/* Its name behind those of all above it. */
static bool path_is_right(const struct walk_entry *entry, const struct node *node)
{
	char wanted[128], *at = wanted + sizeof wanted;
	const char *dir, *name, *below;
	size_t dir_len, name_len, below_len;
	for (const struct node *n = node; n->parent; n = n->parent) {
		size_t len = strlen(n->name);
		at -= len + (n != node);
		memcpy(at, n->name, len);
		if (n != node) {
			at[len] = '/';
		}
	}
	size_t len = (size_t)(wanted + sizeof wanted - at);
	below = walk_entry_relative(entry, &below_len);
	bool right = below && below_len == len && memcmp(below, at, len) == 0 && !below[len];
	right = right && walk_entry_path(entry, &dir, &dir_len, &name, &name_len);
	if (entry->is_root) {
		return right && dir_len == 0 && name_len == 4 && memcmp(name, "fake", 4) == 0;
	}
	return right && dir_len + name_len == len + 5 && memcmp(dir, "fake/", 5) == 0 &&
	       memcmp(dir + 5, at, dir_len - 5) == 0 &&
	       memcmp(name, at + dir_len - 5, name_len) == 0;
}

static bool on_entry(void *context, const struct walk_entry *entry)
{
	struct seen *seen = context;
	seen->entries++;
	if (atomic_fetch_add(&run.entries, 1) + 1 == run.stop_at) {
		while (atomic_load(&wall.ahead) && !atomic_load(&wall.asked)) {
			usleep(1000);
		}
		atomic_store(&run.stop, 1);
	}
	bool sized = (entry->meta->have & META_SIZE) || !run.want;
	atomic_fetch_add(&run.unknown, !sized);
	uint64_t ino = entry->is_root ? 1 : entry->ino;
	if (ino) {
		struct node *node = &fake.node[ino - 1];
		if (atomic_fetch_add(&node->reported, 1) || node->type != entry->type) {
			atomic_fetch_add(&run.doubled, 1);
		}
		if (run.paths && !path_is_right(entry, node)) {
			atomic_fetch_add(&run.misnamed, 1);
		}
		if (entry->self) {
			*node_of(entry->self) = node;
			long live = atomic_fetch_add(&run.live, 1) + 1;
			if (live > atomic_load(&run.peak_live)) {
				atomic_store(&run.peak_live, live);
			}
		}
	}
	return ino % 2 == 0;
}

/* A directory is left once, and after all that is below it. */
static void on_leave(void *context, struct walk_dir *dir)
{
	(void)context;
	struct node *node = *node_of(dir);
	if (!node) {
		return;
	}
	atomic_fetch_sub(&run.live, 1);
	if (atomic_fetch_add(&node->left, 1) ||
	        (node->parent && atomic_load(&node->parent->left))) {
		atomic_fetch_add(&run.early, 1);
	}
}

static void on_error(void *context, const struct record *error)
{
	(void)error;
	((struct seen *)context)->errors++;
}

static void on_enter(void *context, struct walk_dir *dir, int handle)
{
	(void)context, (void)dir, (void)handle;
	unsigned us = atomic_load(&run.enter_us);
	if (us) {
		usleep(us);
	}
}

static void nothing(void *context)
{
	(void)context;
}

static void *begin(void *shared, struct walk_thread *thread)
{
	(void)shared;
	struct seen *seen = calloc(1, sizeof *seen);
	if (seen) {
		seen->thread = thread;
	}
	return seen;
}

static const struct walk_visitor visitor = {
        .enter = on_enter,
        .entry = on_entry,
        .leave = on_leave,
        .error = on_error,
        .breathe = nothing,
        .idle = nothing,
};

static unsigned choose(void *shared, unsigned now)
{
	(void)shared;
	if (now) {
		return run.grows ? 2 * now : now;
	}
	atomic_store(&run.enter_us, run.grows ? 500 : 0);
	run.asked++;
	return run.chosen;
}

/* Walk what fake holds. */
static void walk(void)
{
	struct spec spec;
	struct vega_error err;
	struct walk *w = NULL;
	spec_init(&spec);
	spec.operations = SPEC_SUMMARIZE;
	spec.one_file_system = run.one_file_system;
	strlist_add(&spec.roots, "fake");
	struct fs_trees *trees = NULL;
	const struct fs_setting setting = {
	        .roots = &spec.roots, .given = run.later ? &later_tree : &fake_tree};
	if (fs_trees_new(&setting, &trees, &err) != 0) {
		abort();
	}
	struct walk_config config = {.spec = &spec,
	        .trees = trees,
	        .want = run.want,
	        .slow_entries = run.slow,
	        .dir_data_size = sizeof(struct node *),
	        .threads = run.threads,
	        .team = run.chosen ? choose : NULL,
	        .visitor = &visitor,
	        .thread_begin = begin,
	        .stop = &run.stop};
	atomic_store(&run.stop, 0);
	atomic_store(&run.entries, 0);
	atomic_store(&run.doubled, 0);
	atomic_store(&run.misnamed, 0);
	atomic_store(&run.unknown, 0);
	atomic_store(&fake.stats, 0);
	atomic_store(&run.early, 0);
	atomic_store(&run.live, 0);
	atomic_store(&run.peak_live, 0);
	atomic_store(&fake.calls, 0);
	atomic_store(&fake.opens, 0);
	atomic_store(&fake.failed, 0);
	run.errors = run.asked = 0;
	for (size_t i = 0; i < fake.count; i++) {
		atomic_store(&fake.node[i].reported, 0);
		atomic_store(&fake.node[i].left, 0);
		atomic_store(&fake.node[i].broken, false);
	}
	if (run.later) {
		later_begin();
	}
	run.code = walk_new(&config, &w, &err);
	run.code = run.code ? run.code : walk_run(w, &run.complete, &err);
	run.team = walk_thread_count(w);
	for (unsigned i = 0; i < run.team; i++) {
		struct seen *seen = walk_thread_context(walk_thread_at(w, i));
		run.errors += seen->errors;
		free(seen);
	}
	walk_ledger(w, &run.ledger);
	walk_free(w);
	if (run.later) {
		later_end();
	}
	fs_trees_free(trees);
	spec_release(&spec);
}

/* Nodes that were not reported although nothing on the way to them has failed. */
static uint64_t lost(uint64_t *missing)
{
	uint64_t count = 0;
	*missing = 0;
	for (size_t i = 0; i < fake.count; i++) {
		struct node *node = &fake.node[i];
		if (atomic_load(&node->reported)) {
			continue;
		}
		++*missing;
		while (node && !atomic_load(&node->broken)) {
			node = node->parent;
		}
		count += !node;
	}
	return count;
}

/* What holds of every walk that was not stopped. Returns the first thing that does not. */
static const char *violation(void)
{
	const struct walk_ledger *l = &run.ledger;
	uint64_t missing, unexplained = lost(&missing);
	return run.code                                              ? "a fatal error"
	       : l->entries != l->reported + l->filtered + l->errors ? "the ledger does not balance"
	       : l->errors != run.errors         ? "errors counted, not reported"
	       : atomic_load(&run.doubled)       ? "an entry came twice"
	       : atomic_load(&run.misnamed)      ? "an entry has another path"
	       : atomic_load(&run.unknown)       ? "an entry without its size"
	       : atomic_load(&run.early)         ? "a directory was left early or twice"
	       : atomic_load(&run.live)          ? "a directory was never left"
	       : atomic_load(&fake.open_handles) ? "a handle was left open"
	       : atomic_load(&later.pages)       ? "a page was not freed"
	       : atomic_load(&fake.misuse)       ? "the backend was misused"
	       : !run.complete                   ? "not complete"
	       : unexplained                     ? "an entry was lost"
	       : missing && !l->errors           ? "an entry is missing without an error"
	                                         : NULL;
}

static void sound(const char *what)
{
	const char *wrong = violation();
	if (!ok(!wrong, "%s, %u threads", what, run.threads)) {
		printf("# %s: %llu entries, %llu errors\n", wrong,
		        (unsigned long long)run.ledger.entries,
		        (unsigned long long)run.ledger.errors);
	}
}

/* Three levels of directories, and files in each. */
static void bushy(void)
{
	struct node *root = fake_begin(4000);
	struct node *top = fake_fill(root, 9, FILE_DIRECTORY);
	root->files = 20;
	for (unsigned i = 0; i < 9; i++) {
		struct node *mid = fake_fill(&top[i], 6, FILE_DIRECTORY);
		top[i].files = i;
		for (unsigned j = 0; j < 6; j++) {
			fake_fill(&mid[j], 30, j % 2 ? FILE_REGULAR : FILE_DIRECTORY);
		}
	}
}

static const unsigned team[] = {1, 2, 16};
#define TEAMS (sizeof team / sizeof *team)

static void test_whole(void)
{
	for (unsigned i = 0; i < TEAMS * 8; i++) {
		run.threads = team[i % TEAMS];
		run.slow = i / TEAMS & 1;
		fake.untyped = i / TEAMS & 2;
		run.one_file_system = i / TEAMS & 4;
		run.paths = true;
		fake.batch = i % 5 ? 7 : FS_BATCH;
		bushy();
		walk();
		sound(run.slow ? "all that is there, slowly" : "all that is there");
		is_int(run.ledger.entries, fake.count + 20 + 36, "each entry once");
		is_int(run.ledger.errors, 0, "no error");
	}
	run.slow = fake.untyped = run.one_file_system = run.paths = false;
}

/* Of what the listing says, nothing is asked again; of what it does not, all is. */
static void test_listed(void)
{
	for (unsigned i = 0; i < TEAMS * 4; i++) {
		run.threads = team[i % TEAMS];
		run.slow = i / TEAMS & 1;
		run.want = i / TEAMS & 2 ? META_SIZE | META_MTIME : META_SIZE;
		fake.lists = META_SIZE;
		bushy();
		long silent = 20 + 36; /* the plain files, and each second node but the root */
		for (size_t node = 1; node < fake.count; node++) {
			silent += fake_ino(&fake.node[node]) % 2 == 0;
		}
		long all = (long)fake.count - 1 + 20 + 36;
		walk();
		sound("listings that know sizes");
		is_int(atomic_load(&fake.stats), run.want == META_SIZE ? silent : all,
		        "only what lacks something is stat'ed");
	}
	fake.lists = 0;
	run.want = META_SIZE;
	run.slow = false;
}

/* Every call fails once, or each `step`-th; the first time, each `first`-th. One more walk each, so
 * the walks are small. */
static void test_each_failure(long first, long step_after, unsigned least)
{
	static const int errors[] = {EIO, EACCES, ENOENT, ENOMEM, ESTALE, EMFILE};
	unsigned sites = 0;
	for (unsigned i = 0; i < TEAMS * 4; i++) {
		run.threads = team[i % TEAMS];
		run.slow = i / TEAMS & 1;
		fake.untyped = i / TEAMS & 2;
		bushy();
		fake.fail_at = 0;
		walk();
		long calls = atomic_load(&fake.calls);
		const char *wrong = NULL;
		long step = i ? step_after : first, at = 1 + (long)i % step;
		for (; at <= calls && !wrong; at += step) {
			fake.fail_at = at;
			fake.fail_with = errors[(unsigned long)at % 6];
			walk();
			wrong = violation();
			sites += atomic_load(&fake.failed) == 1;
		}
		ok(!wrong, "each of %ld calls fails once, %u threads%s%s", calls, run.threads,
		        run.slow ? ", slow" : "", fake.untyped ? ", without types" : "");
		if (wrong) {
			printf("# call %ld, %s: %s\n", at - step, strerrorname_np(fake.fail_with),
			        wrong);
		}
		fake.fail_at = 0;
	}
	ok(sites > least, "%u calls have failed", sites);
	run.slow = fake.untyped = false;
}

/* How many threads a large walk begins with is asked once; a small one asks nobody. */
static void test_chosen_team(void)
{
	static const unsigned chosen[] = {1, 3, 16, 400};
	run.threads = 16;
	for (unsigned i = 0; i < 8; i++) {
		run.chosen = chosen[i / 2];
		run.slow = i % 2;
		bushy();
		walk();
		sound("a team of another size");
		is_int(run.asked, 1, "asked once");
		is_int(run.team, run.chosen < 16 ? run.chosen : 16, "as many as were chosen");
	}
	run.slow = false;
	run.chosen = 2;
	run.grows = true;
	struct node *wide = fake_fill(fake_begin(4000), 20, FILE_DIRECTORY);
	for (unsigned i = 0; i < 20; i++) {
		fake_fill(&wide[i], 150, FILE_DIRECTORY);
	}
	walk();
	sound("a team that grows");
	is_int(run.team, 16, "to its limit");
	run.grows = false;
	atomic_store(&run.enter_us, 0);
	fake_fill(fake_begin(100), 99, FILE_REGULAR);
	walk();
	sound("a small tree");
	ok(run.asked == 0 && run.team == 1, "nobody is asked for a team");
	run.chosen = 0;
}

static void test_stop(void)
{
	bushy();
	for (unsigned i = 0; i < TEAMS * 2; i++) {
		run.threads = team[i % TEAMS];
		run.slow = i >= TEAMS;
		const char *wrong = NULL;
		for (run.stop_at = 1; run.stop_at < 1700 && !wrong;
		        run.stop_at += run.later ? 97 : 13) {
			walk();
			const struct walk_ledger *l = &run.ledger;
			wrong = run.complete ? "complete"
			        : l->entries != l->reported + l->filtered + l->errors
			                ? "the ledger does not balance"
			        : atomic_load(&run.live)          ? "a directory was never left"
			        : atomic_load(&fake.open_handles) ? "a handle was left open"
			        : atomic_load(&later.pages)       ? "a page was not freed"
			        : l->errors                       ? "errors"
			                                          : NULL;
		}
		run.stop_at = 0;
		ok(!wrong, "stopped anywhere, %u threads%s: %s", run.threads,
		        run.slow ? ", slow" : "", wrong ? wrong : "accounts for what it saw");
	}
	run.slow = false;
}

#endif
