#!/usr/bin/env bats
# --max-iops limits the calls to the file system.
load ../lib/vega

setup() {
	vega_setup
	mkdir t
	for d in 1 2 3 4; do
		wide_tree t/$d 100
	done
}

# calls: those on the tree that strace saw, but not those of the program's start.
calls() {
	sed '0,/"t"/d' trace | grep -cE ' (getdents64|openat|statx|pread64|fstatfs)\('
}

@test "--max-iops bounds all calls of a walk, with any number of threads" {
	need strace
	export ASAN_OPTIONS=detect_leaks=0
	for arguments in 'find -j 1' 'summarize -j 3' 'hash -j 8'; do
		# shellcheck disable=SC2086
		expect 0 strace -f -qq -o trace vega-walk $arguments --max-iops 500 --format json t
		made=$(calls)
		((made > 10)) # find: an open and two listings a directory
		# A tenth of a second may be made up for.
		holds --argjson made "$made" '.elapsed_ns / 1e9 >= $made / 500 - 0.15' "$out"
	done
	((made > 1500))
}

@test "--max-iops bounds the calls that compare roots" {
	mkdir -p u/1
	for ((i = 0; i < 100; i++)); do
		roots[i]=u/1
	done
	expect 0 vega-walk find --max-iops 500 --skip-hidden --format json u "${roots[@]}"
	holds '.elapsed_ns >= 400 / 500 * 1e9 - 15e7' "$out" # two opens and two stats each
}

@test "--max-iops changes no result" {
	expect 0 vega-walk --format json t
	jq -S 'del(.elapsed_ns)' "$out" >wanted
	expect 0 vega-walk --max-iops 4000 -j 4 --format json t
	jq -S 'del(.elapsed_ns)' "$out" | same wanted -
}

@test "Ctrl-C ends a walk that waits for --max-iops" {
	for arguments in 'find' 'summarize' 'hash -j 4'; do
		# shellcheck disable=SC2086
		start vega-walk $arguments --max-iops 1 --format json t
		eventually 20 grep -q 'VmRSS' "/proc/$pid/status"
		eventually 20 catches INT "$pid"
		kill -INT "$pid"
		status=0
		wait "$pid" || status=$?
		((status == 130))
		holds -s 'last | .complete == false and (.elapsed_ns < 60e9)' "$out.$pid"
	done
}

@test "SIGUSR1 prints a progress line while the walk waits for --max-iops" {
	start vega-walk summarize --max-iops 20 t
	eventually 20 catches USR1 "$pid"
	kill -USR1 "$pid"
	eventually 4 matches '^vega-walk: [0-9]+ entr' "$err.$pid"
	kill -INT "$pid"
	wait "$pid" || true
}

@test "a job obeys --max-iops" {
	id=$(vega-submit find --max-iops 300 t)
	sqlite3 "$XDG_STATE_HOME/vega/jobs.db" .dump | matches '"max_iops":300' /dev/stdin
	expect 0 vega-run --drain
	expect 0 vega-status --result --format json "$id"
	# 5 directories: 3 calls each, and the root's stat
	holds '.elapsed_ns >= 16 / 300 * 1e9 * 0.5' "$out"
}

@test "--max-iops rejects values out of range" {
	for n in 0 1000001 -3 many; do
		expect 2 vega-walk --max-iops $n t
		lines 0 "$out"
		matches '^vega-walk: --max-iops ' "$err"
	done
}
