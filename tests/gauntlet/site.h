/* Where in the program a call comes from: its name, and the nearest return addresses. */
#ifndef TESTS_GAUNTLET_SITE_H
#define TESTS_GAUNTLET_SITE_H

#include <dlfcn.h>
#include <execinfo.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SITE_FRAMES 3
#define SITE_MAX 256

/* `own`: the frames of the shim itself. */
__attribute__((noinline, unused)) static void site_text(char *text, const char *call, int own)
{
	void *frame[16];
	int frames = backtrace(frame, own + 1 + SITE_FRAMES);
	int used = snprintf(text, SITE_MAX, "%s", call);
	for (int i = own + 1; i < frames; i++) {
		Dl_info info = {0};
		dladdr(frame[i], &info);
		used += snprintf(text + used, SITE_MAX / 8, "-%lx",
		        (unsigned long)((uintptr_t)frame[i] - (uintptr_t)info.dli_fbase));
	}
}

#endif
