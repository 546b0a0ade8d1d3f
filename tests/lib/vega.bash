# A .bats file loads this first: load ../lib/vega
#
# Each test starts in an empty directory of its own, with its own HOME, state and runtime
# directories, the built commands first in PATH and no setting of the caller's. A file that defines
# setup or teardown calls vega_setup or vega_teardown in it.
# shellcheck shell=bash

bats_require_minimum_version 1.5.0

TESTS=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
SOURCE=${TESTS%/*}
BUILD=${VEGA_BUILD:-$SOURCE/build/release}

vega_setup() {
	HOME=$BATS_TEST_TMPDIR/home
	XDG_STATE_HOME=$BATS_TEST_TMPDIR/state
	XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR/run
	out=$BATS_TEST_TMPDIR/stdout
	err=$BATS_TEST_TMPDIR/stderr
	status=
	started=()
	export HOME XDG_STATE_HOME XDG_RUNTIME_DIR LC_ALL=C.UTF-8 TZ=UTC
	unset "${!VEGA_@}" "${!PG@}" NO_COLOR XDG_CONFIG_HOME XDG_CACHE_HOME CDPATH COLUMNS
	PATH=$BUILD:$PATH
	mkdir -p "$HOME" "$XDG_STATE_HOME" "$XDG_RUNTIME_DIR" "$BATS_TEST_TMPDIR/work"
	cd "$BATS_TEST_TMPDIR/work" || return
}
vega_teardown() {
	local pid
	for pid in "${started[@]}"; do
		kill -TERM -- "-$pid" || kill -TERM "$pid"
		wait "$pid"
	done 2>/dev/null
	stop_postgres
	stop_redis
	cd / || return
	((EUID != 0)) || awk -v below="$BATS_TEST_TMPDIR/" 'index($2, below) == 1 { gsub(/\\040/, " ", $2); print $2 }' /proc/mounts |
		tac | xargs -r -d '\n' umount
	chmod -R u+rwx "$BATS_TEST_TMPDIR" 2>/dev/null
	return 0
}

setup() {
	vega_setup
}

teardown() {
	vega_teardown
}

# holds [OPTION]… FILTER FILE: as jq -e, which finds nothing wrong with an empty file.
holds() {
	[[ -s ${*: -1} ]] && jq -e "$@"
}

# expect STATUS COMMAND…: runs it, keeps its output byte-exact in the files $out and $err, its exit
# status in $status, and fails, showing all three, unless the status is the wanted one.
expect() {
	local wanted=$1
	shift
	status=0
	"$@" >"$out" 2>"$err" || status=$?
	((status == wanted)) && return
	{
		printf 'command: '
		printf '%q ' "$@"
		printf '\nexit status %d, wanted %d\n' "$status" "$wanted"
		show stdout "$out"
		show stderr "$err"
	} >&2
	return 1
}

show() { # NAME FILE: its beginning, made printable
	printf -- '--- %s\n' "$1"
	head -c 4000 "$2" | cat -v
}

# lines COUNT FILE: it has this many lines.
lines() {
	local got
	got=$(wc -l <"$2")
	((got == $1)) && return
	echo "wanted $1 lines, got $got" >&2
	show "$2" "$2" >&2
	return 1
}

# same WANTED GOT: two files, or a file and - for stdin, are the same byte for byte.
same() {
	diff -u -- "$1" "$2" | head -n 40 | cat -v >&2
	((PIPESTATUS[0] == 0))
}

# matches REGEX FILE: a line of it matches (extended).
matches() {
	grep -qE -- "$1" "$2" && return
	echo "no line matches $1" >&2
	show "$2" "$2" >&2
	return 1
}

# eventually SECONDS COMMAND…: tries again until it succeeds or the time is over.
eventually() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@" >"$BATS_TEST_TMPDIR/eventually" 2>&1; do
		if ((SECONDS > deadline)); then
			printf 'never true: %s\n' "$*" >&2
			show 'last try' "$BATS_TEST_TMPDIR/eventually" >&2
			return 1
		fi
		sleep 0.05
	done
}

# gone PID: no such process, or only its exit status is left.
gone() {
	local stat # not $(<…): that ends the shell when the process does between a test and the read
	read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
	[[ $stat == *') Z '* ]]
}

# catches SIGNAL PID: the process has its handler, and is not ended by it. A shell between fork and exec still
# shows the handlers of the shell that it was.
catches() {
	local mask
	[[ ! /proc/$2/exe -ef /proc/$BASHPID/exe ]] || return 1
	mask=$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$2/status")
	(((0x0$mask >> ($(kill -l "$1") - 1)) & 1))
}

# start COMMAND…: in the background, in a process group of its own, stopped after the test. Its
# output goes to $out.PID and $err.PID; the process id is in $pid.
start() {
	local to_out to_err # opened here: the new process may come to it only after the mv
	exec {to_out}>"$BATS_TEST_TMPDIR/stdout.new" {to_err}>"$BATS_TEST_TMPDIR/stderr.new"
	set -m
	"$@" >&"$to_out" 2>&"$to_err" {to_out}>&- {to_err}>&- 3>&- </dev/null &
	pid=$!
	set +m
	exec {to_out}>&- {to_err}>&-
	started+=("$pid")
	mv "$BATS_TEST_TMPDIR/stdout.new" "$out.$pid"
	mv "$BATS_TEST_TMPDIR/stderr.new" "$err.$pid"
}

# need TOOL…: skips without it, which CI counts as a failure.
need() {
	local tool
	for tool; do
		command -v "$tool" >/dev/null || skip "$tool is not installed"
	done
}

need_root() {
	((EUID == 0)) || skip "needs root"
}

# as_nobody COMMAND…: without root's rights.
as_nobody() {
	if ((EUID == 0)); then
		setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
	else
		"$@"
	fi
}

# --- Trees

# file PATH [BYTES]: a file of that size, with its parents; the content depends on the path alone.
file() {
	[[ $1 != */* ]] || mkdir -p -- "${1%/*}"
	# shellcheck disable=SC2094
	perl -e 'print substr($ARGV[0] x ($ARGV[1] / length($ARGV[0]) + 1), 0, $ARGV[1])' -- \
		"$1" "${2:-0}" >"$1"
}

# A small tree with one of everything: 7 regular files in 5 names' worth of content (12,345 bytes,
# a hard link counted once), 4 directories with the root, 2 links, 1 FIFO.
small_tree() { # DIRECTORY
	mkdir -p "$1/docs/old" "$1/empty"
	file "$1/docs/a.txt" 100
	file "$1/docs/b.csv" 2000
	file "$1/docs/old/c.csv" 10000
	file "$1/.hidden" 45
	file "$1/big name.TXT" 200
	file "$1/zero"
	ln "$1/docs/b.csv" "$1/hardlink.csv"
	ln -s docs/a.txt "$1/link"
	ln -s nowhere "$1/dangling"
	mkfifo "$1/fifo"
}

# The names that break tools, one an element of $strange.
strange_names() {
	local long
	printf -v long '%0255d' 0
	# shellcheck disable=SC2016
	strange=(-dash --help $'new\nline' $'esc\e[31mred\e[0m' $'tab\there' $'cr\rhere' $'bell\a' ' lead'
		'trail ' 'quo"te' "apos'trophe" 'back\slash' '$(dollar)' '`tick`' '*?[x]' '%s%n' 'semi;colon' '#hash' '~'
		$'\xff\xfe' $'half\xe2\x82' $'surrogate\xed\xa0\x80' $'\xc0\xaf' 'ünï' $'\u202eright' '{}' '...' "${long//0/x}")
}

# strange_tree DIRECTORY: a file of a few bytes under each strange name, and a directory with one.
strange_tree() {
	local name
	strange_names
	mkdir -p "$1"
	for name in "${strange[@]}"; do
		printf '%s' "$name" >"$1/$name"
	done
	mkdir "$1/"$'dir\n\xff'
	printf x >"$1/"$'dir\n\xff/x'
}

# deep_tree DIRECTORY DEPTH: a chain of directories "d", far past PATH_MAX if wanted.
deep_tree() {
	mkdir -p "$1"
	perl -e 'chdir shift; for (1 .. shift) { mkdir "d" and chdir "d" or die "$_: $!" }' "$1" "$2"
}

# wide_tree DIRECTORY FILES: that many empty files in one directory.
wide_tree() {
	mkdir -p "$1"
	(cd "$1" && seq -f 'f%.0f' "$2" | xargs touch --)
}

# disk TYPE SIZE DIRECTORY: a file system there, until the test ends; tmpfs or ramfs (of any size).
disk() {
	need_root
	mkdir -p "$3"
	mount -t "$1" -o "size=$2" none "$3"
}

# Lets every user enter this test's directories and run the commands, also those of a source tree that
# others may not enter, as root's home is. (What setpriv starts may still do so, but not what that starts.)
open_to_all() {
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_TEST_TMPDIR" .
	if ! as_nobody env test -x "$BUILD/vega-walk"; then
		mkdir "$BATS_TEST_TMPDIR/bin"
		cp "$BUILD"/vega-* "$BATS_TEST_TMPDIR/bin/"
		BUILD=$BATS_TEST_TMPDIR/bin
		PATH=$BUILD:$PATH
	fi
}

# --- Servers (tests/lib/postgres, tests/lib/redis)

# A PostgreSQL of this test's own with the schema loaded; VEGA_STORE names it.
start_postgres() {
	postgres_dir=$BATS_TEST_TMPDIR/postgres
	VEGA_STORE=$("$TESTS/lib/postgres" start "$postgres_dir") || return
	export VEGA_STORE
}

stop_postgres() {
	[[ ! ${postgres_dir:-} ]] || "$TESTS/lib/postgres" stop "$postgres_dir"
	postgres_dir=
}

# A Redis of this test's own; VEGA_CACHE names it.
start_redis() {
	redis_dir=$BATS_TEST_TMPDIR/redis
	VEGA_CACHE=$("$TESTS/lib/redis" start "$redis_dir") || return
	export VEGA_CACHE
}

stop_redis() {
	[[ ! ${redis_dir:-} ]] || "$TESTS/lib/redis" stop "$redis_dir"
	redis_dir=
}

# path_sort [SORT OPTION]...: sorts NUL-terminated paths as --sort does, '/' before every other byte.
path_sort() {
	tr '\001-\057' '\002-\057\001' | LC_ALL=C sort -z "$@" | tr '\002-\057\001' '\001-\057'
}
