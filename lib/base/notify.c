/* sd_notify(3) without libsystemd: one datagram per message to the socket in NOTIFY_SOCKET. */
#include "base/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/parse.h"

bool notify_send(const char *state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path ? strlen(path) : 0;
	if (len < 2 || len > sizeof address.sun_path || (*path != '/' && *path != '@')) {
		return true;
	}
	memcpy(address.sun_path, path, len);
	if (*path == '@') {
		address.sun_path[0] = '\0'; /* an abstract one */
	}
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return true;
	}
	ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
	        (const struct sockaddr *)&address,
	        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	bool full = sent < 0 && errno == EAGAIN;
	close(fd);
	return !full;
}

uint64_t notify_watchdog_ms(void)
{
	const char *pid = getenv("WATCHDOG_PID"), *interval = getenv("WATCHDOG_USEC");
	uint64_t number, us;
	if (!interval || parse_u64(interval, &us, NULL) != 0 ||
	        (pid && (parse_u64(pid, &number, NULL) != 0 || number != (uint64_t)getpid()))) {
		return 0;
	}
	return us / 1000;
}
