/* vega-walk: run a specification now. */
#include "cmd.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/killpoint.h"
#include "base/signal.h"
#include "engine/engine.h"

struct arguments {
	struct option_common common;
	unsigned format, color;
	bool null;
	char *files0_from;
	char *cache;
	bool no_progress, verbose;
	/* for vega-run, which starts jobs with these */
	struct option_number spec_fd, progress_every, max_memory, max_output;
	struct strlist allow_root;
	bool refuse_commands;
	char *stage;
	bool publish, discard;
	bool operations; /* for completions/generate */
};

static const char *const format_names[] = {"text", "ndjson", "json", "csv", NULL};

enum color { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };
static const char *const colors[] = {"auto", "always", "never", NULL};

#define FIELD(member) .offset = offsetof(struct arguments, member)
#define OUTPUT "Output"

static const struct option_row rows[] = {
        {CMD_FORMAT(struct arguments), .choices = format_names, .heading = OUTPUT,
                .help = "text (default), ndjson (one record per line), json (only the summary), or "
                        "csv"},
        {"null", '0', OPT_FLAG, FIELD(null), 0, NULL, NULL, OUTPUT,
                "end each path with NUL instead of a newline, for xargs -0"},
        {"color", 0, OPT_CHOICE, FIELD(color), 0, "WHEN", colors, OUTPUT,
                "colour the picture: auto (default: on a terminal, unless NO_COLOR is set), always "
                "(for less -R), or never"},
        {"no-progress", 'q', OPT_FLAG, FIELD(no_progress), 0, NULL, NULL, OUTPUT,
                "print no progress line on a terminal (SIGUSR1 still prints one)"},
        {"verbose", 'v', OPT_FLAG, FIELD(verbose), 0, NULL, NULL, OUTPUT,
                "print the storage of each root, and the resulting number of threads, to standard "
                "error"},
        {"files0-from", 0, OPT_TEXT, FIELD(files0_from), 0, "FILE", NULL, OUTPUT,
                "read the roots, each ended by NUL, from FILE ('-': standard input)"},
        {CMD_CACHE(struct arguments), .heading = OUTPUT,
                .help = "remember results of unchanged files in redis://HOST or unix:SOCKET "
                        "(default: $VEGA_CACHE)"},
        {"spec-fd", 0, OPT_NUMBER, FIELD(spec_fd), 0, "N", NULL, NULL, NULL},
        {"progress-every", 0, OPT_NUMBER, FIELD(progress_every), 0, "MS", NULL, NULL, NULL},
        {"max-memory", 0, OPT_NUMBER, FIELD(max_memory), 0, "BYTES", NULL, NULL, NULL},
        {"max-output", 0, OPT_NUMBER, FIELD(max_output), 0, "BYTES", NULL, NULL, NULL},
        {"allow-root", 0, OPT_LIST, FIELD(allow_root), 0, "DIR", NULL, NULL, NULL},
        {"refuse-commands", 0, OPT_FLAG, FIELD(refuse_commands), 0, NULL, NULL, NULL, NULL},
        {"stage", 0, OPT_TEXT, FIELD(stage), 0, "ID.SEQ", NULL, NULL, NULL},
        {"publish", 0, OPT_FLAG, FIELD(publish), 0, NULL, NULL, NULL, NULL},
        {"discard", 0, OPT_FLAG, FIELD(discard), 0, NULL, NULL, NULL, NULL},
        {"vega-operations", 0, OPT_FLAG, FIELD(operations), 0, NULL, NULL, NULL, NULL},
};

static const struct cmd_help help = {
        .usage = "vega-walk [OPERATION[,OPERATION]...] [OPTION]... [ROOT]...\n"
                 "       vega-walk transform [OPTION]... --out DIR [ROOT]...\n"
                 "                 -- COMMAND [ARGUMENT]...",
        .intro = "Carry out one or more operations on the entries below each ROOT (default: .), "
                 "now. Write ./find for a directory that is named like an operation. Every entry "
                 "counts, hidden files included; links are not followed (except a ROOT that is "
                 "one).",
        .operations = true,
        .examples = "  vega-walk /var                                  see what fills the disk\n"
                    "  vega-walk find -e csv --min-size 1M -0 /data | xargs -0 wc -l\n"
                    "  vega-walk hash --algo sha256 /srv > SUMS        sha256sum -c SUMS\n"
                    "  vega-walk transform -e csv --to zstd --out /backup /data",
        .status = "Exit status: 0 complete; 2 usage or fatal error; 3 some entries could not be "
                  "read or written (each is named); 5 the disk of --out is full; 128+n ended by "
                  "signal n. See vega-walk(1).",
};

/* The context of a run. */
struct walking {
	struct screen screen;
	const struct arguments *args;
	const struct spec *spec;
	const struct engine_config *config;
};

static void wipe(void *context)
{
	struct walking *walking = context;
	screen_wipe(&walking->screen);
}

static void on_message(const char *line, void *context)
{
	wipe(context);
	fprintf(stderr, "%s: %s\n", cmd_name, line);
}

static uint64_t per_second(uint64_t count, uint64_t ns)
{
	return (uint64_t)((unsigned __int128)count * 1000000000u / (ns ? ns : 1));
}

static void on_progress(const struct engine_progress *p, void *context)
{
	struct walking *walking = context;
	struct screen *screen = &walking->screen;
	struct buf line = BUF_INIT;
	format_counted(&line, p->entries, "entry", "entries");
	if (p->expected) {
		uint64_t percent = (uint64_t)((unsigned __int128)p->entries * 100 / p->expected);
		buf_printf(&line, " (%" PRIu64 "%%)", percent < 99 ? percent : 99);
	}
	buf_add_str(&line, ", ");
	format_count(&line, per_second(p->entries, p->elapsed_ns));
	buf_add_str(&line, "/s");
	if (p->bytes) {
		buf_add_str(&line, ", ");
		format_size(&line, p->bytes);
		buf_add_str(&line, " read, ");
		format_size(&line, per_second(p->bytes, p->elapsed_ns));
		buf_add_str(&line, "/s");
	}
	if (p->errors) {
		buf_add_str(&line, ", ");
		format_counted(&line, p->errors, "error", "errors");
	}
	const char *text = buf_cstr(&line);
	bool asked = atomic_exchange(&signal_asked, 0);
	bool draw = screen->live && (!asked || screen_is_ours());
	if (text && draw) {
		size_t width = terminal_width(2) - 1;
		line.data[line.len < width ? line.len : width] = '\0';
		screen_draw(screen, text);
	} else if (text) {
		fprintf(stderr, "%s: %s\n", cmd_name, text);
	}
	buf_release(&line);
}

/* A job's process ends with its worker, whatever ends that. */
static void follow_parent(void)
{
	pid_t parent = getppid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) {
		_exit(128 + SIGKILL);
	}
}

/* Processes of the same user, a job's command among them, cannot take our pipes or read our
 * environment, which has the cache's password. Between execve() and here they can. */
static void hide_from_commands(void)
{
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static int read_spec(struct spec *spec, const struct arguments *args, struct vega_error *err)
{
	uint64_t fd = args->spec_fd.value;
	struct buf json = {.max = SPEC_JSON_MAX + 1};
	int error = fd > INT_MAX ? -EBADF : fd_read_all((int)fd, &json);
	int code = error ? vega_fail_errno(err, VEGA_FATAL, -error,
	                           "cannot read the specification from descriptor %" PRIu64, fd)
	                 : spec_parse_json(spec, json.data ? json.data : "", json.len, err);
	buf_release(&json);
	bool runs = !args->publish && !args->discard;
	if (!code && args->refuse_commands && runs && spec->command.count) {
		code = vega_fail(err, VEGA_USAGE,
		        "this worker runs no commands of jobs (%s); start one with vega-run "
		        "--commands",
		        spec->command.items[0]);
	}
	return code;
}

static struct format_options output_options(const struct arguments *args, const struct spec *spec)
{
	bool terminal = isatty(1);
	const struct operation *only = spec_only_operation(spec);
	return (struct format_options){
	        .terminal = terminal,
	        .color =
	                args->color == COLOR_AUTO ? terminal_color(1) : args->color == COLOR_ALWAYS,
	        .utf8 = terminal_utf8(),
	        .width = terminal ? terminal_width(1) : 80,
	        .height = terminal && !spec_shapes_summary(spec) ? terminal_height(1) : 0,
	        .null = args->null,
	        .schemas = operation_schemas,
	        .only = only ? &only->schema : NULL,
	};
}

/*
 * What this process, and each that it starts, may have mapped for writing of its own. Stacks count
 * before they are used: threads may take half of it. *threads is how many there may be.
 */
static int limit_memory(uint64_t bytes, unsigned *threads, struct vega_error *err)
{
	const uint64_t stack_default = 8 << 20;
	struct rlimit stack, memory;
	if (getrlimit(RLIMIT_STACK, &stack) != 0 || getrlimit(RLIMIT_DATA, &memory) != 0) {
		return vega_fail_errno(err, VEGA_FATAL, errno, "--max-memory");
	}
	memory.rlim_max = memory.rlim_max < bytes ? memory.rlim_max : bytes;
	memory.rlim_cur = memory.rlim_max;
	if (setrlimit(RLIMIT_DATA, &memory) != 0) {
		return vega_fail_errno(err, VEGA_FATAL, errno, "--max-memory");
	}
	bool bounded = stack.rlim_cur && stack.rlim_cur != RLIM_INFINITY;
	uint64_t most = bytes / 2 / (bounded ? stack.rlim_cur : stack_default);
	*threads = most == 0 ? 1 : most < INT_MAX ? (unsigned)most : INT_MAX;
	return 0;
}

/* Walk, or end what a walk for a job began. */
static int carry_out(const struct arguments *args, const struct spec *spec,
        struct engine_config *config, struct vega_error *err)
{
	struct stage stage;
	if (args->stage) {
		if (!stage_parse(&stage, args->stage)) {
			return vega_fail(
			        err, VEGA_USAGE, "--stage %s: not of the form ID.SEQ", args->stage);
		}
		config->stage = &stage;
	} else if (args->publish || args->discard) {
		return vega_fail(err, VEGA_USAGE, "--publish and --discard need --stage");
	}
	if (args->publish || args->discard) {
		signal_watch(NULL, NULL);
	}
	if (args->publish) {
		int code = engine_publish(spec, config, err);
		KILL_POINT(published);
		return code;
	}
	if (args->discard) {
		int code = engine_discard(spec, config, err);
		KILL_POINT(discarded);
		return code;
	}
	int code = run_spec(spec, config, err);
	KILL_POINT(walked);
	return code;
}

/* The picture has said it, on the same terminal. */
static bool is_told(const struct engine_config *config, const struct spec *spec, int code)
{
	return (code == VEGA_PARTIAL || code == VEGA_INTERRUPTED) && config->options.terminal &&
	       isatty(2) && spec_answers_in_summary(spec) && config->format->picture;
}

static void tell_memory(uint64_t bytes, struct vega_error *err)
{
	struct buf most = BUF_INIT;
	format_exact_size(&most, bytes);
	vega_fail(err, VEGA_NOMEM, "it needed more memory than --max-memory %s",
	        buf_cstr(&most) ? most.data : "allows");
	buf_release(&most);
}

static int print_operations(void)
{
	for (size_t i = 0; operations[i]; i++) {
		puts(operations[i]->name);
	}
	return 0;
}

/* The end of a run that had this code. */
static int end(struct walking *walking, int code, struct vega_error *err)
{
	const struct arguments *args = walking->args;
	signal_every(0);
	wipe(walking);
	if (code && err->sys == EPIPE) {
		signal_die(SIGPIPE);
	}
	if (code && args->max_memory.set && (code == VEGA_NOMEM || err->sys == ENOMEM)) {
		tell_memory(args->max_memory.value, err);
	}
	int status = !code                                           ? 0
	             : is_told(walking->config, walking->spec, code) ? vega_exit_status(code)
	                                                             : cmd_usage_error(err);
	if (code == VEGA_INTERRUPTED) {
		signal_die(signal_stop);
	}
	return status;
}

static void on_hung(int code, const struct vega_error *err, void *context)
{
	struct vega_error why = *err;
	_exit(end(context, code, &why));
}

static int run(const struct arguments *args, const struct spec *spec)
{
	struct walking walking = {.args = args, .spec = spec};
	struct vega_error err;
	struct engine_config config = {
	        .format = format_find(format_names[args->format]),
	        .options = output_options(args, spec),
	        .fd = 1,
	        .allowed = args->allow_root.count ? &args->allow_root : NULL,
	        .cache_url = args->cache ? args->cache : getenv("VEGA_CACHE"),
	        .max_output = args->max_output.value,
	        .stop = &signal_stop,
	        .tick = &signal_tick,
	        .progress_records = args->progress_every.set,
	        .progress = on_progress,
	        .progress_end = wipe,
	        .tell_facts = isatty(2),
	        .verbose = args->verbose,
	        .message = on_message,
	        .hung = on_hung,
	        .context = &walking,
	};
	walking.config = &config;
	config.memory_limited = args->max_memory.set;
	if (config.memory_limited &&
	        limit_memory(args->max_memory.value, &config.max_threads, &err) != 0) {
		return cmd_error(&err);
	}
	if (args->spec_fd.set) {
		unsetenv("VEGA_CACHE"); /* a job's command need not know its password */
	}
	signal_setup();
	if (args->progress_every.set) {
		config.progress = NULL;
		signal_every((unsigned)args->progress_every.value);
	} else if (terminal_moves(2) && !args->no_progress &&
	           (!config.options.terminal || !spec_answers_in_records(spec))) {
		walking.screen.live = true;
		signal_every(200);
	}
	int code = carry_out(args, spec, &config, &err);
	return end(&walking, code, &err);
}

static bool wait_policy_is_ours; /* and not for filters to inherit */

/*
 * Threads that have nothing to do should sleep: by default libgomp lets them spin for milliseconds,
 * on processors that others could use. It reads this once, in its own constructor, which comes
 * after this one where it is linked statically; elsewhere the user's environment decides.
 */
__attribute__((constructor(101))) static void let_idle_threads_sleep(void)
{
	if (!getenv("OMP_WAIT_POLICY")) {
		wait_policy_is_ours = setenv("OMP_WAIT_POLICY", "passive", 0) == 0;
	}
}

int main(int argc, char **argv)
{
	struct arguments args = {0};
	struct spec spec;
	struct vega_error err;
	if (wait_policy_is_ours) {
		unsetenv("OMP_WAIT_POLICY");
	}
	cmd_begin("vega-walk");
	spec_init(&spec);
	struct option_table tables[] = {
	        [SPEC_TABLES] = {rows, sizeof rows / sizeof *rows, &args},
	        {option_common_rows, option_common_count, &args.common},
	};
	const size_t count = sizeof tables / sizeof *tables;
	spec_tables(&spec, tables);
	int code = spec_parse_argv(&spec, tables, count, &args.files0_from, argc, argv, &err);
	int status = 0;
	if (!cmd_common(&args.common, &help, tables, count, &status)) {
		if (!code && args.spec_fd.set) {
			hide_from_commands();
			follow_parent();
			spec_release(&spec);
			spec_init(&spec);
			code = read_spec(&spec, &args, &err);
		}
		if (!code && args.null && args.format) {
			code = vega_fail(&err, VEGA_USAGE,
			        "--null is for the text format; %s needs no separator",
			        format_names[args.format]);
		}
		status = code              ? cmd_usage_error(&err)
		         : args.operations ? print_operations()
		                           : run(&args, &spec);
	}
	option_release(rows, sizeof rows / sizeof *rows, &args);
	spec_release(&spec);
	return status;
}
