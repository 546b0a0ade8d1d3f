#!/usr/bin/env bats
# The progress line: on a terminal, and on SIGUSR1 anywhere; a percentage where it means something.
load ../lib/vega

setup() {
	vega_setup
	disk tmpfs 8M disk
	mkdir disk/sub
	for d in 1 2 3 4; do
		wide_tree disk/sub/$d 500
	done
}

# progress ARGUMENTS…: a line of a slow walk, in the file line. The ceiling keeps it from ending.
progress() {
	start vega-walk --format json "$@" --max-iops 2
	eventually 20 catches USR1 "$pid"
	kill -USR1 "$pid"
	eventually 20 grep -q '/s' "$err.$pid"
	kill -INT "$pid"
	wait "$pid" || true
	head -n 1 "$err.$pid" >line
	matches '^vega-walk: [0-9,]+ entr(y|ies)( \([0-9]+%\))?, [0-9,]+/s$' line
}

percentage() {
	progress "$@"
	matches ' \([0-9]+%\), ' line
}

no_percentage() {
	progress "$@"
	matches 'entr(y|ies), ' line
}

@test "the percentage is shown for whole file systems" {
	percentage disk
	percentage disk -n x --min-size 1 --sort # they were seen
	mkdir other
	disk tmpfs 8M other
	percentage disk other
}

past_half() {
	kill -USR1 "$pid" && grep -qE '\((5[5-9]|[6-9].|100)%\)' "$err.$pid"
}

@test "the percentage counts nested and repeated roots once" {
	start vega-walk --format json disk disk disk/sub --max-iops 400
	eventually 20 catches USR1 "$pid"
	eventually 20 past_half
	kill -INT "$pid"
	wait "$pid" || true
}

@test "the percentage is absent where the walk omits a part" {
	no_percentage disk/sub
	mkdir plain
	no_percentage disk plain
	for arguments in '--descend 1' '--exclude x' '--skip-hidden' '--exclude-caches'; do
		# shellcheck disable=SC2086
		no_percentage disk $arguments
	done
	mkdir bound
	mount --bind disk/sub bound
	no_percentage bound
}

@test "the percentage is absent with other file systems below, unless -x excludes them" {
	mkdir disk/sub/inner
	disk tmpfs 1M disk/sub/inner
	no_percentage disk
	percentage -x disk
}

@test "the percentage never exceeds 99" {
	mkdir disk/links
	perl -e 'link "disk/sub/1/f1", "disk/links/$_" or die for 1 .. 3000'
	start vega-walk hash -j1 --max-iops 1500 disk
	eventually 20 catches USR1 "$pid"
	eventually 30 every_line
	matches '\(99%\)' "$err.$pid"
	kill -INT "$pid"
	wait "$pid" || true
}

every_line() {
	kill -USR1 "$pid"
	! grep -E '\([1-9][0-9][0-9]+%\)' "$err.$pid" && grep -q '(99%)' "$err.$pid"
}

@test "a progress line is printed during a long filter" {
	file in/a 10
	start vega-walk transform -j1 --out out in -- sh -c 'sleep 1000'
	eventually 20 pgrep -P "$pid"
	kill -USR1 "$pid"
	eventually 5 matches '^vega-walk: .* entr' "$err.$pid"
	kill -INT "$pid"
	wait "$pid" || true
}

@test "a walk in the background draws no line, is not stopped by the terminal, and answers SIGUSR1" {
	need script
	wide_tree in 2000
	printf 'set -m; stty tostop cols 80; vega-walk --max-iops 2000 -F json in >summary &
		pid=$!; sleep 0.7; stty -tostop; kill -USR1 $pid; wait $pid; echo "status $?"' >background
	# shellcheck disable=SC2016
	TERM=xterm expect 0 script -qec 'bash background' /dev/null
	matches '^status 0' "$out"
	matches '^vega-walk: [0-9,]+ entr' "$out"
	if grep -q $'\e\\[K' "$out"; then
		return 1
	fi
	holds .complete summary
}
