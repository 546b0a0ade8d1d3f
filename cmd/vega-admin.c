/* vega-admin: keep a job store: remove what is old, tell what there is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "job_print.h"
#include "prune.h"
#include "spec/spec.h"
#include "store/stats.h"

#define MILLISECOND UINT64_C(1000000)
#define TIMEOUT_MS 60000 /* a look at every job of a large store takes its time */
#define BATCH 500
#define BATCH_MAX 10000

enum { PRUNE = 1, STATS = 2 }; /* the groups of the options */

struct admin {
	struct option_common common;
	char *store, *queue, *label, *spool;
	struct option_number older_than, batch;
	uint32_t state;
	struct strlist root, forget_host;
	bool dry_run;
	unsigned format;
};

static const char *const state_names[] = {"completed", "failed", "cancelled", NULL};
static const char *const format_names[] = {"text", "json", "prometheus", NULL};

#define FIELD(member) .offset = offsetof(struct admin, member)
#define WHICH "Prune: which jobs"
#define HOW "Prune: how"
#define GENERAL "General"

static const struct option_row rows[] = {
        {"older-than", 0, OPT_DURATION, FIELD(older_than), PRUNE, "AGE", NULL, WHICH,
                "jobs that ended more than AGE ago (30d); required"},
        {"state", 's', OPT_CHOICES, FIELD(state), PRUNE, "STATE", state_names, WHICH,
                "in one of these states; repeat or separate with commas (default: all three)"},
        {"queue", 0, OPT_TEXT, FIELD(queue), PRUNE, "NAME", NULL, WHICH, "in the queue NAME"},
        {"label", 0, OPT_TEXT, FIELD(label), PRUNE, "K=V", NULL, WHICH, "with this label"},
        {"dry-run", 0, OPT_FLAG, FIELD(dry_run), PRUNE, NULL, NULL, HOW,
                "print what would be removed, and remove nothing"},
        {"batch", 0, OPT_NUMBER, FIELD(batch), PRUNE, "N", NULL, HOW,
                "remove up to N jobs in one transaction (default: 500)"},
        {"spool", 0, OPT_TEXT, FIELD(spool), PRUNE, "DIR", NULL, HOW,
                "where this host's workers keep the long record streams of this store alone "
                "(default: $XDG_STATE_HOME/vega/results, which stores may share)"},
        {"forget-host", 0, OPT_LIST, FIELD(forget_host), PRUNE, "NAME", NULL, HOW,
                "treat spooled files on host NAME as lost, and remove their jobs: for a host that "
                "was renamed or replaced; repeat for more"},
        {CMD_ROOT(struct admin), .groups = PRUNE, .heading = HOW,
                .help = "look for staging directories of jobs only beneath DIR; repeat for more "
                        "(default: $VEGA_ROOTS, separated by colons, else anywhere; when the store "
                        "is PostgreSQL, else nowhere)"},
        {CMD_FORMAT(struct admin), .choices = format_names, .heading = GENERAL,
                .help = "text (default), json (one object), or prometheus (for stats)"},
        {CMD_STORE(struct admin), .heading = GENERAL},
};

static const struct cmd_help help = {
        .usage = "vega-admin prune --older-than AGE [OPTION]...\n"
                 "       vega-admin stats [OPTION]...",
        .intro = "prune removes ended jobs with all their files, and the files of lost workers. "
                 "stats counts jobs, leases and workers.",
        .examples = "  vega-admin prune --older-than 30d --dry-run\n"
                    "  vega-admin prune --older-than 7d --state completed --queue nightly\n"
                    "  vega-admin stats\n"
                    "  vega-admin stats --format prometheus",
        .status = "Exit status: 0 done; 2 usage or fatal error; 3 something could not be removed, "
                  "and is named; 5 the store is unreachable.",
};

static int run_prune(const struct admin *admin, struct store *store, struct vega_error *err)
{
	struct strlist roots = {0};
	bool shared = store->driver != &store_sqlite;
	int code = spec_allowed_roots(&admin->root, getenv("VEGA_ROOTS"), &roots, err);
	const struct prune_request request = {
	        .options = {.older_ms = admin->older_than.value / MILLISECOND,
	                .states = admin->state << JOB_COMPLETED,
	                .queue = admin->queue,
	                .label = admin->label,
	                .forgotten = &admin->forget_host,
	                .batch = admin->batch.set ? (unsigned)admin->batch.value : BATCH,
	                .dry_run = admin->dry_run},
	        .spool = admin->spool,
	        .roots = &roots,
	        .stages = roots.count || !shared,
	        .json = admin->format != 0};
	code = code ? code : prune(store, &request, err);
	strlist_release(&roots);
	return code;
}

static int print_stats(const struct admin *admin, struct store *store, struct vega_error *err)
{
	struct buf out = BUF_INIT;
	int code = stats_report(store, (enum stats_format)admin->format, &out, err);
	return code ? code : print_buf(&out, err);
}

/* What is here is removed, and not forgotten. */
static int check_forgotten(const struct strlist *hosts, struct vega_error *err)
{
	char host[256] = "localhost"; /* as the spool has it */
	gethostname(host, sizeof host - 1);
	for (size_t i = 0; i < hosts->count; i++) {
		if (strcmp(hosts->items[i], host) == 0) {
			return vega_fail(err, VEGA_USAGE,
			        "--forget-host %s: that is this host; name its directory with "
			        "--spool",
			        host);
		}
	}
	return 0;
}

static int check_prune(const struct admin *admin, struct vega_error *err)
{
	if (!admin->older_than.set) {
		return vega_fail(err, VEGA_USAGE, "say which jobs to remove: --older-than 30d");
	}
	if (admin->batch.set && (admin->batch.value < 1 || admin->batch.value > BATCH_MAX)) {
		return vega_fail(err, VEGA_USAGE, "--batch %llu: not in the range 1-%d",
		        (unsigned long long)admin->batch.value, BATCH_MAX);
	}
	if (admin->format == STATS_PROMETHEUS) {
		return vega_fail(err, VEGA_USAGE, "--format prometheus is for stats");
	}
	return check_forgotten(&admin->forget_host, err);
}

/* The group of the one operand. */
static int parse_action(char **operands, size_t count, unsigned *action, struct vega_error *err)
{
	const char *name = count ? operands[0] : "";
	*action = strcmp(name, "prune") == 0 ? PRUNE : strcmp(name, "stats") == 0 ? STATS : 0;
	if (count != 1 || !*action) {
		return vega_fail(err, VEGA_USAGE, "say what to do: prune, or stats");
	}
	return 0;
}

static int run(const struct admin *admin, char **operands, size_t count,
        const struct option_given *given, struct vega_error *err)
{
	struct store *store;
	unsigned action;
	int code = parse_action(operands, count, &action, err);
	for (size_t i = 0; code == 0 && i < given->count; i++) {
		if (given->rows[i]->groups && !(given->rows[i]->groups & action)) {
			code = vega_fail(
			        err, VEGA_USAGE, "--%s is for prune", given->rows[i]->name);
		}
	}
	if (code == 0 && action == PRUNE) {
		code = check_prune(admin, err);
	}
	code = code ? code : store_open(admin->store, TIMEOUT_MS, &store, err);
	if (code) {
		return code;
	}
	code = action == PRUNE ? run_prune(admin, store, err) : print_stats(admin, store, err);
	store->driver->close(store);
	return code;
}

int main(int argc, char **argv)
{
	struct admin admin = {.dry_run = false};
	struct option_given given = {.count = 0};
	struct vega_error err;
	char **operands = NULL;
	size_t operand_count = 0;
	const struct option_table tables[] = {
	        {rows, sizeof rows / sizeof *rows, &admin},
	        {option_common_rows, option_common_count, &admin.common},
	};
	const size_t count = sizeof tables / sizeof *tables;
	int status = 0;
	cmd_begin("vega-admin");
	int code = option_parse(
	        tables, count, argc, argv, &operands, &operand_count, NULL, &given, &err);
	if (!cmd_common(&admin.common, &help, tables, count, &status)) {
		code = code ? code : run(&admin, operands, operand_count, &given, &err);
		status = code ? cmd_usage_error(&err) : 0;
	}
	free(operands);
	free(given.rows);
	option_release(rows, sizeof rows / sizeof *rows, &admin);
	return status;
}
