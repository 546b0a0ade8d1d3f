/* Signal handlers that only set a flag, the thread that takes stop signals, and the timer that
 * raises the tick. */
#include "base/signal.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

atomic_int signal_stop;
atomic_int signal_tick, signal_asked;

static const int stops[] = {SIGINT, SIGTERM, SIGHUP};
static sigset_t caught; /* those of them that were not ignored at the start */

static void on_stop(int number)
{
	atomic_store_explicit(&signal_stop, number, memory_order_relaxed);
	for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
		if (sigismember(&caught, stops[i])) {
			signal(stops[i], SIG_DFL);
		}
	}
}

static void on_tick(int number)
{
	if (number == SIGUSR1) {
		atomic_store_explicit(&signal_asked, 1, memory_order_relaxed);
	}
	atomic_store_explicit(&signal_tick, 1, memory_order_relaxed);
}

void signal_setup(void)
{
	struct sigaction action = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
	sigemptyset(&action.sa_mask);
	sigemptyset(&caught);
	for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
		struct sigaction old;
		/* nohup and background shells ignore some of these: keep that. */
		if (sigaction(stops[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
			sigaddset(&caught, stops[i]);
			sigaction(stops[i], &action, NULL);
		}
	}
	action.sa_handler = on_tick;
	action.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static struct {
	void (*stopped)(void *context);
	void *context;
} watch;

/* Its signals are blocked but while it waits, so none is missed. */
_Noreturn static void *take_stops(void *unused)
{
	(void)unused;
	sigset_t others;
	sigfillset(&others);
	for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
		if (sigismember(&caught, stops[i])) {
			sigdelset(&others, stops[i]);
		}
	}
	while (atomic_load(&signal_stop) <= 0) {
		sigsuspend(&others);
	}
	pthread_sigmask(SIG_SETMASK, &others, NULL);
	if (watch.stopped) {
		watch.stopped(watch.context);
	}
	for (;;) {
		pause();
	}
}

/* The stack is here so that a small walk need not map one. */
void signal_watch(void (*stopped)(void *context), void *context)
{
	static _Alignas(4096) char stack[256 << 10];
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all, before;
	watch.stopped = stopped;
	watch.context = context;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setstack(&attributes, stack, sizeof stack);
	if (pthread_create(&thread, &attributes, take_stops, NULL) == 0) {
		pthread_detach(thread);
		for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
			sigaddset(&before, stops[i]);
		}
	}
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void signal_every(unsigned interval_ms)
{
	struct timeval step = {
	        .tv_sec = interval_ms / 1000, .tv_usec = (interval_ms % 1000) * 1000L};
	struct itimerval timer = {.it_interval = step, .it_value = step};
	setitimer(ITIMER_REAL, &timer, NULL);
}

void signal_die(int number)
{
	sigset_t set;
	signal(number, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(number);
	_exit(128 + number);
}
