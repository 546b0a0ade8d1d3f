/*
 * The protocol of sd_notify(3), without its library: a process tells the service manager that
 * started it what it does, in datagrams to the socket that NOTIFY_SOCKET names.
 */
#ifndef VEGA_BASE_NOTIFY_H
#define VEGA_BASE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Send assignments, a line each ("READY=1\nSTATUS=…"). Never blocks. False: too many wait to be
 * read; tell it again later. Where nobody asked, or nobody listens, nothing happens. */
bool notify_send(const char *state);

/* How often a watchdog expects WATCHDOG=1, in milliseconds (WATCHDOG_USEC, when it is meant for
 * this process); 0: there is none. */
uint64_t notify_watchdog_ms(void);

#endif
