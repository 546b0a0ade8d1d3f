/*
 * The bare loop: what a walk costs when it does nothing but the system calls. Not robust, and not
 *meant to be: it is what the engine is measured against (make bench).
 *
 *	floor [-s] [-j THREADS] ROOT	-s: statx every entry and sum what is allocated; else print
 *every path
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct linux_dirent64 {
	unsigned long long d_ino;
	long long d_off;
	unsigned short d_reclen;
	unsigned char d_type;
	char d_name[];
};

/* One stack of paths under one lock: enough for two threads. */
static char **stack;
static size_t waiting, room, busy;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static int stat_all;
static atomic_ullong allocated;

static void push(char *path)
{
	pthread_mutex_lock(&lock);
	if (waiting == room) {
		room = room ? room * 2 : 1024;
		stack = realloc(stack, room * sizeof *stack);
	}
	stack[waiting++] = path;
	pthread_cond_signal(&more);
	pthread_mutex_unlock(&lock);
}

static char *pop(void)
{
	pthread_mutex_lock(&lock);
	busy--;
	while (waiting == 0 && busy > 0) {
		pthread_cond_wait(&more, &lock);
	}
	char *path = waiting ? stack[--waiting] : NULL;
	busy += path != NULL;
	if (!path) {
		pthread_cond_broadcast(&more);
	}
	pthread_mutex_unlock(&lock);
	return path;
}

static void list(const char *path, char *out, size_t *used, unsigned long long *sum)
{
	static _Thread_local char buffer[65536];
	size_t len = strlen(path);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t got;
	while (fd >= 0 && (got = getdents64(fd, buffer, sizeof buffer)) > 0) {
		for (ssize_t at = 0; at < got;) {
			struct linux_dirent64 *d = (void *)(buffer + at);
			at += d->d_reclen;
			const char *name = d->d_name;
			if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]))) {
				continue;
			}
			size_t name_len = strlen(name);
			if (stat_all) {
				struct statx sx;
				statx(fd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &sx);
				*sum += sx.stx_blocks * 512;
			} else {
				if (*used + len + name_len + 2 > 65536) {
					(void)!write(1, out, *used);
					*used = 0;
				}
				memcpy(out + *used, path, len);
				out[*used + len] = '/';
				memcpy(out + *used + len + 1, name, name_len);
				out[*used + len + 1 + name_len] = '\n';
				*used += len + name_len + 2;
			}
			if (d->d_type == DT_DIR) {
				char *child = malloc(len + name_len + 2);
				memcpy(child, path, len);
				child[len] = '/';
				memcpy(child + len + 1, name, name_len + 1);
				push(child);
			}
		}
	}
	if (fd >= 0) {
		close(fd);
	}
}

static void *work(void *unused)
{
	char *out = malloc(65536 + 8192), *path;
	size_t used = 0;
	unsigned long long sum = 0;
	while ((path = pop())) {
		list(path, out, &used, &sum);
		free(path);
	}
	(void)!write(1, out, used);
	atomic_fetch_add(&allocated, sum);
	return unused;
}

int main(int argc, char **argv)
{
	int option, threads = 2;
	while ((option = getopt(argc, argv, "sj:")) != -1) {
		stat_all |= option == 's';
		threads = option == 'j' ? atoi(optarg) : threads;
	}
	if (optind + 1 != argc || threads < 1 || threads > 64) {
		fprintf(stderr, "usage: floor [-s] [-j THREADS] ROOT\n");
		return 2;
	}
	pthread_t thread[64];
	push(strdup(argv[optind]));
	busy = (size_t)threads;
	for (int i = 0; i < threads; i++) {
		pthread_create(&thread[i], NULL, work, NULL);
	}
	for (int i = 0; i < threads; i++) {
		pthread_join(thread[i], NULL);
	}
	if (stat_all) {
		printf("%llu\n", allocated);
	}
	return 0;
}
