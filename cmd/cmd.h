/* What the commands share: the only place, with the commands, that prints diagnostics or exits. */
#ifndef VEGA_CMD_H
#define VEGA_CMD_H

#include "base/error.h"
#include "base/option.h"

extern const char *cmd_name; /* "vega-walk" */

/* Members of the rows of options that several commands have: `target` is the struct that they fill.
 * A command adds the heading, and, but for --store, the help. */
#define CMD_STORE(target) \
	.name = "store", .type = OPT_TEXT, .offset = offsetof(target, store), .metavar = "URL", \
	.help = "sqlite:PATH or postgresql://... (default: $VEGA_STORE, else " \
	        "sqlite:$XDG_STATE_HOME/vega/jobs.db)"
#define CMD_CACHE(target) \
	.name = "cache", .type = OPT_TEXT, .offset = offsetof(target, cache), .metavar = "URL"
#define CMD_ROOT(target) \
	.name = "root", .type = OPT_LIST, .offset = offsetof(target, root), .metavar = "DIR"
#define CMD_FORMAT(target) \
	.name = "format", .letter = 'F', .type = OPT_CHOICE, .offset = offsetof(target, format), \
	.metavar = "FORMAT"

/* First thing in main: sets the name, and opens what is closed of descriptors 0-2 so that using it
 * fails: else the next file or socket would get the number, and messages would be written into it.
 */
void cmd_begin(const char *name);

/* "NAME: TEXT" on stderr (escaped for a terminal), and the exit status for the code. */
int cmd_error(const struct vega_error *err);

/* The same, and for VEGA_USAGE a pointer to --help. */
int cmd_usage_error(const struct vega_error *err);

/* A one-line message on stderr, "NAME: …". */
void cmd_message(const char *line);

/* The progress line on a terminal, on stderr: redrawn in place, and wiped before anything else is
 * written. In the background it is left alone: it would go over what is typed, and "stty tostop"
 * would stop the process. */
struct screen {
	bool live; /* it is drawn at all */
	bool drawn;
};
void screen_draw(
        struct screen *screen, const char *line); /* one that fits, without control bytes */
void screen_wipe(struct screen *screen);

/* Is this process in the foreground of that terminal? That changes at any time. */
bool screen_is_ours(void);

/* The name of the user that this process works for, or the number of one without a name. */
const char *cmd_user(void);

/* What --help says beside the options. A paragraph is one line here, and is wrapped when it is
 * shown; the lines of usage and examples are to fit into 80 columns by themselves. */
struct cmd_help {
	const char *usage;    /* the lines under "usage:" */
	const char *intro;    /* a paragraph */
	bool operations;      /* list the operations */
	const char *examples; /* lines; NULL: none */
	const char *status;   /* a paragraph: the exit status */
};

/* Handle -h, --version and --vega-options: when one was given, prints to stdout, sets the exit
 * status and returns true. */
bool cmd_common(const struct option_common *common, const struct cmd_help *help,
        const struct option_table *tables, size_t count, int *status);

#endif
