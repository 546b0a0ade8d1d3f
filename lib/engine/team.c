#include "engine/team.h"

#include <omp.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/escape.h"
#include "base/parse.h"
#include "fs/medium.h"
#include "fs/mount.h"

#define ROOTS_ASKED 64 /* of thousands, from --files0-from say: the walk should begin, too */

/*
 * Threads wait for a disk when a tenth of the processors is free, and so many reads of a page or
 * more are made in a second: a disk that seeks answers 100 to 200 times, and is not to seek more.
 * A loaded machine, a slow reader of the output and a network cause no such reads.
 */
#define BUSY 0.9
#define READS 500.0
#define PAGE_BLOCKS 8.0
/* More threads must get so much more done, within that time, or there will be no more. */
#define GAIN 1.1
#define TRIAL_NS 200000000u

static const enum medium media[] = {MEDIUM_LOCAL, MEDIUM_SPINNING, MEDIUM_NETWORK, MEDIUM_FUSE};

static unsigned processors(void)
{
	return (unsigned)omp_get_num_procs();
}

static bool computes(const struct spec *spec)
{
	return spec->operations & SPEC_TRANSFORM;
}

unsigned team_most(const struct spec *spec)
{
	if (spec->threads.set) {
		return (unsigned)spec->threads.value;
	}
	unsigned one_each = processors(), most = one_each;
	for (size_t i = 0; !computes(spec) && i < sizeof media / sizeof *media; i++) {
		unsigned threads = medium_threads_waiting(media[i], one_each);
		most = threads > most ? threads : most;
	}
	return most;
}

/* What does not read trees as fast as it can does not wait for a disk. */
static bool grows(const struct spec *spec)
{
	return !spec->threads.set && !computes(spec) && !spec->max_iops.set;
}

static void begin(struct team *team, const struct spec *spec)
{
	unsigned one_each = processors();
	*team = (struct team){0};
	if (spec->threads.set || computes(spec)) {
		team->begin = team->most = team_most(spec);
		return;
	}
	for (size_t i = 0; i < spec->roots.count && i < ROOTS_ASKED; i++) {
		enum medium medium = medium_of(spec->roots.items[i]);
		unsigned first = medium_threads(medium, one_each);
		unsigned most = grows(spec) ? medium_threads_waiting(medium, one_each) : first;
		team->begin = first > team->begin ? first : team->begin;
		team->most = most > team->most ? most : team->most;
	}
}

static uint64_t time_ns(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * 1000000000u + (uint64_t)time->tv_usec * 1000u;
}

static struct team_use used_now(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (struct team_use){
	        .wall_ns = monotonic_ns(),
	        .cpu_ns = time_ns(&usage.ru_utime) + time_ns(&usage.ru_stime),
	        .blocks = (uint64_t)usage.ru_inblock,
	};
}

unsigned team_grown(struct team *team, unsigned now, const struct team_use *used)
{
	double wall_ns = (double)(used->wall_ns - team->since.wall_ns);
	double busy = (double)(used->cpu_ns - team->since.cpu_ns) / wall_ns;
	double reads = (double)(used->blocks - team->since.blocks) / PAGE_BLOCKS;
	if (busy >= BUSY * team->begin || reads * 1e9 < READS * wall_ns) {
		team->since = *used;
		return now;
	}
	if (busy >= GAIN * team->busy) {
		team->since = *used;
		team->busy = busy;
		return 2 * now < team->most ? 2 * now : team->most;
	}
	if (wall_ns > TRIAL_NS) {
		team->most = now;
	}
	return now;
}

unsigned team_size(struct team *team, const struct spec *spec, unsigned now)
{
	if (now == 0) {
		begin(team, spec);
		team->since = used_now();
		return team->begin;
	}
	if (now >= team->most) {
		return now;
	}
	struct team_use used = used_now();
	return team_grown(team, now, &used);
}

static const char *reason(const struct spec *spec, enum medium medium)
{
	if (spec->threads.set) {
		return "as --threads says";
	}
	if (computes(spec)) {
		return "one a processor, for transform";
	}
	switch (medium) {
	case MEDIUM_SPINNING:
		return "its disk seeks";
	case MEDIUM_NETWORK:
		return "over a network";
	case MEDIUM_FUSE:
		return "served by a process";
	default:
		return "one a processor";
	}
}

void team_tell(
        const struct spec *spec, void (*line)(void *context, const char *text), void *context)
{
	for (size_t i = 0; i < spec->roots.count; i++) {
		const char *root = spec->roots.items[i];
		struct buf text = BUF_INIT;
		struct mount mount;
		enum medium medium = medium_of(root);
		bool fixed = spec->threads.set || computes(spec);
		unsigned threads = fixed ? team_most(spec) : medium_threads(medium, processors());
		unsigned most = grows(spec) ? medium_threads_waiting(medium, processors()) : 0;
		const char *type =
		        mount_find(root, &mount) == 0 ? mount.type : "unknown file system";
		escape_terminal(&text, root, strlen(root));
		buf_printf(&text, ": %s, ", type);
		format_counted(&text, threads, "thread", "threads");
		buf_printf(&text, " (%s", reason(spec, medium));
		if (most > threads) {
			buf_printf(&text, ", up to %u while they wait for a disk", most);
		}
		buf_add_char(&text, ')');
		if (buf_cstr(&text)) {
			line(context, text.data);
		}
		mount_release(&mount);
		buf_release(&text);
	}
}
