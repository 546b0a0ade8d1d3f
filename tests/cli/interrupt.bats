#!/usr/bin/env bats
# Ctrl-C at any time prints the results so far, leaves nothing behind, and gives 128+n. See also walk.bats.
load ../lib/vega

# ends SECONDS STATUS: the process $pid does, in that time and with that status.
ends() {
	local begun=$SECONDS
	status=0
	eventually "$1" gone "$pid"
	wait "$pid" || status=$?
	if [[ ! $status =~ ^($2)$ ]] || ((SECONDS - begun > $1)); then
		echo "status $status after $((SECONDS - begun)) s" >&2
		return 1
	fi
}

stubborn() { # start a transform whose filters ignore SIGTERM, and wait for them
	wide_tree in 40
	start vega-walk transform -j 3 --format json --out out in -- \
		sh -c 'trap "" TERM; echo $$ >>pids; exec sleep 1000'
	eventually 20 lines 3 pids
}

filters_are_gone() {
	local filter
	while read -r filter; do
		eventually 10 gone "$filter"
	done <pids
}

@test "filters that ignore SIGTERM are killed, and leave no outputs" {
	stubborn
	kill -INT "$pid"
	ends 20 130
	filters_are_gone
	holds -s 'last | .complete == false and .transform.written == 0' "$out.$pid"
	[[ -z $(find out -type f) ]]
}

@test "a second signal ends the walk and its filters at once" {
	stubborn
	kill -INT "$pid"
	kill -INT "$pid"
	ends 5 130
	filters_are_gone
	[[ -z $(find out -type f) ]]
}

@test "a second signal of another kind ends the walk and its filters, too" {
	stubborn
	kill -INT "$pid"
	kill -TERM "$pid"
	ends 20 "130|143" # which of them its handlers saw last
	filters_are_gone
}

@test "Ctrl-C ends a walk whose output nobody reads" {
	mkfifo pipe
	wide_tree t 30000
	for arguments in 'find' 'find --sort' 'find --format ndjson'; do
		exec {reader}<>pipe
		# shellcheck disable=SC2016,SC2086
		start sh -c 'exec vega-walk "$@" >pipe' - $arguments t
		eventually 20 catches INT "$pid"
		eventually 20 full "$reader"
		kill -INT "$pid"
		ends 20 130
		matches 'interrupted while the output was blocked' "$err.$pid"
		exec {reader}<&-
	done
}

# The pipe holds what it can: a non-blocking write fails.
full() {
	perl -e 'use Fcntl; use Errno; sysopen my $pipe, "/proc/self/fd/$ARGV[0]", O_WRONLY | O_NONBLOCK or die;
		exit(defined syswrite($pipe, "x" x 4096) || !$!{EAGAIN})' "$1"
}

@test "Ctrl-C ends a walk that waits for --max-iops in the first pass of two" {
	wide_tree in 3000
	mkdir other
	start vega-walk transform --to none --out out --max-iops 5 --format json in other
	eventually 20 catches INT "$pid"
	kill -INT "$pid"
	ends 20 130
	[[ ! -e out ]]
}

@test "a cancelled job's process leaves no staging directory" {
	wide_tree in 40
	id=$(vega-submit transform --out out in -- sh -c 'echo $$ >>pids; exec sleep 1000')
	start vega-run --commands
	eventually 20 test -s pids
	vega-cancel "$id"
	expect 4 vega-status --wait "$id"
	filters_are_gone
	kill -TERM "$pid"
	wait "$pid" || true
	[[ -z $(find out -mindepth 1 2>/dev/null) ]]
}
