/* Messages, --help and the progress line: everything that the commands say in the same way. */
#include "cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/fd.h"
#include "spec/operation.h"

const char *cmd_name = "vega";

void cmd_begin(const char *name)
{
	cmd_name = name;
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
			open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY); /* the lowest free: fd */
		}
	}
}

void cmd_message(const char *line)
{
	struct buf out = BUF_INIT;
	buf_printf(&out, "%s: ", cmd_name);
	if (isatty(2)) {
		escape_terminal(&out, line, strlen(line));
	} else {
		buf_add_str(&out, line);
	}
	buf_add_char(&out, '\n');
	if (out.failed) {
		dprintf(2, "%s: out of memory\n", cmd_name);
	} else {
		fd_write_all(2, out.data, out.len);
	}
	buf_release(&out);
}

int cmd_error(const struct vega_error *err)
{
	cmd_message(err->text);
	return vega_exit_status(err->code);
}

int cmd_usage_error(const struct vega_error *err)
{
	int status = cmd_error(err);
	if (err->code == VEGA_USAGE) {
		fprintf(stderr, "Try '%s --help' for the options.\n", cmd_name);
	}
	return status;
}

bool screen_is_ours(void)
{
	return tcgetpgrp(2) == getpgrp();
}

void screen_draw(struct screen *screen, const char *line)
{
	if (!screen_is_ours()) {
		return;
	}
	struct buf out = BUF_INIT;
	buf_printf(&out, "\r%s\033[K", line);
	if (!out.failed) {
		fd_write_all(2, out.data, out.len);
		screen->drawn = true;
	}
	buf_release(&out);
}

void screen_wipe(struct screen *screen)
{
	if (screen->drawn && screen_is_ours()) {
		fd_write_all(2, "\r\033[K", 4);
	}
	screen->drawn = false;
}

const char *cmd_user(void)
{
	static char number[24];
	const struct passwd *user = getpwuid(geteuid());
	snprintf(number, sizeof number, "%lu", (unsigned long)geteuid());
	return user ? user->pw_name : number;
}

#define OPERATION_COLUMN 16

static void add_operations(struct buf *out, unsigned width)
{
	buf_add_str(out, "Operations:\n");
	for (size_t i = 0; operations[i]; i++) {
		buf_printf(out, "  %-*s", OPERATION_COLUMN - 2, operations[i]->name);
		option_wrap(out, operations[i]->help, OPERATION_COLUMN, width);
	}
	buf_add_char(out, '\n');
}

static void add_help(struct buf *out, const struct cmd_help *help,
        const struct option_table *tables, size_t count)
{
	unsigned width = isatty(1) ? terminal_width(1) : OPTION_HELP_WIDTH;
	struct buf options = BUF_INIT;
	buf_printf(out, "usage: %s\n\n", help->usage);
	option_wrap(out, help->intro, 0, width);
	buf_add_char(out, '\n');
	if (help->operations) {
		add_operations(out, width);
	}
	option_help(&options, tables, count, width);
	buf_add(out, options.data, options.len);
	if (help->examples) {
		buf_printf(out, "\nExamples:\n%s\n", help->examples);
	}
	buf_add_char(out, '\n');
	option_wrap(out, help->status, 0, width);
	out->failed |= options.failed;
	buf_release(&options);
}

bool cmd_common(const struct option_common *common, const struct cmd_help *help,
        const struct option_table *tables, size_t count, int *status)
{
	struct buf out = BUF_INIT;
	struct vega_error err;
	if (common->describe) {
		option_describe(&out, tables, count);
	} else if (common->help) {
		add_help(&out, help, tables, count);
	} else if (common->version) {
		buf_printf(&out, "%s (VegaFS) %s\n", cmd_name, VEGA_VERSION);
	} else {
		return false;
	}
	int failed = out.failed ? -ENOMEM : fd_write_all(1, out.data, out.len);
	*status = 0;
	if (failed) {
		vega_fail_errno(&err, VEGA_FATAL, -failed, "cannot write to standard output");
		*status = cmd_error(&err);
	}
	buf_release(&out);
	return true;
}
