/* What is told to a service manager arrives, and what is not asked for goes nowhere. */
#include "base/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../tap.h"

/* A service manager's socket, at a path or, with "@NAME", an abstract one. */
static int listen_at(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	memcpy(address.sun_path, name, len);
	if (*name == '@') {
		address.sun_path[0] = '\0';
	}
	ok(bind(fd, (const struct sockaddr *)&address,
	           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) == 0,
	        "a socket listens at %s", name);
	return fd;
}

static void arrives(int fd, const char *wanted)
{
	char text[100] = "";
	is_int(recv(fd, text, sizeof text - 1, 0), strlen(wanted),
	        "a notification is one datagram");
	is_str(text, wanted, "a notification has the text that was sent");
}

static void test_send(const char *name)
{
	char text[16];
	int fd = listen_at(name);
	setenv("NOTIFY_SOCKET", name, 1);
	notify_send("READY=1\nSTATUS=well");
	arrives(fd, "READY=1\nSTATUS=well");
	int sent = 0;
	while (sent < 10000 && notify_send("WATCHDOG=1")) {
		sent++;
	}
	ok(sent > 0 && sent < 10000, "a full socket does not block, and is reported");
	arrives(fd, "WATCHDOG=1");
	unsetenv("NOTIFY_SOCKET");
	while (recv(fd, text, sizeof text, 0) > 0) {
	}
	ok(notify_send("READY=1"), "a notification without a socket succeeds");
	ok(recv(fd, text, sizeof text, 0) < 0, "no notification is sent unasked");
	close(fd);
}

static uint64_t watchdog(const char *interval, const char *pid)
{
	setenv("WATCHDOG_USEC", interval, 1);
	if (pid) {
		setenv("WATCHDOG_PID", pid, 1);
	}
	uint64_t found = notify_watchdog_ms();
	unsetenv("WATCHDOG_PID");
	return found;
}

static void test_watchdog(void)
{
	char self[24];
	snprintf(self, sizeof self, "%ld", (long)getpid());
	is_int(notify_watchdog_ms(), 0, "no watchdog is set by default");
	is_int(watchdog("60000000", NULL), 60000, "a watchdog without a process is ours");
	is_int(watchdog("60000000", self), 60000, "a watchdog for our process is ours");
	is_int(watchdog("60000000", "1"), 0, "a watchdog for another process is not ours");
	is_int(watchdog("60000000", "us"), 0, "a watchdog for no process is not ours");
	is_int(watchdog("soon", NULL), 0, "a watchdog without an interval is ignored");
}

int main(void)
{
	char directory[] = "/tmp/vega-notify.XXXXXX", path[64], abstract[64];
	if (!mkdtemp(directory)) {
		return 1;
	}
	unsetenv("WATCHDOG_USEC");
	snprintf(path, sizeof path, "%s/socket", directory);
	snprintf(abstract, sizeof abstract, "@vega-notify-%ld", (long)getpid());
	test_send(path);
	test_send(abstract);
	test_watchdog();
	unlink(path);
	ok(rmdir(directory) == 0, "no file of the test is left");
	return done();
}
