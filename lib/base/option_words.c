/*
 * The words of other tools, and what each is called here. A word is as its tool writes it; one with
 * a single dash stands for that with two dashes as well. "--type=x" is an option of ours with a
 * value: "#" in place of it is a number, and "*" at the end is any ending. A row counts only in a
 * command that has the option `needs`, and the first row that counts is taken, so that rows of one
 * command come before those of all.
 *
 * The texts stand in the rows, not behind pointers: a program that is loaded anywhere would have
 * each pointer relocated at its start, and this table is read only after a mistake.
 */
#include "base/option_words.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/option_internal.h"

struct option_word {
	char words[128]; /* with spaces between */
	char needs[20];  /* all of these */
	char write[96];
};

/* clang-format off */
static const struct option_word words[] = {
	/* Squeue, scontrol, docker, git: of lists of jobs */
	{"--user -u --users --account -A", "submitter",
	        "write --submitter NAME"},
	{"--me", "submitter",
	        "write --submitter \"$USER\""},
	{"-t --states", "submitter",
	        "write --state STATE"},
	{"-j --job --jobs --job-id", "submitter",
	        "write the id alone: vega-status ID"},
	{"-l --long -o --json --output --yaml -O --noheader --no-header", "submitter",
	        "write --format json"},
	{"--watch -i --iterate", "submitter",
	        "write --follow ID, or watch vega-status"},
	{"-p --partition", "submitter",
	        "write --queue NAME"},
	{"--name -n --tag", "submitter",
	        "write --label KEY=VALUE"},
	{"-a --all", "submitter",
	        "leave it out: every job is listed"},
	{"-N --last --tail", "submitter",
	        "write --limit N"},
	{"--since", "submitter",
	        "write --newer-than TIME"},
	{"--logs --log -e --errors", "submitter",
	        "write vega-status ID for its error, --result ID for its records"},
	/* Sbatch, at, cron: of jobs to submit */
	{"-J --job-name --tag --comment", "max-attempts",
	        "write --label KEY=VALUE"},
	{"--wrap", "max-attempts",
	        "write transform --out DIR -- COMMAND"},
	{"--begin --at --delay --defer", "max-attempts",
	        "write --after TIME"},
	{"--time -T --time-limit --time-min", "max-time",
	        "write --max-time DURATION"},
	{"--mem --memory --mem-per-cpu", "max-memory",
	        "write --max-memory SIZE"},
	{"--dependency --after-ok", "max-attempts",
	        "write vega-status --wait ID && vega-submit ..."},
	{"--array", "max-attempts",
	        "write --batch FILE, a line for each job"},
	{"--every --cron --schedule --interval", "max-attempts",
	        "let cron or a systemd timer call vega-submit --idempotency-key"},
	{"--retries --retry --requeue --attempts", "max-attempts",
	        "write --max-attempts N"},
	{"--partition", "max-attempts",
	        "write --queue NAME"},
	{"--nice", "priority",
	        "write --priority N"},
	{"--uid --account", "max-attempts",
	        "the submitter is whoever runs vega-submit"},
	{"--wait -W", "max-attempts",
	        "write vega-status --wait ID"},
	{"--cpus-per-task -c", "max-attempts",
	        "write --threads N"},
	/* Scancel, kill: of jobs to cancel */
	{"--all --user -u --state -t --name -n --me -A --account -p --partition --queue --label", "verbose wait",
	        "name the jobs: vega-cancel $(vega-status --state pending | cut -f 1)"},
	{"--signal -s -9 -15 --force -f", "verbose wait",
	        "write vega-cancel ID; --wait waits until the job has ended"},
	/* Psql and other clients of servers */
	{"-U --username -H --host -d --dbname -p --port -W --database --db --dsn --url", "lease",
	        "write --store postgresql://USER@HOST/DATABASE"},
	{"-U --username -H --host -d --dbname -p --port -W --database --db --dsn --url", "submitter",
	        "write --store postgresql://USER@HOST/DATABASE"},
	{"-U --username --host --dbname --port --database --db --dsn --url", "forget-host",
	        "write --store postgresql://USER@HOST/DATABASE"},
	{"-U --username --dbname --port --database --db --dsn", "store",
	        "write --store postgresql://USER@HOST/DATABASE"},
	{"--workers -c --concurrency -w --parallel -n", "lease",
	        "write --jobs N"},
	{"--burst --until-empty --exit-when-idle", "lease",
	        "write --drain"},
	{"--keep --days --age --before --retention", "forget-host",
	        "write --older-than 30d"},
	{"-n --no-act --pretend", "dry-run",
	        "write --dry-run"},
	{"--prometheus --json --metrics", "forget-host",
	        "write stats --format prometheus or json"},
	/* Find: predicates with one dash, which would run as letters of ours */
	{"-newer -newermm", "newer-than",
	        "write --newer-than ./FILE, with a '/' in its path"},
	{"-anewer -neweram", "accessed-after",
	        "write --accessed-after ./FILE, with a '/' in its path"},
	{"-cnewer -newercm", "changed-after",
	        "write --changed-after ./FILE, with a '/' in its path"},
	{"-newermt -newerBt -newerBm", "newer-than",
	        "write --newer-than TIME"},
	{"-newerat", "accessed-after",
	        "write --accessed-after TIME"},
	{"-newerct", "changed-after",
	        "write --changed-after TIME"},
	{"-newer*", "newer-than",
	        "write --newer-than, --changed-after or --accessed-after TIME"},
	{"-mtime", "newer-than",
	        "write --newer-than 7d for -7, --older-than 7d for +7"},
	{"-mmin", "newer-than",
	        "write --newer-than 5min for -5, --older-than 5min for +5"},
	{"-ctime -cmin", "changed-after",
	        "write --changed-after 7d for -7, --changed-before 7d for +7"},
	{"-atime -amin -used", "accessed-after",
	        "write --accessed-after 7d for -7, --accessed-before 7d for +7"},
	{"-size", "min-size",
	        "write --min-size 1M for +1M, --max-size 1M for -1M"},
	{"-print -noleaf -true -and -ignore_readdir_race -warn -nowarn -noignore_readdir_race", "files0-from",
	        "leave it out: nothing else would happen"},
	{"-print0 -fprint0", "null",
	        "write -0"},
	{"-printf -fprintf", "null",
	        "write --format csv or ndjson"},
	{"-ls -fls", "null",
	        "write --format csv: it has size, mtime, mode, uid and gid"},
	{"-fprint", "null",
	        "write > FILE behind the command"},
	{"-prune", "exclude",
	        "write --exclude PATTERN"},
	{"-exec -execdir -ok -okdir -exec-batch", "null",
	        "write -0 and pipe into xargs -0 COMMAND; transform -- COMMAND filters files"},
	{"-delete", "null",
	        "VegaFS deletes nothing; write -0 and pipe into xargs -0 rm"},
	{"-xdev -mount", "one-file-system",
	        "write --one-file-system"},
	{"-readable", "perm",
	        "write --perm /444: somebody may read it"},
	{"-writable", "perm",
	        "write --perm /222: somebody may write it"},
	{"-samefile", "links",
	        "write --links +1 for files of several names; --format csv has a column ino"},
	{"-daystart", "newer-than",
	        "write --newer-than 2026-01-31: a date begins at midnight"},
	{"-iregex", "regex",
	        "write --regex '(?i)REGEX'"},
	{"-ipath -iwholename", "regex",
	        "write --regex '(?i)REGEX'"},
	{"-wholename -full-path", "path",
	        "write --path GLOB"},
	{"-regextype", "regex",
	        "leave it out: --regex is Perl-compatible"},
	{"-lname -ilname", "type",
	        "where links lead is not asked; write --type l and pipe into xargs readlink"},
	{"-xtype -follow -dereference", "type",
	        "links are not followed; write --type l for links"},
	{"-uid", "user",
	        "write --user NUMBER"},
	{"-gid", "group",
	        "write --group NUMBER"},
	{"-maxdepth", "max-depth",
	        "write --max-depth N"},
	{"-mindepth", "min-depth",
	        "write --min-depth N"},
	{"-inum", "null",
	        "write --format csv: it has a column ino"},
	{"-fstype", "one-file-system",
	        "write --one-file-system, or --exclude what is mounted elsewhere"},
	{"-quit", "null",
	        "write | head -n 1 behind the command"},
	{"-context", "name",
	        "it is not asked here"},
	{"-false", "name",
	        "it would find nothing"},
	{"-depth", "sort",
	        "write --max-depth N; --sort orders the records by path"},
	{"-files0-from", "files0-from",
	        "write --files0-from FILE"},
	{"-H -P", "name",
	        "leave it out: a ROOT that is a link is followed, others are not"},
	{"-L", "name",
	        "links are not followed"},
	/* Fd */
	{"-I --no-ignore --unrestricted --hidden --no-ignore-vcs -A --all", "name",
	        "leave it out: every entry counts, hidden and ignored ones too"},
	{"-S", "min-size",
	        "write --min-size 1M for +1M, --max-size 1M for -1M"},
	{"-i --ignore-case", "iname",
	        "write --iname GLOB"},
	{"-l --list-details", "null",
	        "write --format csv: it has size, mtime, mode, uid and gid"},
	{"--quiet --silent", "no-progress",
	        "write -q for no progress line, > /dev/null behind the command for no output"},
	{"-1", "null",
	        "write | head -n 1 behind the command"},
	{"--max-results --limit --head --max-count", "null",
	        "write | head -n N behind the command"},
	{"--changed-within --newer --changed-newer", "newer-than",
	        "write --newer-than TIME (modified), or --changed-after TIME (status)"},
	{"--modified-before --older", "older-than",
	        "write --older-than TIME"},
	{"--and --full", "path",
	        "predicates must all hold; leave it out"},
	{"--glob --pattern --include --filter", "name",
	        "write --name GLOB (repeat for alternatives)"},
	{"--base-directory --search-path -C --directory", "name",
	        "write the directory as a ROOT"},
	{"--owner", "user",
	        "write --user USER or --group GROUP"},
	{"--print0", "null",
	        "write -0"},
	{"--strip-cwd-prefix --absolute-path --path-separator", "name",
	        "paths are printed as the ROOT is written: . or $PWD"},
	{"--prune", "exclude",
	        "write --exclude PATTERN"},
	{"--ext", "extension",
	        "write --extension EXT"},
	/* Du, dust, ncdu, gdu, diskus, ripgrep */
	{"-b --bytes --block-size -B -k -m --human-readable --human --raw", "top",
	        "write --format json or csv for bytes; the picture has readable sizes"},
	{"--apparent-size --apparent", "top",
	        "both are shown: files by what they occupy, and the apparent total"},
	{"--si", "top",
	        "sizes are in powers of 1024; --format json has bytes"},
	{"--inodes --count-files --filecount", "top",
	        "counts of files are shown; --format json has them for each directory"},
	{"--threshold", "min-size",
	        "write --min-size SIZE, which selects files"},
	{"--time", "null",
	        "write find --format csv: it has a column mtime"},
	{"-s --summarize --total --grand-total --no-total", "top",
	        "write summarize: its totals come first"},
	{"--separate-dirs --count-links", "top",
	        "it is not offered; a file with several names is counted once"},
	{"-X --ignore-directory --ignore --skip --ignore-dirs --exclude-dir", "exclude",
	        "write --exclude PATTERN"},
	{"-z --min", "min-size",
	        "write --min-size SIZE"},
	{"--max", "max-size",
	        "write --max-size SIZE"},
	{"-f", "top",
	        "write --format json: it has counts of files"},
	{"--json --output-format -O", "format",
	        "write --format json"},
	{"--csv", "format",
	        "write --format csv"},
	{"--ndjson --jsonl", "format",
	        "write --format ndjson"},
	{"--xml --yaml --html", "format",
	        "write --format json, ndjson or csv"},
	{"-V", "version",
	        "write --version"},
	{"--reverse", "top",
	        "the largest come first"},
	{"--number-of-lines --lines --num --count", "top",
	        "write --top N; the count of entries is in every summary"},
	{"--no-progress-bar --no-spinner", "no-progress",
	        "write --no-progress"},
	{"--jobs --workers --cores --parallel", "threads",
	        "write --threads N"},
	{"--cross-file-system --no-cross --same-file-system --limit-filesystem --xdev", "one-file-system",
	        "write --one-file-system"},
	{"--colour --colors", "color",
	        "write --color WHEN"},
	{"--no-color --no-colour", "color",
	        "write --color never"},
	{"--color --colour --no-color --no-colour --colors", "store",
	        "set NO_COLOR=1 for none; a terminal has colours"},
	/* Rclone, rsync, tar, cp */
	{"--include-from --files-from --filter-from", "files0-from",
	        "write --files0-from FILE (roots, each ended by NUL)"},
	{"--progress -P --info", "no-progress",
	        "leave it out: a terminal shows progress"},
	{"--min-age", "older-than",
	        "write --older-than TIME"},
	{"--max-age", "newer-than",
	        "write --newer-than TIME"},
	{"--transfers --checkers", "threads",
	        "write --threads N"},
	{"--bwlimit --tpslimit --ionice", "max-iops",
	        "write --max-iops N"},
	{"--dry-run", "top",
	        "vega-walk changes nothing but with transform; vega-submit --dry-run prints the specification"},
	{"--archive --recursive -R --compress", "to",
	        "every walk is recursive; transform --to zstd --out DIR compresses"},
	{"--destination --dest --target", "out",
	        "write --out DIR"},
	{"--force -f --replace", "overwrite",
	        "write --overwrite"},
	{"--suffix", "output-name",
	        "write --output-name '{/}.EXT'"},
	/* Md5sum, sha256sum, xxhsum, b3sum */
	{"--md5 --sha1 --sha512 --sha256 --blake3 --crc32 --xxh64 --xxh128 --digest --hash --checksum", "algo",
	        "write hash --algo sha256 or xxh128"},
	{"-c", "algo",
	        "write summarize for totals; write hash > SUMS, later sha256sum -c SUMS, to check"},
	{"--check --verify", "algo",
	        "write hash > SUMS, later sha256sum -c SUMS or xxhsum -c SUMS"},
	/* First words that are neither operations nor files */
	{"du dust ncdu df size count sum stat stats", "top",
	        "write summarize, or nothing"},
	{"ls list fd search locate tree grep", "top",
	        "write find"},
	{"md5sum sha256sum sha1sum xxhsum checksum digest", "top",
	        "write hash"},
	{"compress gzip zstd filter convert cp", "top",
	        "write transform"},
	{"help", "help",
	        "write --help"},
	{"version", "version",
	        "write --version"},
	{"submit run status cancel admin walk", "top",
	        "write vega-submit, vega-run, vega-status, vega-cancel or vega-admin"},
	{"! ( )", "top",
	        "write --not before a predicate, --or between sets of them"},
};

/* Asked of each value that is given, so few. */
static const struct option_word values[] = {
	/* Values that an option of ours takes for something else, or not at all */
	{"-n=#", "top",
	        "-n is --name; write -N (--top) for the largest, --name for entries of that name"},
	{"--type=x --type=executable", "executable",
	        "write --executable"},
	{"--type=e --type=empty", "empty",
	        "write --empty"},
	{"--type=file --type=regular --type=files", "type",
	        "write --type f"},
	{"--type=dir --type=directory --type=dirs", "type",
	        "write --type d"},
	{"--type=symlink --type=link", "type",
	        "write --type l"},
	{"--type=socket", "type",
	        "write --type s"},
	{"--type=pipe --type=fifo", "type",
	        "write --type p"},
	{"--to=gz --to=gzip-9 --to=tgz", "to",
	        "write --to gzip"},
	{"--to=zst --to=zstandard", "to",
	        "write --to zstd"},
	{"--to=xz --to=bz2 --to=bzip2 --to=lz4", "to",
	        "write -- xz, a filter, in place of --to"},
	{"--algo=md5 --algo=sha1 --algo=blake3 --algo=sha512 --algo=crc32c --algo=crc32", "algo",
	        "write --algo sha256 or xxh128"},
	{"--out=json", "format",
	        "write --format json; --out is a directory"},
	{"--out=csv", "format",
	        "write --format csv; --out is a directory"},
	{"--out=-name --out=-iname --out=-path --out=-type --out=-size --out=-user --out=--name --out=--iname", "name",
	        "write --or, or repeat an option for alternatives; --out is a directory"},
	{"--state=RUNNING --state=running --state=R --state=r", "state",
	        "write --state processing"},
	{"--state=PD --state=queued --state=QUEUED", "state",
	        "write --state pending"},
	{"--state=CD --state=done --state=succeeded --state=success", "state",
	        "write --state completed"},
	{"--state=F --state=CA --state=error", "state",
	        "write --state failed or cancelled"},
	{"--format=table --format=plain --format=human", "format",
	        "write --format text"},
	{"--format=jsonl --format=json-lines", "format",
	        "write --format ndjson"},
	{"--format=xml --format=yaml --format=html --format=tsv", "format",
	        "write --format csv, json or ndjson"},
};
/* clang-format on */

#define ROWS(table) (sizeof table / sizeof *table)

/* Is the pattern of len bytes this word? */
static bool is_word(const char *pattern, size_t len, const char *word)
{
	if (pattern[0] == '-' && len > 2 && pattern[1] != '-' && word[0] == '-' && word[1] == '-') {
		word++;
	}
	size_t at = 0;
	for (; at < len && pattern[at] == word[at]; at++) {
	}
	if (at == len) {
		return word[at] == '\0';
	}
	if (pattern[at] == '#' && at + 1 == len) {
		return isdigit((unsigned char)word[at]) &&
		       word[at + strspn(word + at, "0123456789")] == '\0';
	}
	return pattern[at] == '*' && at + 1 == len && word[at] && !strchr(word, '=');
}

static bool has_word(const char *list, const char *word)
{
	for (const char *at = list; *at;) {
		size_t len = strcspn(at, " ");
		if (is_word(at, len, word)) {
			return true;
		}
		at += len;
		at += *at == ' ';
	}
	return false;
}

static bool has_options(const struct option_table *tables, size_t table_count, const char *names)
{
	void *target;
	for (const char *at = names; *at;) {
		size_t len = strcspn(at, " ");
		if (!option_find(tables, table_count, at, len, 0, &target)) {
			return false;
		}
		at += len;
		at += *at == ' ';
	}
	return true;
}

static const char *find_word(const struct option_word *rows, size_t count,
        const struct option_table *tables, size_t table_count, const char *word)
{
	for (size_t i = 0; i < count; i++) {
		if (has_word(rows[i].words, word) &&
		        has_options(tables, table_count, rows[i].needs)) {
			return rows[i].write;
		}
	}
	return NULL;
}

const char *option_word(const struct option_table *tables, size_t table_count, const char *word)
{
	return find_word(words, ROWS(words), tables, table_count, word);
}

const char *option_word_value(const struct option_table *tables, size_t table_count,
        const char *option, const char *value)
{
	char word[2 * OPTION_NAME_MAX];
	int len = snprintf(word, sizeof word, "%s=%s", option, value);
	return len > 0 && (size_t)len < sizeof word
	               ? find_word(values, ROWS(values), tables, table_count, word)
	               : NULL;
}
