/* The Redis connection, against a real server: values, trouble, and time. */
#include "base/redis.h"

#include <arpa/inet.h>
#include <pthread.h>

#include "base/signal.h"
#include "../redis_server.h"
#include "../tap.h"

static struct redis_server server;
static struct buf value;

static struct redis *connection(const char *url)
{
	struct redis *redis;
	struct vega_error err = {0};
	if (redis_new(url, &redis, &err) != 0) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
	return redis;
}

static void put(struct redis *redis, const char *key, const char *text)
{
	redis_put(redis, key, strlen(key), text, strlen(text), 60);
}

static bool get_is(struct redis *redis, const char *key, const char *text)
{
	return redis_get(redis, key, strlen(key), &value) && value.len == strlen(text) &&
	       memcmp(value.data, text, value.len) == 0;
}

static void is_trouble(const struct redis *redis, const char *part)
{
	const char *trouble = redis_trouble(redis);
	ok(trouble && strstr(trouble, part), "trouble: %s", trouble ? trouble : "none");
}

static void urls(void)
{
	static const char *const bad[] = {"unix:", "redis://", "redis://h/x", "redis://h/99999",
	        "redis:path", "http://h", "",
	        ("unix:/0123456789012345678901234567890123456789012345678901234567890123456789"
	         "012345678901234567890123456789012345678")};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct redis *redis = NULL;
		struct vega_error err = {0};
		is_int(redis_new(bad[i], &redis, &err), VEGA_USAGE, "the URL '%s' is rejected",
		        bad[i]);
		ok(!redis && err.text[0] && !strchr(err.text, '\n'),
		        "a rejected URL has one line of error: %s", err.text);
	}
	struct redis *redis = connection("redis://user:secret@127.0.0.1:1/2");
	ok(!redis_get(redis, "k", 1, &value), "a server that does not listen gives no value");
	is_str(redis_trouble(redis), "cannot connect to redis://127.0.0.1:1/2: Connection refused",
	        "the trouble names the server, not the password");
	redis_free(redis);
	redis = connection("redis://[::1]:1");
	ok(!redis_get(redis, "k", 1, &value), "an IPv6 address keeps its brackets");
	is_trouble(redis, "redis://[::1]:1: ");
	redis_free(redis);
	redis = connection("redis://no-such-host.invalid");
	ok(!redis_get(redis, "k", 1, &value), "an unknown host gives no value");
	is_trouble(redis, "cannot connect to redis://no-such-host.invalid:6379: ");
	redis_free(redis);
}

static void values(void)
{
	struct redis *redis = connection(server.url);
	ok(!redis_get(redis, "k", 1, &value), "a missing key has no value");
	ok(!redis_trouble(redis), "a missing key is no trouble");
	put(redis, "k", "v");
	ok(get_is(redis, "k", "v"), "a value that was put is found");
	put(redis, "empty", "");
	ok(get_is(redis, "empty", ""), "an empty value is found");
	redis_put(redis, "\0\r\n", 3, "\0\xff\r\n", 4, 0);
	ok(redis_get(redis, "\0\r\n", 3, &value) && value.len == 4 &&
	                memcmp(value.data, "\0\xff\r\n", 4) == 0,
	        "keys and values may be any bytes");

	char *large = malloc(REDIS_VALUE_MAX + 1);
	memset(large, 'x', REDIS_VALUE_MAX + 1);
	redis_put(redis, "large", 5, large, REDIS_VALUE_MAX, 60);
	ok(redis_get(redis, "large", 5, &value) && value.len == REDIS_VALUE_MAX &&
	                memcmp(value.data, large, value.len) == 0,
	        "a value of 16 MiB is found");
	redis_put(redis, "larger", 6, large, REDIS_VALUE_MAX + 1, 60);
	ok(!redis_get(redis, "larger", 6, &value) && !redis_trouble(redis),
	        "a value of more than 16 MiB is not stored");
	free(large);

	ok(redis_server_command(&server, "RPUSH list x"), "a list is stored");
	ok(!redis_get(redis, "list", 4, &value) && !redis_trouble(redis),
	        "a key of another type has no value");
	put(redis, "list", "mine");
	ok(get_is(redis, "list", "mine"), "a put replaces a key of another type");
	redis_free(redis);
}

static void pipeline(void)
{
	struct redis *redis = connection(server.url);
	char key[32], text[32];
	put(redis, "a", "1");
	redis_request(redis, "a", 1);
	put(redis, "a", "2");
	ok(redis_answer(redis, &value) && value.len == 1 && value.data[0] == '1',
	        "a request is answered as of the time when it was made");
	ok(!redis_answer(redis, &value), "a request is answered only once");
	ok(get_is(redis, "a", "2"), "a put after a request is done");
	redis_request(redis, "a", 1);
	redis_request(redis, "nothing", 7);
	ok(!redis_answer(redis, &value), "a further request abandons the one before");
	redis_request(redis, "a", 1);
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "many%d", i);
		snprintf(text, sizeof text, "value%d", i);
		put(redis, key, text);
	}
	redis_request(redis, "many999", 7);
	ok(redis_answer(redis, &value) && value.len == 8 && memcmp(value.data, "value999", 8) == 0,
	        "an abandoned answer is not taken for a later one");
	bool all = true;
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "many%d", i);
		snprintf(text, sizeof text, "value%d", i);
		all &= get_is(redis, key, text);
	}
	ok(all, "a thousand puts without waiting are all found");
	redis_free(redis);

	redis = connection(server.url);
	put(redis, "last", "words");
	redis_free(redis);
	redis = connection(server.url);
	ok(get_is(redis, "last", "words"), "closing waits for all puts");
	redis_free(redis);
}

/* A port that was free a moment ago. */
static unsigned free_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof address;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool good = bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
	            getsockname(fd, (struct sockaddr *)&address, &len) == 0;
	close(fd);
	return good ? ntohs(address.sin_port) : 0;
}

static void database_and_password(void)
{
	struct redis_server guarded = {0};
	char text[128];
	unsigned port = 0;
	redis_server_start(&guarded, NULL, NULL);
	for (int tries = 0; tries < 20; tries++) {
		port = free_port();
		snprintf(text, sizeof text, "CONFIG SET port %u", port);
		if (redis_server_command(&guarded, text)) {
			break;
		}
	}
	ok(redis_server_command(&guarded, "CONFIG SET requirepass \"pa ss@\""),
	        "a server gets a password");

	struct redis *redis = connection(guarded.url);
	ok(!redis_get(redis, "k", 1, &value),
	        "a server that wants a password gives no value without it");
	is_trouble(redis, "NOAUTH");
	redis_free(redis);

	static const char *const good[] = {":pa%20ss%40@127.0.0.1", "default:pa%20ss%40@localhost"};
	for (size_t i = 0; i < 2; i++) {
		snprintf(text, sizeof text, "redis://%s:%u/%zu", good[i], port, i);
		redis = connection(text);
		ok(!redis_get(redis, "k", 1, &value) && !redis_trouble(redis),
		        "database %zu is empty", i);
		put(redis, "k", text);
		ok(get_is(redis, "k", text), "database values are found again");
		redis_free(redis);
	}
	snprintf(text, sizeof text, "redis://:wrong@127.0.0.1:%u", port);
	redis = connection(text);
	ok(!redis_get(redis, "k", 1, &value), "a wrong password gives no value");
	is_trouble(redis, "refused AUTH");
	ok(!strstr(redis_trouble(redis), "wrong@"), "the trouble does not repeat a wrong password");
	redis_free(redis);
	snprintf(text, sizeof text, "redis://:pa%%20ss%%40@127.0.0.1:%u/9999", port);
	redis = connection(text);
	ok(!redis_get(redis, "k", 1, &value), "a missing database gives no value");
	is_trouble(redis, "refused SELECT");
	redis_free(redis);
	redis_server_remove(&guarded);
}

static void silence(void)
{
	struct redis *redis = connection(server.url);
	put(redis, "k", "v");
	ok(get_is(redis, "k", "v"), "a server answers before it is silent");
	signal_setup();
	signal_every(20);
	kill(server.pid, SIGSTOP);
	long start = test_clock();
	ok(!redis_get(redis, "k", 1, &value), "a silent server has no value");
	long took = test_clock() - start;
	ok(took >= 400 && took < 3000,
	        "a silent server costs half a second, with ticks or without (%ld ms)", took);
	is_trouble(redis, "no answer in 500 ms");
	start = test_clock();
	for (int i = 0; i < 1000; i++) {
		redis_get(redis, "k", 1, &value);
		put(redis, "k", "w");
	}
	took = test_clock() - start;
	ok(took < 400, "a silent server is not asked for a while (%ld ms for 1000 uses)", took);
	redis_free(redis);

	redis = connection(server.url);
	start = test_clock();
	char *large = calloc(1, 1 << 20);
	for (int i = 0; i < 100; i++) {
		redis_put(redis, "k", 1, large, 1 << 20, 60);
	}
	free(large);
	redis_free(redis);
	took = test_clock() - start;
	ok(took < 3000, "100 MiB of puts to a silent server end soon (%ld ms)", took);
	kill(server.pid, SIGCONT);
	signal_every(0);
}

static void restart(void)
{
	struct redis *redis = connection(server.url);
	put(redis, "k", "v");
	ok(get_is(redis, "k", "v"), "a server answers before its restart");
	redis_server_stop(&server);
	ok(!redis_get(redis, "k", 1, &value), "a stopped server gives no value");
	is_trouble(redis, "lost the connection");
	redis_server_start(&server, NULL, NULL);
	long deadline = test_clock() + 15000, start = test_clock();
	bool found = false;
	while (!found && test_clock() < deadline) {
		put(redis, "k", "again");
		found = get_is(redis, "k", "again");
		usleep(20000);
	}
	long took = test_clock() - start;
	ok(found && took > 3000, "a restarted server is tried again after 5 s (%ld ms)", took);
	ok(!redis_trouble(redis), "a restarted server ends the trouble");
	redis_free(redis);
}

static void *flood(void *peer)
{
	static char chunk[1 << 16];
	int fd = *(int *)peer;
	ssize_t sent = write(fd, "$900000000\r\n", 12);
	while (sent > 0) {
		sent = write(fd, chunk, sizeof chunk);
	}
	return NULL;
}

/* Something that is not Redis, and something that takes no connection. */
static void strangers(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char url[sizeof address.sun_path + 5];
	snprintf(address.sun_path, sizeof address.sun_path, "%s.x", server.path);
	snprintf(url, sizeof url, "unix:%s", address.sun_path);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct redis *redis = connection(url);
	ok(!redis_get(redis, "k", 1, &value), "a missing socket gives no value");
	is_trouble(redis, "No such file");
	redis_free(redis);
	if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
	        listen(listener, 1) != 0) {
		printf("Bail out! cannot listen\n");
		exit(1);
	}
	redis = connection(url);
	redis_request(redis, "k", 1);
	int peer = accept(listener, NULL, NULL);
	ok(write(peer, "HTTP/1.1 400\r\n\r\n", 16) == 16 && !redis_answer(redis, &value),
	        "an answer in another protocol gives no value");
	is_trouble(redis, "Protocol error");
	close(peer);
	redis_free(redis);
	redis = connection(url);
	redis_request(redis, "k", 1);
	peer = accept(listener, NULL, NULL);
	pthread_t writer;
	ok(pthread_create(&writer, NULL, flood, &peer) == 0, "a server begins an answer of 900 MB");
	ok(!redis_answer(redis, &value), "an answer of 900 MB is not read to its end");
	is_trouble(redis, "too large");
	redis_free(redis);
	pthread_join(writer, NULL);
	close(peer);
	close(listener);
	unlink(address.sun_path);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	redis_server_start(&server, NULL, NULL);
	urls();
	values();
	pipeline();
	database_and_password();
	strangers();
	silence();
	restart();
	buf_release(&value);
	redis_server_remove(&server);
	return done();
}
