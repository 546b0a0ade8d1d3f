/* Signals of a command that works: what is known is still printed, and a second signal ends it at
 * once. */
#ifndef VEGA_BASE_SIGNAL_H
#define VEGA_BASE_SIGNAL_H

#include <stdatomic.h>

extern atomic_int signal_stop; /* the number of the SIGINT, SIGTERM or SIGHUP that came, else 0 */
/* Set to 1 by SIGUSR1 and by the timer, and the other one by SIGUSR1 alone; whoever acts on one
 * clears it. */
extern atomic_int signal_tick, signal_asked;

/* Install the handlers (SA_RESTART; a second stop signal, of whatever kind, has its default
 * effect), and ignore SIGPIPE. */
void signal_setup(void);

/*
 * The stop signals are taken by a thread of its own from now on, so that the first one is seen and
 * the second one, of whatever kind, ends the process at once, even while all other threads are in
 * calls that are not answered (fs/wait.h). After the first, `stopped` is called in it; NULL: not.
 * To be called by the only thread that there is. Without room for another the handlers stay.
 */
void signal_watch(void (*stopped)(void *context), void *context);

/* Raise signal_tick every interval_ms (0: stop). */
void signal_every(unsigned interval_ms);

/* End the process by the signal's default action, so that the parent sees 128+n. */
_Noreturn void signal_die(int number);

#endif
