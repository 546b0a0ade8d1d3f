/* One connection to Redis over hiredis. hiredis only writes and parses here: connecting,
 * waiting and deadlines are our own, so that a server that hangs costs half a second and then
 * nothing for five. */
#include "base/redis.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/uri.h"

#define CONNECT_MS 200
#define ANSWER_MS 500
#define BREAK_MS 5000
#define PORT_DEFAULT 6379

/* Replies and bytes not yet settled at which redis_put() stops to wait. */
#define PUTS_MAX 64
#define PUT_BYTES_MAX ((size_t)4 << 20)

/*
 * Replies come in the order of the commands: `ahead` that nobody waits for, then, when `asked`, the
 * answer to redis_request(), then `behind` more. hiredis only writes and parses here: it is given a
 * connected, non-blocking descriptor, and all waiting is in wait_for(), which a signal neither
 * breaks nor prolongs.
 */
struct redis {
	struct uri uri;
	char port[8];
	unsigned database;
	char *where; /* the URL without its credentials */
	redisContext *context;
	uint64_t retry_ms;
	unsigned ahead, behind;
	size_t unsettled; /* bytes put since the last time nothing was outstanding */
	bool asked;
	redisReply *answer; /* has arrived, not taken yet */
	char trouble[512];
};

/* 0, or ETIMEDOUT, or another errno. */
static int wait_for(int fd, short events, uint64_t deadline)
{
	for (;;) {
		uint64_t now = monotonic_ms();
		struct pollfd poll_fd = {.fd = fd, .events = events};
		int ready = poll(&poll_fd, 1, now < deadline ? (int)(deadline - now) : 0);
		if (ready > 0) {
			return 0;
		}
		if (ready == 0) {
			return ETIMEDOUT;
		}
		if (errno != EINTR) {
			return errno;
		}
	}
}

static void disconnect(struct redis *r)
{
	if (r->context) {
		redisFree(r->context);
		r->context = NULL;
	}
	if (r->answer) {
		freeReplyObject(r->answer);
		r->answer = NULL;
	}
	r->ahead = r->behind = 0;
	r->unsettled = 0;
	r->asked = false;
}

__attribute__((format(printf, 2, 3))) static void trip(struct redis *r, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(r->trouble, sizeof r->trouble, format, args);
	va_end(args);
	r->retry_ms = monotonic_ms() + BREAK_MS;
	disconnect(r);
}

static void trip_context(struct redis *r)
{
	char reason[sizeof r->context->errstr];
	memcpy(reason, r->context->errstr, sizeof reason);
	trip(r, "lost the connection to %s: %s", r->where, reason);
}

/* A connected, non-blocking descriptor, or -errno. */
static int connect_to(int family, const struct sockaddr *address, socklen_t len)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return -errno;
	}
	int failure = connect(fd, address, len) == 0 ? 0 : errno;
	if (failure == EINPROGRESS || failure == EINTR) {
		socklen_t size = sizeof failure;
		failure = wait_for(fd, POLLOUT, monotonic_ms() + CONNECT_MS);
		if (!failure && getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0) {
			failure = errno;
		}
	}
	if (failure) {
		close(fd);
		return -failure;
	}
	return fd;
}

static int connect_unix(const struct redis *r)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	memcpy(address.sun_path, r->uri.path, strlen(r->uri.path)); /* check_uri() saw the length */
	return connect_to(AF_UNIX, (const struct sockaddr *)&address, sizeof address);
}

/* -errno, or 0 with *reason set to the resolver's text. */
static int connect_tcp(const struct redis *r, const char **reason)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
	int failure = getaddrinfo(r->uri.host, r->port, &hints, &list);
	if (failure) {
		*reason = gai_strerror(failure);
		return 0;
	}
	int fd = -EADDRNOTAVAIL;
	for (struct addrinfo *at = list; at && fd < 0; at = at->ai_next) {
		fd = connect_to(at->ai_family, at->ai_addr, at->ai_addrlen);
	}
	freeaddrinfo(list);
	return fd;
}

/* The next reply, or NULL after trip(). */
static redisReply *next_reply(struct redis *r)
{
	redisContext *c = r->context;
	for (;;) {
		void *reply = NULL;
		int written = 0;
		if (redisGetReplyFromReader(c, &reply) != REDIS_OK) {
			trip_context(r);
			return NULL;
		}
		if (reply) {
			return reply;
		}
		size_t before = c->reader->len;
		if (redisBufferWrite(c, &written) != REDIS_OK || redisBufferRead(c) != REDIS_OK) {
			trip_context(r);
			return NULL;
		}
		if (c->reader->len > REDIS_VALUE_MAX + 4096) {
			trip(r, "%s holds a value that is too large to be ours", r->where);
			return NULL;
		}
		if (c->reader->len != before) {
			continue;
		}
		short events = written ? POLLIN : POLLIN | POLLOUT;
		int failure = wait_for(c->fd, events, monotonic_ms() + ANSWER_MS);
		if (failure == ETIMEDOUT) {
			trip(r, "%s gave no answer in %d ms", r->where, ANSWER_MS);
			return NULL;
		}
		if (failure) {
			trip(r, "cannot wait for %s: %s", r->where, strerror(failure));
			return NULL;
		}
	}
}

/* Queue a command and write what the socket takes; false after trip(). */
static bool send_command(struct redis *r, int argc, const char **argv, const size_t *lens)
{
	int written;
	if (redisAppendCommandArgv(r->context, argc, argv, lens) != REDIS_OK ||
	        redisBufferWrite(r->context, &written) != REDIS_OK) {
		trip_context(r);
		return false;
	}
	return true;
}

/* A command of the greeting and its answer. */
static bool greet(struct redis *r, int argc, const char **argv)
{
	if (!send_command(r, argc, argv, NULL)) {
		return false;
	}
	redisReply *reply = next_reply(r);
	if (!reply) {
		return false;
	}
	bool good = reply->type != REDIS_REPLY_ERROR;
	if (!good) {
		trip(r, "%s refused %s: %s", r->where, argv[0], reply->str);
	}
	freeReplyObject(reply);
	return good;
}

static bool greet_all(struct redis *r)
{
	if (r->uri.password) {
		bool user = r->uri.user && *r->uri.user;
		const char *auth[3] = {
		        "AUTH", user ? r->uri.user : r->uri.password, r->uri.password};
		if (!greet(r, user ? 3 : 2, auth)) {
			return false;
		}
	}
	if (r->database) {
		char number[16];
		snprintf(number, sizeof number, "%u", r->database);
		const char *choose[2] = {"SELECT", number};
		return greet(r, 2, choose);
	}
	return true;
}

/* Connected, now if need be? */
static bool ready(struct redis *r)
{
	if (r->context) {
		return true;
	}
	if (monotonic_ms() < r->retry_ms) {
		return false;
	}
	const char *reason = NULL;
	int fd = r->uri.host ? connect_tcp(r, &reason) : connect_unix(r);
	if (fd < 0 || reason) {
		trip(r, "cannot connect to %s: %s", r->where, reason ? reason : strerror(-fd));
		return false;
	}
	r->context = redisConnectFd(fd);
	if (!r->context) {
		close(fd);
		trip(r, "cannot connect to %s: out of memory", r->where);
		return false;
	}
	r->context->flags &= ~REDIS_BLOCK;
	if (!greet_all(r)) {
		return false;
	}
	r->trouble[0] = '\0';
	return true;
}

static bool outstanding(const struct redis *r)
{
	return r->ahead || r->behind || (r->asked && !r->answer);
}

/* A wrong type under our key is only a missing value; whatever else is refused is worth a word. */
static bool refused(struct redis *r, const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_ERROR || strncmp(reply->str, "WRONGTYPE", 9) == 0) {
		return false;
	}
	snprintf(r->trouble, sizeof r->trouble, "%s refused a command: %s", r->where, reply->str);
	return true;
}

/* Take one reply off the line; false after trip(). */
static bool receive(struct redis *r)
{
	redisReply *reply = next_reply(r);
	if (!reply) {
		return false;
	}
	if (!r->ahead && r->asked && !r->answer) {
		r->answer = reply;
	} else {
		CHECK(r->ahead || r->behind);
		if (r->ahead) {
			r->ahead--;
		} else {
			r->behind--;
		}
		refused(r, reply);
		freeReplyObject(reply);
	}
	if (!outstanding(r)) {
		r->unsettled = 0;
	}
	return true;
}

/* The request is over: what stood behind it now comes first. */
static void close_request(struct redis *r)
{
	if (r->answer) {
		freeReplyObject(r->answer);
		r->answer = NULL;
	} else if (r->asked) {
		r->ahead++;
	}
	r->asked = false;
	r->ahead += r->behind;
	r->behind = 0;
}

void redis_request(struct redis *r, const void *key, size_t len)
{
	const char *argv[2] = {"GET", key};
	const size_t lens[2] = {3, len};
	close_request(r);
	if (ready(r) && send_command(r, 2, argv, lens)) {
		r->asked = true;
	}
}

bool redis_answer(struct redis *r, struct buf *value)
{
	bool found = false;
	buf_clear(value);
	while (r->asked && !r->answer && receive(r)) {
	}
	if (!r->asked) {
		return false;
	}
	if (refused(r, r->answer)) {
		r->retry_ms = monotonic_ms() + BREAK_MS;
		disconnect(r);
		return false;
	}
	if (r->answer->type == REDIS_REPLY_STRING) {
		buf_add(value, r->answer->str, r->answer->len);
		found = !value->failed;
	}
	close_request(r);
	return found;
}

bool redis_get(struct redis *r, const void *key, size_t len, struct buf *value)
{
	redis_request(r, key, len);
	return redis_answer(r, value);
}

void redis_put(struct redis *r, const void *key, size_t key_len, const void *value, size_t len,
        unsigned expire_s)
{
	char seconds[16];
	int digits = snprintf(seconds, sizeof seconds, "%u", expire_s);
	const char *argv[5] = {"SET", key, value, "EX", seconds};
	const size_t lens[5] = {3, key_len, len, 2, (size_t)digits};
	if (len > REDIS_VALUE_MAX || !ready(r)) {
		return;
	}
	if (r->ahead + r->behind >= PUTS_MAX || r->unsettled + len > PUT_BYTES_MAX) {
		redis_settle(r);
	}
	if (r->context && send_command(r, expire_s ? 5 : 3, argv, lens)) {
		r->unsettled += len;
		if (r->asked) {
			r->behind++;
		} else {
			r->ahead++;
		}
	}
}

void redis_settle(struct redis *r)
{
	while (r->context && outstanding(r) && receive(r)) {
	}
}

static int check_uri(struct redis *r, const char *url, struct vega_error *err)
{
	struct uri *uri = &r->uri;
	uint64_t database = 0;
	if (strcmp(uri->scheme, "unix") == 0 && !uri->host) {
		struct sockaddr_un address;
		if (!uri->path || !*uri->path || strlen(uri->path) >= sizeof address.sun_path) {
			return vega_fail(err, VEGA_USAGE,
			        "bad cache URL '%s': wanted unix:PATH, at most %zu bytes of PATH",
			        url, sizeof address.sun_path - 1);
		}
		return 0;
	}
	if (strcmp(uri->scheme, "redis") != 0 || !uri->host || !*uri->host) {
		return vega_fail(err, VEGA_USAGE,
		        "bad cache URL: wanted redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE] or "
		        "unix:PATH");
	}
	if (uri->path && *uri->path &&
	        (parse_u64(uri->path, &database, NULL) != 0 || database > 65535)) {
		return vega_fail(err, VEGA_USAGE,
		        "bad database '%s' in the cache URL: wanted a number, as in "
		        "redis://HOST/1",
		        uri->path);
	}
	r->database = (unsigned)database;
	return 0;
}

/* The URL as people may see it. */
static char *describe(const struct redis *r)
{
	struct buf out = BUF_INIT;
	if (!r->uri.host) {
		buf_printf(&out, "unix:%s", r->uri.path);
	} else {
		bool six = strchr(r->uri.host, ':') != NULL;
		buf_printf(&out, "redis://%s%s%s:%s", six ? "[" : "", r->uri.host, six ? "]" : "",
		        r->port);
		if (r->database) {
			buf_printf(&out, "/%u", r->database);
		}
	}
	return buf_detach(&out);
}

int redis_new(const char *url, struct redis **out, struct vega_error *err)
{
	struct redis *r = calloc(1, sizeof *r);
	*out = NULL;
	if (!r) {
		return vega_fail_nomem(err);
	}
	int code = uri_parse(url, &r->uri, err);
	if (code == 0) {
		code = check_uri(r, url, err);
	}
	if (code == 0) {
		snprintf(r->port, sizeof r->port, "%u", r->uri.port ? r->uri.port : PORT_DEFAULT);
		r->where = describe(r);
		code = r->where ? 0 : vega_fail_nomem(err);
	}
	if (code) {
		redis_free(r);
		return code;
	}
	*out = r;
	return 0;
}

const char *redis_trouble(const struct redis *r)
{
	return r->trouble[0] ? r->trouble : NULL;
}

void redis_free(struct redis *r)
{
	if (!r) {
		return;
	}
	redis_settle(r);
	disconnect(r);
	uri_release(&r->uri);
	free(r->where);
	free(r);
}
