/* The tree that --max-iops puts in front of others: every call waits for its turn. */
#include "fs/limited.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/rate.h"

#define SLEEP_NS ((uint64_t)20 * 1000000) /* how soon a stop is seen */

struct fs_ceiling {
	uint64_t per_second;
	const atomic_int *stop;
	struct rate rate;
	unsigned serial; /* loans of another ceiling are void */
};

struct limited {
	struct fs_tree tree;
	struct fs_tree *behind;
	struct fs_ceiling *ceiling;
};

/* Turns that this thread has taken and not used, and of which ceiling. */
static _Thread_local struct {
	uint64_t left;
	unsigned serial;
} loan;

struct fs_ceiling *fs_ceiling_new(uint64_t per_second, const atomic_int *stop)
{
	static atomic_uint last_serial;
	struct fs_ceiling *ceiling = malloc(sizeof *ceiling);
	if (ceiling) {
		*ceiling = (struct fs_ceiling){.per_second = per_second,
		        .stop = stop,
		        .serial = atomic_fetch_add(&last_serial, 1) + 1};
		rate_init(&ceiling->rate, per_second, monotonic_ns());
	}
	return ceiling;
}

void fs_ceiling_free(struct fs_ceiling *ceiling)
{
	free(ceiling);
}

static inline struct limited *limited(struct fs_tree *tree)
{
	return (struct limited *)(void *)tree;
}

static bool stopping(const struct fs_ceiling *ceiling)
{
	return ceiling->stop && atomic_load_explicit(ceiling->stop, memory_order_relaxed);
}

static void sleep_until(const struct fs_ceiling *ceiling, uint64_t due)
{
	for (uint64_t now; (now = monotonic_ns()) < due && !stopping(ceiling);) {
		uint64_t until = due - now < SLEEP_NS ? due : now + SLEEP_NS;
		const struct timespec at = {.tv_sec = (time_t)(until / 1000000000u),
		        .tv_nsec = (long)(until % 1000000000u)};
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
	}
}

/* Wait until so many calls may be made, and return the tree to make them to. */
static struct fs_tree *wait_for(struct fs_tree *tree, uint64_t calls)
{
	struct fs_ceiling *ceiling = limited(tree)->ceiling;
	if (loan.serial != ceiling->serial) {
		loan.serial = ceiling->serial;
		loan.left = 0;
	}
	if (loan.left < calls && !stopping(ceiling)) {
		uint64_t lent = ceiling->per_second / 100;
		lent = lent < LIMITED_LOAN ? lent : LIMITED_LOAN;
		uint64_t wanted = calls - loan.left;
		wanted = wanted > lent ? wanted : lent;
		sleep_until(ceiling, rate_take(&ceiling->rate, wanted, monotonic_ns()));
		loan.left += wanted;
	}
	loan.left -= loan.left < calls ? loan.left : calls;
	return limited(tree)->behind;
}

static char *limited_resolve(struct fs_tree *tree, const char *root)
{
	struct fs_tree *behind = limited(tree)->behind;
	return behind->backend->resolve(behind, root);
}

static enum medium limited_medium(struct fs_tree *tree, const char *root, struct buf *name)
{
	struct fs_tree *behind = limited(tree)->behind;
	return behind->backend->medium(behind, root, name);
}

static uint64_t limited_expect(struct fs_tree *tree, const char *root, bool one_file_system)
{
	struct fs_tree *behind = limited(tree)->behind;
	return behind->backend->expect(behind, root, one_file_system);
}

static int limited_open_root(struct fs_tree *tree, const char *path, const struct strlist *allowed,
        struct file_meta *meta, char **name)
{
	struct fs_tree *behind = wait_for(tree, 2);
	return behind->backend->open_root(behind, path, allowed, meta, name);
}

static int limited_open_dir(
        struct fs_tree *tree, int parent, const char *name, struct file_meta *meta)
{
	struct fs_tree *behind = wait_for(tree, meta ? 2 : 1);
	return behind->backend->open_dir(behind, parent, name, meta);
}

static int limited_open_parent(struct fs_tree *tree, int dir, struct file_meta *meta)
{
	if (!limited(tree)->behind->backend->open_parent) {
		return -ENOTSUP;
	}
	struct fs_tree *behind = wait_for(tree, meta ? 2 : 1);
	return behind->backend->open_parent(behind, dir, meta);
}

/* What is left of the last read costs nothing. */
static int limited_list(
        struct fs_tree *tree, int dir, struct fs_cursor *cursor, struct fs_batch *batch)
{
	struct fs_tree *behind = wait_for(tree, cursor->at == cursor->filled);
	return behind->backend->list(behind, dir, cursor, batch);
}

static int limited_list_start(struct fs_tree *tree, int dir, struct fs_sink *sink)
{
	struct fs_tree *behind = wait_for(tree, 1);
	return behind->backend->list_start(behind, dir, sink);
}

static void limited_list_cancel(struct fs_tree *tree)
{
	struct fs_tree *behind = limited(tree)->behind;
	behind->backend->list_cancel(behind);
}

static void limited_page_free(struct fs_tree *tree, struct fs_page *page)
{
	struct fs_tree *behind = limited(tree)->behind;
	behind->backend->page_free(behind, page);
}

static void limited_stat(struct fs_tree *tree, int dir, struct fs_entry *entry,
        struct file_meta *meta, unsigned from, unsigned to, unsigned want)
{
	unsigned calls = 0;
	for (unsigned i = from; i < to; i++) {
		calls += entry[i].error != FS_SKIP_STAT;
	}
	struct fs_tree *behind = wait_for(tree, calls);
	behind->backend->stat(behind, dir, entry, meta, from, to, want);
}

static int limited_open_file(
        struct fs_tree *tree, int dir, const char *name, struct file_meta *meta)
{
	struct fs_tree *behind = wait_for(tree, 2);
	return behind->backend->open_file(behind, dir, name, meta);
}

static ssize_t limited_read(
        struct fs_tree *tree, int file, void *bytes, size_t len, uint64_t offset)
{
	struct fs_tree *behind = wait_for(tree, 1);
	return behind->backend->read(behind, file, bytes, len, offset);
}

static int limited_identity(struct fs_tree *tree, int dir, uint64_t id[2])
{
	if (!limited(tree)->behind->backend->identity) {
		return -ENOTSUP;
	}
	struct fs_tree *behind = wait_for(tree, 2);
	return behind->backend->identity(behind, dir, id);
}

static int limited_stat_handle(struct fs_tree *tree, int handle, struct file_meta *meta)
{
	struct fs_tree *behind = wait_for(tree, 1);
	return behind->backend->stat_handle(behind, handle, meta);
}

static unsigned limited_group_rights(struct fs_tree *tree, int handle)
{
	struct fs_tree *behind = wait_for(tree, 1);
	return behind->backend->group_rights ? behind->backend->group_rights(behind, handle) : 7;
}

static void limited_close(struct fs_tree *tree, int handle)
{
	struct fs_tree *behind = limited(tree)->behind;
	behind->backend->close(behind, handle);
}

/* No row of backends[], so there is nothing to make one by: fs_limited_new() does. */
static const struct backend fs_limited = {
        .scheme = "",
        .resolve = limited_resolve,
        .medium = limited_medium,
        .expect = limited_expect,
        .open_root = limited_open_root,
        .open_dir = limited_open_dir,
        .open_parent = limited_open_parent,
        .list = limited_list,
        .list_start = limited_list_start,
        .list_cancel = limited_list_cancel,
        .page_free = limited_page_free,
        .stat = limited_stat,
        .open_file = limited_open_file,
        .read = limited_read,
        .identity = limited_identity,
        .stat_handle = limited_stat_handle,
        .group_rights = limited_group_rights,
        .close = limited_close,
};

struct fs_tree *fs_limited_new(struct fs_tree *behind, struct fs_ceiling *ceiling)
{
	struct limited *front = malloc(sizeof *front);
	if (!front) {
		return NULL;
	}
	*front = (struct limited){
	        .tree = {.backend = &fs_limited, .caps = behind->caps, .fields = behind->fields},
	        .behind = behind,
	        .ceiling = ceiling};
	return &front->tree;
}

void fs_limited_free(struct fs_tree *tree)
{
	free(limited(tree));
}

struct fs_tree *fs_limited_behind(const struct fs_tree *tree)
{
	return ((const struct limited *)(const void *)tree)->behind;
}
