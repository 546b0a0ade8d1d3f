/* Announcing: what the store and a service manager learn of the worker, and how often. */
#include "fake.h"

TEST(idle_worker_is_not_announced, "a worker without work comes and goes unannounced")
{
	reset();
	is_int(work(), 0, "a worker without work ends well");
	is_int(announcements + leaves, 0, "a worker without work is not announced");
}

TEST(working_worker_is_announced, "a worker announces itself with each heartbeat")
{
	reset();
	config.jobs = 3;
	submit("sleep 0.8\n" SAY_SUMMARY);
	is_int(work(), 0, "a worker that works ends well");
	ok(announcements >= 3, "it is announced with each heartbeat (%u times)", announcements);
	ok(announced_well, "its name begins with its host");
	is_int(announced.running, 1, "it says how many jobs it runs");
	is_int(announced.jobs, 3, "it says how many it could run");
	is_int(announced.lease_ms, 1000, "it says how long it is to be trusted");
	is_int(announced.pid, getpid(), "it says its process");
	is_int(leaves, 1, "it signs off in the end");
}

TEST(waiting_worker_is_announced_once, "a worker that waits announces that once")
{
	reset();
	config.mode = WORKER_FOREVER;
	submit(SAY_SUMMARY);
	submit("trap '' TERM; kill -TERM $PPID\n" SAY_SUMMARY)->due = now_ms() + 1500;
	is_int(work(), 0, "a worker that has nothing to do for a while ends well");
	is_int(idle_announcements, 1, "it says once that it is idle");
	is_int(announcements, 1, "it is not announced again");
}

TEST(refused_announcement_is_harmless, "a worker that may not announce itself works all the same")
{
	reset();
	refuse_announcement = true;
	struct row *row = submit("sleep 0.8\n" SAY_SUMMARY);
	is_int(work(), 0, "a worker whose announcement is refused ends well");
	is_int(row->state, JOB_COMPLETED, "its job is completed");
	is_int(logged("not listed among the workers: permission denied"), 1,
	        "the refusal is logged once");
}

static char told[1000];
static unsigned deaf; /* so often the service manager takes nothing */

static bool fake_notify(const char *state)
{
	if (deaf) {
		deaf--;
		return false;
	}
	snprintf(told + strlen(told), sizeof told - strlen(told), "%s\n", state);
	return true;
}

TEST(readiness_is_repeated, "a service manager that missed READY=1 is told again, and once")
{
	reset();
	config.notify = fake_notify;
	deaf = 1;
	told[0] = '\0';
	submit(SAY_SUMMARY);
	is_int(work(), 0, "a worker whose service manager is deaf for a moment ends well");
	ok(strncmp(told, "READY=1\n", 8) == 0, "READY=1 is sent again: %s", told);
	ok(!strstr(told + 1, "READY=1"), "READY=1 arrives once");
}

WORKER_TESTS(SOURCE_SPEC)
