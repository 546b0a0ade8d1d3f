/* Kill points of the build with faults: a process that passes the named step ends itself with
 * SIGKILL. */
#include "base/killpoint.h"

#ifdef VEGA_KILL_POINTS

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {
#define KILL_STEP(name) #name,
#include "base/killpoint.def"
#undef KILL_STEP
};

void kill_point_pass(enum kill_point point)
{
	static atomic_ulong passed;
	const char *wanted = getenv("VEGA_KILL_AT"), *mark = getenv("VEGA_KILL_MARK");
	size_t len = strlen(names[point]);
	if (!wanted || strncmp(wanted, names[point], len) != 0 ||
	        (wanted[len] && wanted[len] != ':')) {
		return;
	}
	unsigned long at = wanted[len] ? strtoul(wanted + len + 1, NULL, 10) : 1;
	if (atomic_fetch_add(&passed, 1) + 1 != at) {
		return;
	}
	if (!mark || open(mark, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) >= 0) {
		kill(getpid(), SIGKILL);
	}
}

#endif
