/* Signal handlers that only set a flag, and the timer that raises the tick. */
#include "base/signal.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

atomic_int signal_stop;
atomic_int signal_tick;

static void on_stop(int number)
{
	atomic_store_explicit(&signal_stop, number, memory_order_relaxed);
}

static void on_tick(int number)
{
	(void)number;
	atomic_store_explicit(&signal_tick, 1, memory_order_relaxed);
}

void signal_setup(void)
{
	static const int stops[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action = {
	        .sa_handler = on_stop, .sa_flags = SA_RESTART | (int)SA_RESETHAND};
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
		struct sigaction old;
		/* nohup and background shells ignore some of these: keep that. */
		if (sigaction(stops[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
			sigaction(stops[i], &action, NULL);
		}
	}
	action.sa_handler = on_tick;
	action.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
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
