#include "fs/limited.h"

#include <time.h>

#include "base/clock.h"
#include "base/rate.h"

#define SLEEP_NS ((uint64_t)20 * 1000000) /* how soon a stop is seen */

static struct {
	uint64_t per_second; /* 0: no ceiling */
	const atomic_int *stop;
	struct rate rate;
	unsigned serial; /* of this ceiling: loans of an earlier one are void */
} ceiling;

/* Turns that this thread has taken and not used. */
static _Thread_local struct {
	uint64_t left;
	unsigned serial;
} loan;

void fs_limit(uint64_t per_second, const atomic_int *stop)
{
	ceiling.per_second = per_second;
	ceiling.stop = stop;
	ceiling.serial++;
	if (per_second) {
		rate_init(&ceiling.rate, per_second, monotonic_ns());
	}
}

const struct backend *fs_here(void)
{
	return ceiling.per_second ? &fs_limited : &fs_local;
}

static bool stopping(void)
{
	return ceiling.stop && atomic_load_explicit(ceiling.stop, memory_order_relaxed);
}

static void sleep_until(uint64_t due)
{
	for (uint64_t now; (now = monotonic_ns()) < due && !stopping();) {
		uint64_t until = due - now < SLEEP_NS ? due : now + SLEEP_NS;
		const struct timespec at = {.tv_sec = (time_t)(until / 1000000000u),
		        .tv_nsec = (long)(until % 1000000000u)};
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
	}
}

/* Wait until so many calls may be made. */
static void wait_for(uint64_t calls)
{
	if (loan.serial != ceiling.serial) {
		loan.serial = ceiling.serial;
		loan.left = 0;
	}
	if (loan.left < calls && !stopping()) {
		uint64_t lent = ceiling.per_second / 100;
		lent = lent < LIMITED_LOAN ? lent : LIMITED_LOAN;
		uint64_t wanted = calls - loan.left;
		wanted = wanted > lent ? wanted : lent;
		sleep_until(rate_take(&ceiling.rate, wanted, monotonic_ns()));
		loan.left += wanted;
	}
	loan.left -= loan.left < calls ? loan.left : calls;
}

static int limited_open_root(
        const char *path, const struct strlist *allowed, struct file_meta *meta, char **name)
{
	wait_for(2);
	return fs_local.open_root(path, allowed, meta, name);
}

static int limited_open_dir(int parent, const char *name, struct file_meta *meta)
{
	wait_for(meta ? 2 : 1);
	return fs_local.open_dir(parent, name, meta);
}

/* What is left of the last read costs nothing. */
static int limited_list(int dir, struct fs_cursor *cursor, struct fs_batch *batch)
{
	if (cursor->at == cursor->filled) {
		wait_for(1);
	}
	return fs_local.list(dir, cursor, batch);
}

static void limited_stat(int dir, struct fs_entry *entry, struct file_meta *meta, unsigned from,
        unsigned to, unsigned want)
{
	unsigned calls = 0;
	for (unsigned i = from; i < to; i++) {
		calls += entry[i].error != FS_SKIP_STAT;
	}
	wait_for(calls);
	fs_local.stat(dir, entry, meta, from, to, want);
}

static int limited_open_file(int dir, const char *name, struct file_meta *meta)
{
	wait_for(2);
	return fs_local.open_file(dir, name, meta);
}

static ssize_t limited_read(int file, void *bytes, size_t len, uint64_t offset)
{
	wait_for(1);
	return fs_local.read(file, bytes, len, offset);
}

static int limited_identity(int dir, uint64_t id[2])
{
	wait_for(2);
	return fs_local.identity(dir, id);
}

static int limited_stat_handle(int handle, struct file_meta *meta)
{
	wait_for(1);
	return fs_local.stat_handle(handle, meta);
}

static void limited_close(int handle)
{
	fs_local.close(handle);
}

const struct backend fs_limited = {
        .scheme = "file",
        .caps = FS_HAS_TYPES | FS_RANDOM_READ,
        .open_root = limited_open_root,
        .open_dir = limited_open_dir,
        .list = limited_list,
        .stat = limited_stat,
        .open_file = limited_open_file,
        .read = limited_read,
        .identity = limited_identity,
        .stat_handle = limited_stat_handle,
        .close = limited_close,
};
