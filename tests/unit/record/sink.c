/* The sink: many threads, order, long records, and outputs that fail. */
#include "../tap.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "record/sink.h"

#define THREADS 8
#define RECORDS 40000

static const struct record_schema schema = {.name = "find", .standard = STANDARD_ALL};
static const struct format_options options = {.utf8 = true, .width = 80, .only = &schema};

static struct record entry(const char *dir, const char *name)
{
	return (struct record){
	        .type = RECORD_ENTRY,
	        .op = "find",
	        .dir = dir,
	        .dir_len = strlen(dir),
	        .name = name,
	        .name_len = strlen(name),
	        .file_type = FILE_REGULAR,
	};
}

static int scratch(void)
{
	return memfd_create("sink", 0);
}

/* All that was written to fd, NUL-terminated; freed by the caller. */
static char *content(int fd, size_t *len)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *text = malloc((size_t)size + 1);
	*len = (size_t)size;
	if (!text || pread(fd, text, *len, 0) != size) {
		abort();
	}
	text[size] = '\0';
	return text;
}

struct job {
	struct sink *sink;
	unsigned index;
	bool long_names;
};

static void *emit(void *context)
{
	struct job *job = context;
	struct sink_thread *thread = sink_thread_new(job->sink);
	char dir[32], name[300];
	snprintf(dir, sizeof dir, "t%u/", job->index);
	for (unsigned i = 0; i < RECORDS && !sink_error(job->sink); i++) {
		unsigned scattered = i * 7919 % RECORDS; /* each once, in no order */
		int len = snprintf(name, sizeof name, "%06u", scattered);
		if (job->long_names) {
			memset(name + len, 'x', i % 250);
			name[len + (int)(i % 250)] = '\0';
		}
		struct record record = entry(dir, name);
		sink_record(thread, &record);
		if (i % 1000 == 0) {
			sink_flush_old(thread);
		}
	}
	return NULL;
}

static int run(int fd, bool sort, bool long_names, const char *format, struct vega_error *err)
{
	struct sink *sink = sink_new(fd, format_find(format), &options, sort);
	pthread_t threads[THREADS];
	struct job jobs[THREADS];
	for (unsigned i = 0; i < THREADS; i++) {
		jobs[i] = (struct job){sink, i, long_names};
		pthread_create(&threads[i], NULL, emit, &jobs[i]);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
	}
	static const char json[] = "{\"type\":\"summary\",\"v\":1}";
	return sink_finish(sink, json, sizeof json - 1, err);
}

static void test_threads(void)
{
	static unsigned char seen[THREADS][RECORDS];
	int fd = scratch();
	struct vega_error err;
	is_int(run(fd, false, true, "text", &err), 0, "many threads write records");
	size_t len, lines = 0, wrong = 0;
	char *text = content(fd, &len), *rest = text;
	for (char *line; (line = strsep(&rest, "\n")) && *line; lines++) {
		unsigned thread, number;
		int used = 0;
		if (sscanf(line, "t%1u/%6u%n", &thread, &number, &used) != 2 || thread >= THREADS ||
		        number >= RECORDS || strspn(line + used, "x") != strlen(line + used) ||
		        seen[thread][number]++) {
			wrong++;
		}
	}
	is_int(lines, THREADS * RECORDS, "many threads write every record once");
	is_int(wrong, 0, "many threads interleave no lines");
	free(text);
	close(fd);
}

static void test_sorted(const char *format)
{
	int fd = scratch();
	struct vega_error err;
	is_int(run(fd, true, false, format, &err), 0, "%s: sorted records are written", format);
	size_t len, lines = 0, wrong = 0;
	char *text = content(fd, &len), *rest = text, *before = NULL;
	for (char *line; (line = strsep(&rest, "\n")) && strstr(line, "t"); before = line) {
		if (strstr(line, "summary")) {
			break;
		}
		wrong += before && strcmp(before, line) >= 0;
		lines++;
	}
	is_int(lines, THREADS * RECORDS, "%s: sorted records are written once", format);
	is_int(wrong, 0, "%s: sorted records are in order", format);
	free(text);
	close(fd);
}

/* The order is that of the path's bytes, not of the formatted ones; and of whole paths, with '/'
 * first: a directory is followed by all that lies in it. */
static void test_order(void)
{
	static const char *const paths[][2] = {
	        {"a/", "b"}, {"a.", ""}, {"", "a"}, {"a/", "\""}, {"", "\xff"}, {"", "a-b"}};
	int fd = scratch();
	struct sink *sink = sink_new(fd, format_find("csv"), &options, true);
	struct sink_thread *thread = sink_thread_new(sink);
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct record record = entry(paths[i][0], paths[i][1]);
		sink_record(thread, &record);
	}
	is_int(sink_finish(sink, NULL, 0, NULL), 0, "a sink finishes without a summary");
	size_t len;
	char *text = content(fd, &len);
	is_str(text,
	        "path,type,size,allocated,mtime,mode,uid,gid,nlink,dev,ino,path_b64\n"
	        "a,f,,,,,,,,,,\n\"a/\"\"\",f,,,,,,,,,,\na/b,f,,,,,,,,,,\na-b,f,,,,,,,,,,\n"
	        "a.,f,,,,,,,,,,\n\xef\xbf\xbd,f,,,,,,,,,,/w==\n",
	        "path order");
	free(text);
	close(fd);
}

static void test_long_record(void)
{
	static char dir[300000];
	memset(dir, 'd', sizeof dir - 1);
	dir[sizeof dir - 2] = '/';
	for (int sort = 0; sort < 2; sort++) {
		int fd = scratch();
		struct sink *sink = sink_new(fd, format_find("text"), &options, sort);
		struct sink_thread *thread = sink_thread_new(sink);
		struct record small = entry("", "a"), large = entry(dir, "n");
		sink_record(thread, &small);
		sink_record(thread, &large);
		sink_record(thread, &small);
		is_int(sink_finish(sink, NULL, 0, NULL), 0,
		        "a record longer than the buffer is written");
		size_t len;
		char *text = content(fd, &len);
		is_int(len, 2 + sizeof dir + 1 + 2, "a record longer than the buffer is whole");
		is_int(strcspn(text + 2 + (sort ? 2 : 0), "n"), sizeof dir - 1,
		        "a record longer than the buffer is not mixed with others");
		free(text);
		close(fd);
	}
}

static void test_failures(void)
{
	struct vega_error err;
	int full = open("/dev/full", O_WRONLY);
	is_int(run(full, false, true, "text", &err), VEGA_FATAL, "a full disk fails");
	is_int(err.sys, ENOSPC, "a full disk fails with ENOSPC");
	is_int(run(full, true, false, "text", &err), VEGA_FATAL,
	        "a full disk fails sorted records");
	is_int(err.sys, ENOSPC, "a full disk fails sorted records with ENOSPC");
	is_int(run(full, false, false, "json", &err), VEGA_FATAL, "a full disk fails a summary");
	close(full);

	int ends[2];
	if (pipe(ends)) {
		abort();
	}
	close(ends[0]);
	struct sink *sink = sink_new(ends[1], format_find("text"), &options, false);
	struct sink_thread *thread = sink_thread_new(sink);
	struct record record = entry("", "a");
	sink_record(thread, &record);
	is_int(sink_error(sink), 0, "a new sink has no error");
	sink_flush(thread);
	is_int(sink_error(sink), EPIPE, "a closed pipe is noticed");
	sink_record(thread, &record);
	is_int(sink_finish(sink, "{}", 2, &err), VEGA_FATAL,
	        "a closed pipe is reported at the end");
	is_int(err.sys, EPIPE, "a closed pipe fails with EPIPE");
	close(ends[1]);
}

/* A reader that takes nothing holds nobody up once the run is stopped, and never finds half a
 * record: xargs would take what is left of a path for one. */
static void test_stop(bool null)
{
	int ends[2];
	struct format_options ended = {.null = null};
	struct vega_error err = {0};
	atomic_int stop = 0;
	if (pipe(ends)) {
		abort();
	}
	struct sink *sink = sink_new(ends[1], format_find("text"), &ended, false);
	sink_stop_on(sink, &stop);
	struct sink_thread *thread = sink_thread_new(sink);
	struct record record = entry("", "a name that fills the pipe sooner");
	ok(!(fcntl(ends[1], F_GETFL) & O_NONBLOCK), "the descriptor itself still blocks");
	sink_record(thread, &record);
	sink_flush(thread);
	const long size = (long)record.name_len + 1;
	static char got[1 << 20];
	is_int(read(ends[0], got, sizeof got), size, "a record comes through a pipe");
	atomic_store(&stop, 15);
	for (unsigned i = 0; i < 100000 && !sink_error(sink); i++) {
		sink_record(thread, &record);
	}
	is_int(sink_error(sink), EINTR, "a full pipe that nobody reads is given up");
	is_int(sink_finish(sink, "{}", 2, &err), VEGA_FATAL,
	        "a full pipe that nobody reads is reported at the end");
	is_int(err.sys, EINTR, "a full pipe that nobody reads fails with EINTR");
	long taken = read(ends[0], got, sizeof got);
	ok(taken > 1000 * size, "the pipe was full");
	is_int(taken % size, 0, "a full pipe holds whole records");
	is_int(got[taken - 1], null ? '\0' : '\n', "a full pipe ends with a whole record");
	close(ends[0]);
	close(ends[1]);
}

/* Only what is old is written, unless it is a terminal that waits. */
static void test_flush(void)
{
	int fd = scratch();
	struct record record = entry("", "a");
	struct sink *sink = sink_new(fd, format_find("text"), &options, false);
	struct sink_thread *thread = sink_thread_new(sink);
	sink_record(thread, &record);
	sink_flush_old(thread);
	is_int(lseek(fd, 0, SEEK_END), 0, "young records wait in the buffer");
	for (unsigned i = 0; i < 1000 && lseek(fd, 0, SEEK_END) == 0; i++) {
		usleep(1000); /* until it is old: polls the condition, for at most a second */
		sink_flush_old(thread);
	}
	is_int(lseek(fd, 0, SEEK_END), 2, "old records are written");
	sink_finish(sink, NULL, 0, NULL);

	struct format_options terminal = options;
	terminal.terminal = true;
	sink = sink_new(fd, format_find("text"), &terminal, false);
	thread = sink_thread_new(sink);
	sink_record(thread, &record);
	sink_flush_old(thread);
	is_int(lseek(fd, 0, SEEK_END), 4, "a terminal gets records at once");
	sink_finish(sink, NULL, 0, NULL);
	close(fd);
}

static void test_progress(void)
{
	int fd = scratch();
	struct sink *sink = sink_new(fd, format_find("ndjson"), &options, true);
	struct sink_thread *thread = sink_thread_new(sink);
	struct record record = entry("", "a"), progress = {.type = RECORD_PROGRESS};
	sink_record(thread, &record);
	sink_record(thread, &progress);
	size_t len;
	char *text = content(fd, &len);
	ok(strncmp(text, "{\"type\":\"progress\"", 18) == 0, "progress does not wait to be sorted");
	free(text);
	sink_finish(sink, NULL, 0, NULL);
	text = content(fd, &len);
	ok(strstr(text, "\"path\":\"a\""), "records follow the progress");
	free(text);
	close(fd);
}

static void test_quota(void)
{
	atomic_int stop = 0;
	struct quota quota = {.most = 5, .stop = &stop};
	int fd = scratch();
	struct vega_error err;
	struct sink *sink = sink_new(fd, format_find("text"), &options, false);
	sink_limit(sink, &quota);
	struct sink_thread *thread = sink_thread_new(sink);
	struct record record = entry("", "a"), progress = {.type = RECORD_PROGRESS};
	sink_record(thread, &record);
	sink_record(thread, &progress);
	sink_record(thread, &record);
	sink_flush(thread);
	is_int(sink_error(sink), 0, "records within the quota are written");
	is_int(stop, 0, "records within the quota do not end the run");
	sink_record(thread, &record);
	is_int(sink_finish(sink, NULL, 0, &err), VEGA_FATAL, "records beyond the quota fail");
	is_int(err.sys, EDQUOT, "records beyond the quota fail with EDQUOT");
	is_int(stop, -1, "records beyond the quota end the run");
	is_int(lseek(fd, 0, SEEK_END), 4, "records beyond the quota are not written");
	close(fd);

	quota = (struct quota){.most = 20, .stop = &stop};
	fd = scratch();
	sink = sink_new(fd, format_find("ndjson"), &options, false);
	sink_limit(sink, &quota);
	thread = sink_thread_new(sink);
	for (unsigned i = 0; i < 100; i++) {
		sink_record(thread, &progress);
	}
	is_int(sink_finish(sink, NULL, 0, &err), 0, "progress does not count in the quota");
	ok(lseek(fd, 0, SEEK_END) > 1000, "progress beyond the quota is written");
	close(fd);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	test_threads();
	test_sorted("text");
	test_sorted("ndjson");
	test_order();
	test_long_record();
	test_failures();
	test_stop(false);
	test_stop(true);
	test_flush();
	test_progress();
	test_quota();
	return done();
}
