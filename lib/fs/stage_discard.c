/* Discarding and counting the stages of a job, by the numbers of its leases or by the names that
 * are there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/killpoint.h"
#include "fs/output_internal.h"
#include "fs/stage.h"
#include "fs/stage_internal.h"

#define LEASES_ASKED 64 /* for by name; where a job had more, OUT is listed */
#define DISCARD_TRIES 8 /* while a process that lost its lease goes on writing */

static int discard_file(void *context, int dir, const char *path, const char *name)
{
	(void)context, (void)path;
	KILL_POINT(discard_file);
	return unlinkat(dir, name, 0) == 0 || errno == ENOENT ? 0 : -errno;
}

static int discard_directory(void *context, int parent, const char *name)
{
	(void)context;
	KILL_POINT(discard_directory);
	return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}

/* An administrator may remove another's: stage_visit() goes into no directory but that owner's. */
static int discard_once(struct output_root *root, int base, const struct stage *stage)
{
	static const struct stage_visit visit = {.file = discard_file, .leave = discard_directory};
	char name[STAGE_NAME_MAX];
	struct stat st;
	stage_name(stage, name);
	int top = stage_open(root, stage);
	if (top < 0) {
		return top == -ENOENT ? 0 : top;
	}
	int error = geteuid() == 0 ? 0 : stage_check_own(base, top, false, &st);
	if (error) {
		return output_fail(top, error);
	}
	error = stage_visit(top, &visit);
	return error ? error : discard_directory(NULL, base, name);
}

/* Is it the name of one of the job's stages, of this lease or an earlier one? Which? */
static bool is_earlier(const struct stage *stage, const char *name, struct stage *found)
{
	char exact[STAGE_NAME_MAX];
	size_t prefix = strlen(STAGE_PREFIX);
	if (strncmp(name, STAGE_PREFIX, prefix) != 0 || !stage_parse(found, name + prefix) ||
	        strcmp(found->id, stage->id) != 0 || found->seq > stage->seq) {
		return false;
	}
	stage_name(found, exact);
	return strcmp(name, exact) == 0;
}

typedef int stage_call(void *context, int base, const struct stage *stage);

/* As each_earlier(), by the names that are there. */
static int list_earlier(int base, const struct stage *stage, stage_call *call, void *context)
{
	int fd = openat(base, ".", OUTPUT_OPEN_DIRECTORY);
	DIR *names = fd < 0 ? NULL : fdopendir(fd);
	if (!names) {
		return output_fail(fd, -errno);
	}
	const struct dirent *entry;
	int first = 0;
	while ((errno = 0, entry = readdir(names))) {
		struct stage found;
		int error =
		        is_earlier(stage, entry->d_name, &found) ? call(context, base, &found) : 0;
		first = first ? first : error;
	}
	first = first ? first : -errno;
	closedir(names);
	return first;
}

/* Call for each of the job's stages that may be there, from this one down. The first error. */
static int each_earlier(int base, const struct stage *stage, stage_call *call, void *context)
{
	if (stage->seq > LEASES_ASKED) {
		return list_earlier(base, stage, call, context);
	}
	int first = 0;
	for (struct stage at = *stage; at.seq > 0; at.seq--) {
		int error = call(context, base, &at);
		first = first ? first : error;
	}
	return first;
}

static int count_one(void *count, int base, const struct stage *stage)
{
	char name[STAGE_NAME_MAX];
	stage_name(stage, name);
	*(int *)count += stage_is_there(base, name);
	return 0;
}

int stage_count(struct output_root *root, const struct stage *stage)
{
	int count = 0, base = output_root_dir(root, "", false);
	if (base < 0) {
		return base == -ENOENT ? 0 : base;
	}
	int error = each_earlier(base, stage, count_one, &count);
	return output_fail(base, error ? error : count);
}

static int discard_one(void *root, int base, const struct stage *stage)
{
	int error = -ENOTEMPTY;
	for (int i = 0; error == -ENOTEMPTY && i < DISCARD_TRIES; i++) {
		error = discard_once(root, base, stage);
	}
	return error;
}

int stage_discard(struct output_root *root, const struct stage *stage)
{
	int base = output_root_dir(root, "", false);
	if (base < 0) {
		return base == -ENOENT ? 0 : base;
	}
	return output_fail(base, each_earlier(base, stage, discard_one, root));
}
