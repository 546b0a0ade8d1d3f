/*
 * From a submitter to a system user, and becoming that user for good: the map of roles, the lookup,
 * and the calls that change user, groups and capabilities, each of which is asked for afterwards.
 */
#include "child/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/trust.h"

#define OPTION "--run-as-submitter"
#define MAP_MAX ((size_t)16 * 1024 * 1024)
#define UID_MIN 1000 /* where login.defs has none */
#define BLANKS " \t\r"

struct capabilities {
	struct __user_cap_header_struct header;
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
};

static bool read_capabilities(struct capabilities *now)
{
	*now = (struct capabilities){.header = {.version = _LINUX_CAPABILITY_VERSION_3}};
	return syscall(SYS_capget, &now->header, now->sets) == 0;
}

/* --- the map ---------------------------------------------------------------------------------- */

static int check_powers(struct vega_error *err)
{
	static const struct {
		unsigned number;
		const char *name;
	} needed[] = {{CAP_SETUID, "CAP_SETUID"}, {CAP_SETGID, "CAP_SETGID"},
	        {CAP_SETPCAP, "CAP_SETPCAP"}, {CAP_KILL, "CAP_KILL"}};
	struct capabilities now;
	if (!read_capabilities(&now)) {
		return vega_fail_errno(err, VEGA_FATAL, errno, "cannot read the capabilities");
	}
	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
		if (!(now.sets[0].effective & 1u << needed[i].number)) {
			return vega_fail(err, VEGA_USAGE,
			        OPTION " needs %s: start vega-run as root", needed[i].name);
		}
	}
	return 0;
}

/* Those who may write to the map may run jobs as anybody. */
static int read_map(const char *path, struct buf *out, struct vega_error *err)
{
	struct buf culprit = BUF_INIT;
	int fd = trust_open(path, &culprit), code = 0;
	int error = fd < 0 ? fd : fd_read_all(fd, out);
	if (fd >= 0) {
		close(fd);
	}
	if (error == -EPERM && buf_cstr(&culprit)) {
		code = vega_fail(err, VEGA_USAGE,
		        OPTION ": cannot use %s: %s must belong to root or the worker's user, and "
		               "nobody else may write to it",
		        path, culprit.data);
	} else if (error) {
		code = vega_fail_errno(err, VEGA_USAGE, -error, OPTION ": cannot read %s", path);
	}
	buf_release(&culprit);
	return code;
}

/* Users below it belong to the system; as in login.defs(5). */
static uid_t first_user(void)
{
	FILE *file = fopen("/etc/login.defs", "re");
	char *line = NULL;
	size_t size = 0;
	unsigned long least = UID_MIN;
	while (file && getline(&line, &size, file) >= 0) {
		unsigned long value;
		if (sscanf(line, " UID_MIN %lu", &value) == 1) {
			least = value;
		}
	}
	free(line);
	if (file) {
		fclose(file);
	}
	return (uid_t)least;
}

/* A role of that name is soon made; a line of the map is the administrator's. */
static int check_user(
        const struct identity_map *map, const struct passwd *user, struct vega_error *err)
{
	uid_t uid = user->pw_uid;
	if (uid == 0) {
		return map->allow_root ? 0
		                       : vega_fail(err, VEGA_NO,
		                                 "the system user %s has the uid 0, which needs "
		                                 "--allow-root-jobs",
		                                 user->pw_name);
	}
	if (uid == geteuid()) {
		return map->allow_worker ? 0
		                         : vega_fail(err, VEGA_NO,
		                                   "the system user %s is this worker's, which "
		                                   "needs --allow-worker-jobs",
		                                   user->pw_name);
	}
	uid_t first = *map->path ? 0 : first_user();
	return uid >= first ? 0
	                    : vega_fail(err, VEGA_NO,
	                              "the system user %s has the uid %lu, below %lu (UID_MIN), "
	                              "which needs a MAP that names it",
	                              user->pw_name, (unsigned long)uid, (unsigned long)first);
}

/* VEGA_NO: nobody runs as this user. VEGA_FATAL: it cannot be told now. */
static int look_up(const struct identity_map *map, const char *user, const struct passwd **found,
        struct vega_error *err)
{
	errno = 0;
	*found = getpwnam(user);
	if (!*found && errno && errno != ENOENT && errno != ESRCH) {
		return vega_fail_errno(
		        err, VEGA_FATAL, errno, "cannot look up the system user %s", user);
	}
	if (!*found) {
		return vega_fail(err, VEGA_NO, "there is no system user %s", user);
	}
	return check_user(map, *found, err);
}

static const char *find_user(const struct identity_map *map, const char *role)
{
	for (size_t i = 0; i < map->roles.count; i++) {
		if (strcmp(map->roles.items[i], role) == 0) {
			return map->users.items[i];
		}
	}
	return NULL;
}

static int add_line(struct identity_map *map, char *line, unsigned number, struct vega_error *err)
{
	line[strcspn(line, "#")] = '\0';
	char *rest = NULL;
	const char *role = strtok_r(line, BLANKS, &rest), *user = strtok_r(NULL, BLANKS, &rest);
	const struct passwd *found;
	if (!role) {
		return 0;
	}
	if (!user || strtok_r(NULL, BLANKS, &rest)) {
		return vega_fail(err, VEGA_USAGE, OPTION ": %s:%u: say DATABASE-ROLE SYSTEM-USER",
		        map->path, number);
	}
	if (find_user(map, role)) {
		return vega_fail(err, VEGA_USAGE, OPTION ": %s:%u: the role %s occurs twice",
		        map->path, number, role);
	}
	struct vega_error why;
	int code = look_up(map, user, &found, &why);
	if (code) {
		return vega_fail(err, code == VEGA_NO ? VEGA_USAGE : code, OPTION ": %s:%u: %s",
		        map->path, number, why.text);
	}
	return strlist_add(&map->roles, role) && strlist_add(&map->users, user)
	               ? 0
	               : vega_fail_nomem(err);
}

int identity_map_load(struct identity_map *map, struct vega_error *err)
{
	struct buf text = {.max = MAP_MAX};
	int code = check_powers(err);
	if (code == 0 && *map->path) {
		code = read_map(map->path, &text, err);
	}
	char *rest = text.len && buf_cstr(&text) ? text.data : NULL, *line;
	for (unsigned number = 1; code == 0 && (line = strsep(&rest, "\n")); number++) {
		code = add_line(map, line, number, err);
	}
	buf_release(&text);
	return code;
}

void identity_map_release(struct identity_map *map)
{
	strlist_release(&map->roles);
	strlist_release(&map->users);
}

/* --- one identity ----------------------------------------------------------------------------- */

static bool read_groups(struct identity *identity)
{
	int room = 16;
	for (;;) {
		gid_t *groups = reallocarray(identity->groups, (size_t)room, sizeof *groups);
		if (!groups) {
			return false;
		}
		identity->groups = groups;
		identity->group_count = room;
		if (getgrouplist(identity->user, identity->gid, groups, &identity->group_count) >=
		        0) {
			return true;
		}
		room = identity->group_count > room ? identity->group_count : room * 2;
	}
}

int identity_find(const struct identity_map *map, const char *submitter, struct identity *out,
        struct vega_error *err)
{
	const struct passwd *found;
	struct vega_error why;
	const char *name = submitter ? submitter : "";
	const char *user = *map->path ? find_user(map, name) : name;
	*out = (struct identity){.user = NULL};
	int code = user ? look_up(map, user, &found, &why)
	                : vega_fail(&why, VEGA_NO, "its map does not name the role");
	if (code) {
		return vega_fail(err, code, "this worker runs no jobs of the submitter %s: %s",
		        name, why.text);
	}
	*out = (struct identity){.uid = found->pw_uid,
	        .gid = found->pw_gid,
	        .user = strdup(user),
	        .home = strdup(found->pw_dir),
	        .shell = strdup(*found->pw_shell ? found->pw_shell : "/bin/sh")};
	if (!out->user || !out->home || !out->shell || !read_groups(out)) {
		identity_release(out);
		return vega_fail_nomem(err);
	}
	return 0;
}

void identity_release(struct identity *identity)
{
	free(identity->groups);
	free(identity->user);
	free(identity->home);
	free(identity->shell);
	*identity = (struct identity){.user = NULL};
}

/* --- becoming it ------------------------------------------------------------------------------ */

/* Not even a file with capabilities can bring these back. */
static bool drop_bounds(void)
{
	for (unsigned long number = 0; number < 64; number++) {
		if (prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0) {
			return errno == EINVAL && number > CAP_AUDIT_READ;
		}
	}
	return true;
}

static bool drop_capabilities(void)
{
	struct capabilities none = {.header = {.version = _LINUX_CAPABILITY_VERSION_3}};
	return syscall(SYS_capset, &none.header, none.sets) == 0;
}

static bool has_become(const struct identity *identity)
{
	uid_t uids[3];
	gid_t gids[3];
	if (getresuid(&uids[0], &uids[1], &uids[2]) != 0 ||
	        getresgid(&gids[0], &gids[1], &gids[2]) != 0) {
		return false;
	}
	bool all = getgroups(0, NULL) == identity->group_count;
	for (int i = 0; i < 3; i++) {
		all = all && uids[i] == identity->uid && gids[i] == identity->gid;
	}
	errno = EPERM; /* for what follows, too */
	return all;
}

static bool way_back(void)
{
	struct capabilities now;
	if (!read_capabilities(&now)) {
		return true;
	}
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		if (now.sets[i].effective | now.sets[i].permitted | now.sets[i].inheritable) {
			return true;
		}
	}
	return setresuid((uid_t)-1, 0, (uid_t)-1) == 0 || setgroups(0, NULL) == 0;
}

bool identity_assume(const struct identity *identity)
{
	bool root = identity->uid == 0;
	umask(022);
	return setsid() > 0 && chdir("/") == 0 && (root || drop_bounds()) &&
	       setgroups((size_t)identity->group_count, identity->groups) == 0 &&
	       setresgid(identity->gid, identity->gid, identity->gid) == 0 &&
	       setresuid(identity->uid, identity->uid, identity->uid) == 0 &&
	       (root || drop_capabilities()) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       has_become(identity) && (root || !way_back());
}
