/*
 * Small things that every file of the worker needs: the clock, chance, the log, which queues
 * it takes, and the way to say that the worker is to end. None of them calls into another file but
 * attempt.c.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include "base/clock.h"
#include "worker/worker_internal.h"

uint64_t worker_now(void)
{
	return boot_ms();
}

uint64_t worker_random(uint64_t limit)
{
	uint64_t bits = 0;
	return getrandom(&bits, sizeof bits, 0) == (ssize_t)sizeof bits && limit ? bits % limit : 0;
}

void worker_report(const struct worker *w, int level, const char *format, ...)
{
	char line[2048];
	va_list args;
	if (!w->config->log || level > w->config->verbosity) {
		return;
	}
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	w->config->log(line, w->config->log_context);
}

bool worker_stopping(const struct worker *w)
{
	return w->signals || w->failure.code || w->drained ||
	       (w->config->mode == WORKER_ONCE && w->claims);
}

void worker_give_up(struct worker *w, const struct vega_error *err)
{
	if (!w->failure.code) {
		w->failure = *err;
	}
	for (unsigned i = 0; i < w->config->jobs; i++) {
		attempt_stop(&w->attempts[i], ENDING_RELEASE, NULL, worker_now());
	}
}

bool worker_watch(struct worker *w, int fd, unsigned index, unsigned kind)
{
	struct epoll_event event = {
	        .events = EPOLLIN, .data.u64 = (uint64_t)index * EVENT_KINDS + kind};
	return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}
