/* The SQLite store's file: made once, guarded, and never silently made again. */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/mount.h>

#include "contract.h"

static struct vega_error err;
static char directory[300], path[400];

/* The store is this file of the check's directory. */
static void point_at(const char *file)
{
	static char url[sizeof path + 8];
	snprintf(path, sizeof path, "%s/%s", directory, file);
	snprintf(url, sizeof url, "sqlite:%s", path);
	contract_url = url;
}

/* Each check has a directory of its own, with or without a store with one job in it. */
static void begin(const char *name)
{
	snprintf(directory, sizeof directory, "%s/%s", contract_dir, name);
	mkdir(directory, 0777);
	point_at("jobs.db");
}

static void begin_with_job(const char *name)
{
	begin(name);
	struct store *store = open_store();
	submit_to(store, "q");
	close_store(store);
}

static void refuses(int code, const char *word, const char *name)
{
	struct store *store = NULL;
	int rc = store_open(contract_url, 300, &store, &err);
	if (rc == 0) {
		close_store(store);
		err.text[0] = '\0';
	}
	if (!ok(rc == code && strstr(err.text, word) && strstr(err.text, path), "%s", name)) {
		printf("# %d %s\n", rc, err.text);
	}
}

static void poke(off_t at, const char *bytes)
{
	int fd = open(path, O_WRONLY);
	if (fd < 0 || pwrite(fd, bytes, strlen(bytes), at) < 0) {
		give_up("poke", NULL);
	}
	close(fd);
}

static void sql(const char *text)
{
	sqlite3 *db = NULL;
	if (sqlite3_open(path, &db) || sqlite3_exec(db, text, NULL, NULL, NULL)) {
		give_up(text, NULL);
	}
	sqlite3_close(db);
}

static void is_private(void)
{
	struct stat st;
	mode_t old = umask(0);
	begin("private");
	point_at("a/b/jobs.db");
	close_store(open_store());
	umask(old);
	ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600,
	        "a new store's file is its owner's alone");
	point_at("a");
	ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0700,
	        "a new store's directories are its owner's alone");
}

static bool open_and_submit(unsigned number, void *context)
{
	(void)number;
	(void)context;
	struct store *store = open_with(60000);
	submit_to(store, "q");
	close_store(store);
	return true;
}

static int count_job(const struct job *job, void *context)
{
	(void)job;
	++*(unsigned *)context;
	return 0;
}

static unsigned count_jobs(struct store *store)
{
	unsigned count = 0;
	struct store_filter all = {0};
	if (store->driver->list(store, &all, count_job, &count, &err)) {
		give_up("list", &err);
	}
	return count;
}

static void is_made_once(void)
{
	begin("once");
	is_int(together(20, open_and_submit, NULL), 20, "20 processes make the store at once");
	struct store *store = open_store();
	is_int(count_jobs(store), 20, "20 processes have the same store");
	close_store(store);
	char command[420];
	snprintf(command, sizeof command, "ls -A %s | grep -cv '^jobs.db\\(-.*\\)\\?$'", directory);
	char *left = line_of(command);
	is_str(left, NULL, "a new store leaves nothing else in its directory");
	free(left);
}

static void follows_links(void)
{
	begin_with_job("links");
	struct stat st;
	point_at("link.db");
	ok(symlink("jobs.db", path) == 0, "a link to a store is made");
	struct store *store = open_store();
	is_int(count_jobs(store), 1, "a link to a store opens it");
	close_store(store);
	ok(lstat(path, &st) == 0 && S_ISLNK(st.st_mode), "a link to a store stays a link");
	point_at("dangling.db");
	ok(symlink("nowhere", path) == 0, "a dangling link is made");
	refuses(VEGA_FATAL, "No such file", "is refused");
}

static void is_never_made_again(void)
{
	begin_with_job("truncated");
	ok(truncate(path, 0) == 0, "a store is truncated to nothing");
	refuses(VEGA_FATAL, "is empty", "to nothing");
	struct stat st;
	ok(stat(path, &st) == 0 && st.st_size == 0, "a truncated store is left as it is");

	begin_with_job("half");
	ok(stat(path, &st) == 0 && truncate(path, st.st_size / 2) == 0,
	        "a store is truncated to a half");
	refuses(VEGA_FATAL, "damaged", "to a half");
	begin_with_job("stub");
	ok(truncate(path, 50) == 0, "a store is truncated to 50 bytes");
	refuses(VEGA_FATAL, "is empty", "to less than a header");

	begin_with_job("foreign");
	poke(0, "%PDF-1.4 and so on");
	refuses(VEGA_FATAL, "no SQLite database", "a file of another kind");
	begin("other");
	sql("CREATE TABLE t (x)");
	refuses(VEGA_FATAL, "another program", "a database of another program");
	begin_with_job("newer");
	sql("PRAGMA user_version = 99");
	refuses(VEGA_FATAL, "newer VegaFS", "a store of a newer version");
	begin("directory");
	mkdir(path, 0700);
	refuses(VEGA_FATAL, "no regular file", "a directory");
}

/* A word for the columns of the store's tables, and what belongs to them. */
static char *columns(void)
{
	char command[600];
	snprintf(command, sizeof command,
	        "for table in job job_state job_result worker; do"
	        " sqlite3 %s \"PRAGMA table_info($table)\""
	        " \"SELECT type, name FROM sqlite_schema WHERE tbl_name = '$table' ORDER BY 2\";"
	        "done | cksum",
	        path);
	return line_of(command);
}

static void upgrades(void)
{
	static const char old_job[] =
	        "INSERT INTO job (nr, id, spec, submitter, queue, priority, max_attempts, labels,"
	        " created) VALUES (1, '01a20919-5b78-7163-8ed0-628c66594237', '{}', 'me', 'old', 0,"
	        " 3, '{}', 1);"
	        "INSERT INTO job_state (nr, queue, priority, due) VALUES (1, 'old', 0, 1)";
	char command[500];
	struct job job;
	begin_with_job("current");
	char *wanted = columns();
	begin("older");
	snprintf(command, sizeof command, "sqlite3 %s < tests/fixtures/sqlite-1.sql", path);
	free(line_of(command));
	sql(old_job);
	is_int(together(5, open_and_submit, NULL), 5, "5 processes upgrade a store of version 1");
	struct store *store = open_store();
	is_int(count_jobs(store), 6, "an upgraded store has all jobs");
	is_int(claim(store, "w", "old", 1, 1000, &job), 1,
	        "an upgraded store's old job can be claimed");
	ok(!job.limits.timeout_ms, "an upgraded store's old job has no limits");
	job_release(&job);
	close_store(store);
	char *got = columns();
	is_str(got, wanted, "an upgraded store has the columns of a new one");
	free(got);
	free(wanted);
}

/* A program that asks for no foreign keys, as the sqlite3 shell, removes jobs. */
static void outlives_other_hands(void)
{
	static const struct store_result none = {0};
	struct job job;
	begin_with_job("hands");
	struct store *store = open_store();
	struct store_lease lease = take(store, "q");
	is_int(finish_one(store, &lease, &none, NULL), 0,
	        "a job is finished before it is removed by hand");
	sql("DELETE FROM job");
	struct store_request r = submit_to(store, "q");
	job = get(store, r.id);
	ok(job.state == JOB_PENDING && job.attempt == 0 && !job.summary,
	        "a job inherits nothing of a removed one of its number");
	job_release(&job);
	sql("DROP TRIGGER parts_go; DELETE FROM job");
	is_int(claim(store, "w", NULL, 1, 60000, &job), 0, "a state without a job is no job");
	r = submit_to(store, "q");
	is_int(claim(store, "w", NULL, 1, 60000, &job), 1,
	        "a state without a job keeps no other from being claimed");
	is_str(job.id, r.id, "the job beside a state without a job is claimed");
	job_release(&job);
	close_store(store);
}

static void notices_damage(void)
{
	begin_with_job("damaged");
	struct store *store = open_store();
	for (off_t page = 1; page < 12; page++) {
		poke(page * 4096, "\xde\xad\xbe\xef\xde\xad\xbe\xef\xde\xad\xbe\xef");
	}
	struct store_request r = request("q");
	int rc = store->driver->submit(store, &r, 1, &err);
	close_store(store);
	ok(rc == VEGA_FATAL && strstr(err.text, "damaged"), "damaged pages are named: %s",
	        err.text);
}

/* Root may write anything: these are tried by another user. */
static bool as_nobody(bool (*body)(void))
{
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		if (geteuid() == 0 && (setgid(65534) || setuid(65534))) {
			_exit(1);
		}
		_exit(body() ? 0 : 1);
	}
	int status;
	waitpid(child, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool refused_as(const char *word)
{
	struct store *store;
	int rc = store_open(contract_url, 300, &store, &err);
	if (rc != VEGA_FATAL || !strstr(err.text, word)) {
		printf("# %d %s\n", rc, err.text);
		return false;
	}
	return true;
}

static bool refused_read_only(void)
{
	return refused_as("read-only");
}

static bool refused_journal(void)
{
	return refused_as("where its journal must be");
}

static bool refused_creation(void)
{
	return refused_as("Permission denied");
}

static void needs_to_write(void)
{
	chmod(contract_dir, 0755);
	begin_with_job("read-only");
	chmod(path, 0444);
	chmod(directory, 0777);
	ok(as_nobody(refused_read_only), "a read-only file is rejected");
	begin_with_job("read-only-directory");
	chmod(path, 0666);
	chmod(directory, 0555);
	ok(as_nobody(refused_journal), "a read-only directory is rejected");
	begin("no-place");
	chmod(directory, 0555);
	ok(as_nobody(refused_creation), "a directory that cannot be written to is rejected");
	chmod(directory, 0755);
}

static void waits_for_a_lock(void)
{
	sqlite3 *db = NULL;
	begin_with_job("locked");
	struct store *store = open_with(300);
	if (sqlite3_open(path, &db) || sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL)) {
		give_up("lock", NULL);
	}
	struct store_request r = request("q");
	struct timespec begun, ended;
	clock_gettime(CLOCK_MONOTONIC, &begun);
	int rc = store->driver->submit(store, &r, 1, &err);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	double took = (double)(ended.tv_sec - begun.tv_sec) +
	              (double)(ended.tv_nsec - begun.tv_nsec) / 1e9;
	ok(rc == VEGA_UNAVAILABLE && strstr(err.text, "locked"),
	        "a locked store fails a submission: %s", err.text);
	ok(took >= 0.25 && took < 5, "a locked store is waited for until the deadline (%.2f s)",
	        took);
	refuses(VEGA_UNAVAILABLE, "locked", "nor can it be opened");
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_close(db);
	is_int(store->driver->submit(store, &r, 1, &err), 0, "the handle works after a lock");
	is_int(count_jobs(store), 2, "a submission after a lock is stored once");
	close_store(store);
}

static bool let_go(const struct store_pruned *job, void *context)
{
	(void)job;
	(void)context;
	return true;
}

static void notices_another_file(void)
{
	char away[500];
	begin_with_job("replaced");
	struct store *store = open_store();
	snprintf(away, sizeof away, "%s.old", path);
	ok(rename(path, away) == 0, "the store's file is moved away");
	struct store_request r = request("q");
	struct store *other = open_store();
	is_int(store->driver->submit(store, &r, 1, &err), 0,
	        "an open handle uses the file in its place");
	is_int(count_jobs(other), 1, "the file in its place is used by others, too");
	ok(unlink(path) == 0, "the store's file is removed");
	is_int(store->driver->submit(store, &r, 1, &err), VEGA_FATAL,
	        "a removed file fails a submission");
	ok(access(path, F_OK) != 0, "a removed file is not made again");
	struct store_prune prune = {.batch = 1, .remove = let_go};
	is_int(store->driver->prune(store, &prune, &err), VEGA_FATAL,
	        "a removed file fails a prune");
	ok(rename(away, path) == 0, "a file is put in the store's place");
	sql("PRAGMA user_version = 99");
	for (int i = 0; i < 2; i++) {
		int rc = store->driver->submit(store, &r, 1, &err);
		ok(rc == VEGA_FATAL && strstr(err.text, "newer VegaFS"),
		        "a file of a newer VegaFS is rejected each time: %s", rc ? err.text : "");
	}
	close_store(store);
	close_store(other);
}

/* A tmpfs of 256 KiB; only root can mount one. */
static void survives_a_full_disk(void)
{
	begin("full");
	if (mount("tmpfs", directory, "tmpfs", 0, "size=256k")) {
		ok(true, "a full disk # SKIP cannot mount a tmpfs");
		return;
	}
	struct store *store = open_store();
	unsigned stored = 0;
	int rc;
	struct store_request r;
	do {
		r = request("q");
		rc = store->driver->submit(store, &r, 1, &err);
		stored += rc == 0;
	} while (rc == 0 && stored < 5000);
	ok(rc == VEGA_UNAVAILABLE && strstr(err.text, "no space"),
	        "a full disk fails a submission: %s", err.text);
	is_int(count_jobs(store), stored, "a full disk keeps the acknowledged jobs, and no other");
	ok(mount("tmpfs", directory, "tmpfs", MS_REMOUNT, "size=1m") == 0,
	        "the full disk gets more room");
	is_int(store->driver->submit(store, &r, 1, &err), 0, "the handle works when there is room");
	close_store(store);
	store = open_store();
	is_int(count_jobs(store), stored + 1, "a full disk lost no job");
	close_store(store);
	umount(directory);
}

static int open_and_submit_one(struct store **store)
{
	struct store_request r = request("q");
	int rc = *store ? 0 : store_open(contract_url, 300, store, &err);
	return rc ? rc : (*store)->driver->submit(*store, &r, 1, &err);
}

/* A tmpfs that has room, but no inode for a journal. */
static void survives_no_inodes(void)
{
	char name[420];
	int files = 0, fd;
	begin("inodes");
	if (mount("tmpfs", directory, "tmpfs", 0, "size=1m,nr_inodes=16")) {
		ok(true, "no inodes # SKIP cannot mount a tmpfs");
		return;
	}
	close_store(open_store());
	do {
		snprintf(name, sizeof name, "%s/%d", directory, files);
		fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
	} while (fd >= 0 && close(fd) == 0 && ++files < 100);
	ok(fd < 0 && errno == ENOSPC, "%d files take all inodes", files);
	struct store *store = NULL;
	int rc = open_and_submit_one(&store);
	ok(rc == VEGA_UNAVAILABLE && strstr(err.text, "journal") && strstr(err.text, "inodes"),
	        "a disk without inodes fails a submission: %s", rc ? err.text : "");
	while (files--) {
		snprintf(name, sizeof name, "%s/%d", directory, files);
		unlink(name);
	}
	is_int(open_and_submit_one(&store), 0, "a submission succeeds when there are inodes");
	is_int(count_jobs(store), 1, "a disk without inodes stored no rejected job");
	close_store(store);
	umount(directory);
}

static void checks(void)
{
	static void (*const all[])(void) = {is_private, is_made_once, follows_links,
	        is_never_made_again, upgrades, outlives_other_hands, notices_damage, needs_to_write,
	        waits_for_a_lock, notices_another_file, survives_a_full_disk, survives_no_inodes};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		all[i]();
	}
}

int main(void)
{
	return contract_run_on(CONTRACT_SQLITE, checks);
}
