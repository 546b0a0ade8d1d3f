/*
 * A real redis-server for a unit test: no TCP port, a socket in a directory of its own. It ends
 * with the test, however the test ends.
 */
#ifndef TESTS_REDIS_SERVER_H
#define TESTS_REDIS_SERVER_H

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct redis_server {
	char dir[90];
	char path[100]; /* DIR/s */
	char url[110];  /* unix:PATH */
	pid_t pid;
};

/* Milliseconds since some moment. */
static inline long test_clock(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A connection to a socket, or -1. */
static inline int test_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Sends an inline command; is it answered, and not with an error (but for want of a password)? */
static inline bool redis_server_command(const struct redis_server *server, const char *command)
{
	char answer[4096];
	int fd = test_connect(server->path);
	bool good = write(fd, command, strlen(command)) == (ssize_t)strlen(command) &&
	            write(fd, "\r\n", 2) == 2 && read(fd, answer, sizeof answer) > 0 &&
	            (answer[0] != '-' || memcmp(answer, "-NOAUTH", 7) == 0);
	close(fd);
	return good;
}

/* Starts one; `option` is a further pair of arguments, or NULL. Ends the test when it cannot. */
static inline void redis_server_start(
        struct redis_server *server, const char *option, const char *value)
{
	if (!server->dir[0]) {
		const char *tmp = getenv("TMPDIR");
		snprintf(server->dir, sizeof server->dir, "%s/redisXXXXXX", tmp ? tmp : "/tmp");
		if (!mkdtemp(server->dir)) {
			printf("Bail out! no directory for Redis\n");
			exit(1);
		}
	}
	snprintf(server->path, sizeof server->path, "%s/s", server->dir);
	snprintf(server->url, sizeof server->url, "unix:%s", server->path);
	fflush(stdout);
	server->pid = fork();
	if (server->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		int null = open("/dev/null", O_RDWR);
		dup2(null, 0);
		dup2(null, 1);
		execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", server->path,
		        "--dir", server->dir, "--save", "", "--appendonly", "no", option, value,
		        (char *)NULL);
		_exit(127);
	}
	long deadline = test_clock() + 10000;
	while (!redis_server_command(server, "PING")) {
		if (test_clock() > deadline || waitpid(server->pid, NULL, WNOHANG) != 0) {
			printf("Bail out! redis-server does not start\n");
			exit(1);
		}
		usleep(5000);
	}
}

static inline void redis_server_stop(struct redis_server *server)
{
	if (server->pid > 0) {
		kill(server->pid, SIGCONT);
		kill(server->pid, SIGKILL);
		waitpid(server->pid, NULL, 0);
		server->pid = 0;
	}
}

/* Stops it and removes its directory. */
static inline void redis_server_remove(struct redis_server *server)
{
	redis_server_stop(server);
	unlink(server->path);
	rmdir(server->dir);
}

#endif
