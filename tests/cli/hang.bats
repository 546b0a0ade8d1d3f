#!/usr/bin/env bats
# File systems that do not answer: a FUSE server that is stopped.
load ../lib/vega

# served DIRECTORY: a tree at mnt that a stopped process serves, at the path given besides $tree.
served() {
	need_root
	need bindfs fusermount
	mkdir mnt
	start bindfs -f -o attr_timeout=0,entry_timeout=0 "$1" mnt
	server=$pid
	eventually 20 mountpoint -q mnt
}

freeze() {
	kill -STOP "$server"
}

teardown() {
	[[ ! ${server-} ]] || kill -KILL "$server"
	vega_teardown
}

# ended SECONDS STATUS: the process $pid is gone soon, with that status.
ended() {
	status=0
	eventually "$1" gone "$pid"
	wait "$pid" || status=$?
	((status == $2))
}

@test "the first signal prints what is known while a file system does not answer" {
	wide_tree near/a 3000
	wide_tree far 10
	served far
	freeze
	for threads in 1 2 16; do
		start vega-walk --format json -j $threads near mnt
		eventually 20 hangs "$pid"
		kill -TERM "$pid"
		ended 4 143
		holds '.complete == false and .summarize.files == 3000' "$out.$pid"
		matches 'interrupted; mnt/ does not answer' "$err.$pid"
	done
}

# hangs PID: one of its threads waits for FUSE.
hangs() {
	local task
	for task in /proc/"$1"/task/*; do
		grep -q fuse "$task/wchan" && return
		[[ $(cat "$task/stack") == *fuse* ]] && return
	done
	return 1
}

@test "a second signal ends a walk at once whose file system does not answer" {
	mkdir far
	served far
	freeze
	for signal in TERM HUP; do
		start vega-walk mnt
		eventually 20 hangs "$pid"
		kill -TERM "$pid"
		eventually 20 defaults "$signal" "$pid"
		kill -"$signal" "$pid"
		ended 5 "$((128 + $(kill -l "$signal")))"
		[[ ! -s $out.$pid ]] # it did not come to its conclusion
	done
}

# defaults SIGNAL PID: it has its default action.
defaults() {
	! catches "$@"
}

@test "a walk that waits for content, or plans, is ended as well" {
	mkdir far
	file far/big 3000000
	served far
	start vega-walk hash --format ndjson mnt
	ended 20 0
	for arguments in 'hash' 'find -t f --empty' 'transform --to gzip --out out'; do
		freeze
		# shellcheck disable=SC2086
		start vega-walk $arguments mnt
		eventually 20 hangs "$pid"
		kill -INT "$pid"
		ended 4 130
		kill -CONT "$server"
	done
}

@test "a file system that answers again lets a walk end by itself" {
	wide_tree far 10
	served far
	freeze
	start vega-walk --format json mnt
	eventually 20 hangs "$pid"
	kill -CONT "$server"
	ended 20 0
	holds '.complete and .summarize.files == 10' "$out.$pid"
}

@test "a job whose file system does not answer can be cancelled, and its worker stopped" {
	wide_tree far 10
	served far
	id=$(vega-submit find mnt)
	freeze
	start vega-run
	worker=$pid
	eventually 20 child_hangs
	vega-cancel "$id"
	expect 4 timeout 20 vega-status --wait "$id"
	kill -TERM "$worker"
	pid=$worker
	ended 20 143
}

child_hangs() {
	local child
	child=$(pgrep -P "$worker")
	[[ $child ]] && hangs "$child"
}
