#!/usr/bin/env bats
# The number of threads, and the report of -v.
load ../lib/vega

# told ARGUMENTS…: what find -v says is what comes from standard input
told() {
	expect 0 vega-walk find -v "$@"
	same - "$err"
}

@test "-v prints one line per root, with the type of its file system" {
	disk tmpfs 1M 'a b'
	mkdir 'a b/c'
	one=$(nproc)
	threads="$one threads"
	((one > 1)) || threads='1 thread'
	most=$((one > 32 ? one : one > 4 ? 32 : 8 * one))
	((most == one)) || grows=", up to $most while they wait for a disk"
	printf 'vega-walk: %s: tmpfs, %s (one per processor%s)\n' 'a b' "$threads" "${grows-}" 'a b/c' "$threads" "${grows-}" |
		told 'a b' 'a b/c'
	echo "vega-walk: /proc/self/fdinfo: proc, $threads (one per processor${grows-})" | told /proc/self/fdinfo
	echo "vega-walk: a b: tmpfs, $threads (one per processor)" | told --max-iops 1000 'a b'
	echo 'vega-walk: a b: tmpfs, 5 threads (as --threads says)' | told -j5 'a b'
	echo 'vega-walk: a b: tmpfs, 1 thread (as --threads says)' | told --threads 1 'a b'
	expect 0 vega-walk transform -v --to gzip --out out 'a b'
	echo "vega-walk: a b: tmpfs, $threads (one per processor, for transform)" | same - "$err"
	expect 2 vega-walk find -v nowhere
	matches '^vega-walk: nowhere: unknown file system, ' "$err"
}

@test "-v escapes the names of roots" {
	mkdir $'esc\e[31m'
	expect 0 vega-walk find -v $'esc\e[31m'
	matches '^vega-walk: esc\\e\[31m: ' "$err"
}

@test "a small tree makes no calls to find the number of threads" {
	need strace
	mkdir small
	touch small/{1..9}
	export ASAN_OPTIONS=detect_leaks=0
	expect 0 strace -f -o trace vega-walk small
	if grep -E 'statfs|mountinfo|/sys/dev/' trace; then
		return 1
	fi
	for d in 1 2 3 4; do
		wide_tree large/$d 1000
	done
	expect 0 strace -f -o trace vega-walk large
	lines 1 <(grep ' statfs(' trace)
}
