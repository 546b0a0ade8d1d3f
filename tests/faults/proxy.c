/*
 * A PostgreSQL socket at which connections come to harm.
 *
 *	proxy LISTEN SERVER SEED
 *
 * listens on the socket LISTEN and passes each connection on to the socket SERVER. Each is hit
 *after a number of bytes, in one direction, that the seed gives:
 *
 *	cut     both ends are closed, in the middle of whatever it is
 *	gone    the client is cut off; the server does not hear of it for a while, and goes on
 *	silent  the server's end is closed; the client does not hear of it, and waits
 *	stall   nothing passes for a while, then it does
 *
 * Some connections pass a few bytes at a time besides. SIGUSR1 ends the faults, also those to come
 * on connections that are there; SIGTERM ends the proxy. It prints the name of each as it happens.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PAIRS_MAX 256
#define BLOCK 4096

enum fault { CUT, GONE, SILENT, STALL, FAULTS };
static const char *const fault_names[FAULTS] = {"cut", "gone", "silent", "stall"};

enum { CLIENT, SERVER };

struct pair {
	int fd[2];       /* -1: closed */
	uint64_t passed; /* bytes, in the direction of the fault */
	uint64_t at;     /* hit after so many */
	int from;        /* the end that they come from */
	enum fault fault;
	bool trickle;
	uint64_t until; /* nothing passes, or (GONE) the server's end stays open; 0: no */
};

static struct pair pairs[PAIRS_MAX];
static unsigned count, seed;
static volatile sig_atomic_t stopped, calm;

static unsigned below(unsigned limit)
{
	return (unsigned)rand_r(&seed) % limit;
}

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void shut(struct pair *pair, int end)
{
	if (pair->fd[end] >= 0) {
		close(pair->fd[end]);
		pair->fd[end] = -1;
	}
}

static void plan(struct pair *pair)
{
	pair->passed = 0;
	pair->from = (int)below(2);
	pair->at = below(1u << (4 + below(11)));
	pair->fault = (enum fault)below(FAULTS);
	pair->trickle = below(8) == 0;
}

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	return a;
}

static void take(int listener, const char *server)
{
	struct sockaddr_un to = address(server);
	int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client < 0 || count == PAIRS_MAX ||
	        connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
		close(fd);
		if (client >= 0) {
			close(client);
		}
		return;
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	pairs[count] = (struct pair){.fd = {client, fd}};
	plan(&pairs[count++]);
}

static void hit(struct pair *pair)
{
	puts(fault_names[pair->fault]);
	switch (pair->fault) {
	case CUT:
		shut(pair, CLIENT);
		shut(pair, SERVER);
		break;
	case GONE:
		shut(pair, CLIENT);
		pair->until = now_ms() + below(200);
		break;
	case SILENT:
		shut(pair, SERVER);
		break;
	default:
		pair->until = now_ms() + 20 + below(500);
		plan(pair);
	}
}

/* What there is from one end to the other, up to the byte at which it is hit. The other end takes
 * it at once: both are local, and blocks are small. */
static void pass(struct pair *pair, int from)
{
	char block[BLOCK];
	size_t room = pair->trickle ? 1 + below(7) : sizeof block;
	bool watched = !calm && pair->from == from;
	if (watched && pair->at - pair->passed < room) {
		room = pair->at - pair->passed;
	}
	if (room == 0) {
		hit(pair);
		return;
	}
	ssize_t got = read(pair->fd[from], block, room);
	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	for (ssize_t done = 0; got > 0 && done < got;) {
		struct pollfd to = {.fd = pair->fd[!from], .events = POLLOUT};
		ssize_t put = poll(&to, 1, 1000) == 1 ? send(to.fd, block + done,
		                                                (size_t)(got - done), MSG_NOSIGNAL)
		                                      : -1;
		if (put < 0) {
			got = 0;
			break;
		}
		done += put;
	}
	if (got <= 0) {
		shut(pair, CLIENT);
		shut(pair, SERVER);
		return;
	}
	pair->passed += watched ? (uint64_t)got : 0;
	if (watched && pair->passed == pair->at) {
		hit(pair);
	}
}

/* The end that closed while the other is cut off: nobody is left. */
static void drain(struct pair *pair, int end)
{
	char block[BLOCK];
	ssize_t got = read(pair->fd[end], block, sizeof block);
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
		shut(pair, end);
	}
}

static void serve(struct pair *pair, int end)
{
	if (pair->fd[end] < 0) {
		return; /* closed meanwhile */
	}
	if (pair->fd[!end] < 0) {
		drain(pair, end);
	} else {
		pass(pair, end);
	}
}

static void tend(uint64_t now)
{
	for (unsigned i = 0; i < count;) {
		struct pair *pair = &pairs[i];
		if (pair->until && (now >= pair->until || calm)) {
			pair->until = 0;
			if (pair->fd[CLIENT] < 0) {
				shut(pair, SERVER);
			}
		}
		if (calm && (pair->fd[CLIENT] < 0 || pair->fd[SERVER] < 0)) {
			shut(pair, CLIENT);
			shut(pair, SERVER);
		}
		if (pair->fd[CLIENT] < 0 && pair->fd[SERVER] < 0) {
			*pair = pairs[--count];
		} else {
			i++;
		}
	}
}

static void on_signal(int number)
{
	if (number == SIGUSR1) {
		calm = 1;
	} else {
		stopped = 1;
	}
}

static void run(int listener, const char *server)
{
	while (!stopped) {
		struct pollfd fds[1 + 2 * PAIRS_MAX] = {{.fd = listener, .events = POLLIN}};
		unsigned had = count;
		uint64_t now = now_ms();
		for (unsigned i = 0; i < had; i++) {
			bool stalled = pairs[i].until > now && pairs[i].fd[CLIENT] >= 0;
			for (int end = 0; end < 2; end++) {
				fds[1 + 2 * i + (unsigned)end] = (struct pollfd){
				        .fd = stalled ? -1 : pairs[i].fd[end], .events = POLLIN};
			}
		}
		if (poll(fds, 1 + 2 * had, 10) > 0) {
			for (unsigned i = 0; i < 2 * had; i++) {
				if (fds[1 + i].revents) {
					serve(&pairs[i / 2], (int)(i % 2));
				}
			}
			if (fds[0].revents) {
				take(listener, server);
			}
		}
		tend(now_ms());
	}
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		return 2;
	}
	struct sockaddr_un here = address(argv[1]);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	seed = (unsigned)strtoul(argv[3], NULL, 10);
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGTERM, on_signal);
	signal(SIGUSR1, on_signal);
	if (bind(listener, (struct sockaddr *)&here, sizeof here) != 0 ||
	        listen(listener, 128) != 0) {
		perror(argv[1]);
		return 1;
	}
	run(listener, argv[2]);
	return 0;
}
