/* A walk of real directories: what the local tree's listings say that they know. */
#include "../tap.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "walk/walk.h"

#define FILES 700

static atomic_uint entries, wrong;
static unsigned want;

static bool on_entry(void *context, const struct walk_entry *entry)
{
	(void)context;
	atomic_fetch_add(&entries, 1);
	atomic_fetch_add(&wrong, !entry->is_root && entry->meta->have != want);
	return true;
}

static void on_error(void *context, const struct record *error)
{
	(void)context, (void)error;
	atomic_fetch_add(&wrong, 1);
}

static void nothing(void *context)
{
	(void)context;
}

static void *begin(void *shared, struct walk_thread *thread)
{
	(void)thread;
	return shared;
}

static void walk(const char *dir, unsigned threads, bool slow)
{
	static const struct walk_visitor visitor = {
	        .entry = on_entry, .error = on_error, .breathe = nothing, .idle = nothing};
	struct spec spec;
	struct vega_error err;
	struct fs_trees *trees = NULL;
	struct walk *w = NULL;
	bool complete = false;
	spec_init(&spec);
	strlist_add(&spec.roots, dir);
	const struct fs_setting setting = {.roots = &spec.roots};
	int code = fs_trees_new(&setting, &trees, &err);
	struct walk_config config = {.spec = &spec,
	        .trees = trees,
	        .want = want,
	        .slow_entries = slow,
	        .threads = threads,
	        .visitor = &visitor,
	        .thread_begin = begin,
	        .shared = &entries};
	atomic_store(&entries, 0);
	atomic_store(&wrong, 0);
	code = code ? code : walk_new(&config, &w, &err);
	code = code ? code : walk_run(w, &complete, &err);
	ok(code == 0 && complete && atomic_load(&entries) == FILES + 2 && atomic_load(&wrong) == 0,
	        "`have` is what was asked for, %#x: %u threads%s (%u of %u are wrong)", want,
	        threads, slow ? ", slow" : "", atomic_load(&wrong), atomic_load(&entries));
	walk_free(w);
	fs_trees_free(trees);
	spec_release(&spec);
}

int main(void)
{
	char dir[] = "/tmp/vega-walk-XXXXXX", path[64];
	mallopt(M_PERTURB, 0x5a); /* memory that is not set has every bit of `have` in some byte */
	if (!mkdtemp(dir) || chdir(dir) != 0 || mkdir("sub", 0700) != 0) {
		return 1;
	}
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(path, sizeof path, "sub/%u", i);
		close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	}
	for (unsigned i = 0; i < 8; i++) {
		want = i & 1 ? META_SIZE | META_MODE : 0;
		walk(dir, i & 2 ? 4 : 1, i & 4);
	}
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(path, sizeof path, "sub/%u", i);
		unlink(path);
	}
	rmdir("sub");
	rmdir(dir);
	return done();
}
