#!/usr/bin/env bats
# A job's output files appear all at once after its commit, and once, whatever is killed or stopped
# before, between and after.
# shellcheck disable=SC2154 # $pid and $err are the library's
load ../lib/vega

# The workers here run a vega-walk that notes in the file "steps" what it is started for, and waits
# before and after a step for as long as there is a file hold.before.STEP or hold.after.STEP; the
# file at.before.STEP or at.after.STEP says that it does.
setup() {
	vega_setup
	mkdir bin in in/sub
	cp "$BUILD/vega-run" bin
	cat >bin/vega-walk <<-END
		#!/bin/sh
		cd '$PWD' || exit
		step=walk
		case "\$*" in
		*--publish*) step=publish ;;
		*--discard*) step=discard ;;
		esac
		hold() {
			[ ! -e "hold.\$1.\$step" ] || : >"at.\$1.\$step"
			while [ -e "hold.\$1.\$step" ]; do sleep 0.02; done
		}
		echo "\$step" >>steps
		hold before
		'$BUILD/vega-walk' "\$@"
		status=\$?
		hold after
		exit \$status
	END
	chmod +x bin/vega-walk
	file in/a.csv 1000
	file in/b.csv 200000
	file in/sub/c.csv 30
	touch -d @1000000000.123456789 in/*.csv
	vega-walk transform --to gzip --out wanted "$PWD/in" >/dev/null
}

# A stopped process heeds no other signal.
end_workers() {
	((${#started[@]} == 0)) || kill -KILL "${started[@]}" || true
	wait
	started=()
}

teardown() {
	end_workers 2>/dev/null
	vega_teardown
}

worker() {
	start bin/vega-run --lease 1s --root "$PWD"
}

submit() { # OPTION…
	id=$(vega-submit transform --to gzip --out out "$@" in)
}

field() { # FILTER
	vega-status -F json "$id" | jq -r "$1"
}

state_is() { # STATE
	[[ $(field .state) == "$1" ]]
}

invisible() {
	[[ -z $(find out -mindepth 1 ! -path 'out/.vega-stage.*') ]]
	[[ $(find out -maxdepth 1 -name '.vega-stage.*' -printf '%m\n' | sort -u) == 700 ]]
}

no_stage() {
	[[ -z $(find out -name '.vega-*') ]]
}

# The very files, and nothing else.
complete() {
	no_stage && diff -r wanted out &&
		[[ $(cd wanted && find . -type f -printf '%p %m %T@\n' | sort) == \
			$(cd out && find . -type f -printf '%p %m %T@\n' | sort) ]]
}

empty() {
	[[ -z $(find out -mindepth 1) ]]
}

inodes() {
	find out -type f -printf '%p %i %C@\n' | sort
}

steps_are() { # STEP…: what was started, in order
	[[ $(paste -sd ' ' steps) == "$*" ]]
}

kill_worker() {
	kill -KILL "$pid"
	wait "$pid" || true
}

# --- The cases, each for both stores

killed_before_commit() {
	touch hold.after.walk
	submit
	worker
	eventually 20 test -e at.after.walk
	invisible
	kill_worker
	rm hold.*
	invisible
	worker
	eventually 20 state_is COMPLETED
	eventually 20 complete
	[[ $(field '[.attempt, .lease_seq, .committed_seq, .exit_code, .summary.transform.written] | @csv') == 2,2,2,0,3 ]]
	steps_are walk walk publish discard
}

killed_after_commit() {
	touch hold.before.publish
	submit --max-attempts 1
	worker
	eventually 20 test -e at.before.publish
	invisible
	[[ $(field '[.state, .committed_seq] | @csv') == '"PROCESSING",1' ]]
	expect 1 vega-cancel "$id"
	matches "^vega-cancel: job $id is publishing its files; it is too late to cancel it\$" "$err"
	kill_worker
	rm hold.*
	worker
	eventually 20 state_is COMPLETED
	eventually 20 complete
	[[ $(field '[.attempt, .lease_seq, .committed_seq, .exit_code, .summary.transform.written] | @csv') == 2,2,1,0,3 ]]
	[[ $(vega-status --records "$id" | grep -c '"status":"written"') == 3 ]]
	steps_are walk publish publish discard
	matches "^vega-run: $id completed in .*: published what another worker had committed\$" "$err.$pid"
}

killed_after_publishing() {
	touch hold.after.publish
	submit --max-attempts 1
	worker
	eventually 20 test -e at.after.publish
	inodes >before
	lines 3 before
	kill_worker
	rm hold.*
	rm out/a.csv.gz # somebody has used it up: it must not come again
	worker
	eventually 20 state_is COMPLETED
	eventually 20 no_stage
	inodes >after
	same <(grep -v a.csv before) after
	steps_are walk publish publish discard
}

cancelled_before_commit() {
	touch hold.after.walk
	submit
	worker
	eventually 20 test -e at.after.walk
	expect 0 vega-cancel --wait "$id"
	[[ $(field .state) == CANCELLED ]]
	eventually 20 empty
	eventually 20 steps_are walk discard
	[[ $(field .committed_seq) == null ]]
}

# Cancelled when the walk is over and the worker cannot see it yet: the commit is refused.
cancelled_at_commit() {
	touch hold.after.walk
	submit
	worker
	eventually 20 test -e at.after.walk
	kill -STOP "$pid"
	rm hold.*
	vega-cancel "$id"
	kill -CONT "$pid"
	expect 4 vega-status --wait "$id"
	[[ $(field .state) == CANCELLED ]]
	eventually 20 empty
}

released_before_commit() {
	touch hold.after.walk
	submit
	worker
	eventually 20 test -e at.after.walk
	kill -TERM "$pid"
	wait "$pid" || (($? == 143))
	[[ $(field '[.state, .attempt] | @csv') == '"PENDING",0' ]]
	empty
	steps_are walk discard
	rm hold.*
	worker
	eventually 20 complete
}

# A worker that was stopped past its lease comes back when another has done the job: after its walk,
# or before.
zombie() { # HELD
	touch "$1"
	submit
	worker
	local first=$pid
	eventually 20 test -e "${1/hold/at}"
	kill -STOP "$first"
	mv "$1" released # the stopped worker's own child goes on at once
	touch hold.before.discard
	worker
	eventually 20 state_is COMPLETED
	inodes >before
	lines 3 before
	rm hold.before.discard
	kill -CONT "$first"
	eventually 20 matches "^vega-run: $id lost: .*" "$err.$first"
	eventually 20 complete
	inodes >after
	same before after
	[[ $(field '[.attempt, .lease_seq, .committed_seq] | @csv') == 2,2,2 ]]
}

# The zombie's walk begins only when the job is over.
late_zombie() {
	touch hold.before.walk
	submit
	worker
	local first=$pid
	eventually 20 test -e at.before.walk
	kill -STOP "$first"
	sed -i '/^hold before$/d' bin/vega-walk # for those that start from now on
	worker
	eventually 20 state_is COMPLETED
	eventually 20 complete
	inodes >before
	rm hold.before.walk
	eventually 20 ls -d out/.vega-stage."$id".1
	kill -CONT "$first"
	eventually 20 matches "^vega-run: $id lost: .*" "$err.$first"
	eventually 20 complete
	inodes >after
	same before after
	[[ $(field '[.attempt, .lease_seq, .committed_seq] | @csv') == 2,2,2 ]]
}

in_the_way() {
	touch hold.before.publish
	submit
	worker
	eventually 20 test -e at.before.publish
	mkdir -p out/sub
	echo mine >out/sub/c.csv.gz
	rm hold.*
	eventually 20 state_is COMPLETED
	[[ $(<out/sub/c.csv.gz) == mine ]]
	cmp wanted/a.csv.gz out/a.csv.gz
	[[ $(field .exit_code) == 3 ]]
	expect 3 vega-status --wait "$id"
	matches "job $id completed, but vega-walk: 1 file could not be published in --out $PWD/out" "$err"
	[[ $(field .error) == "vega-walk: 1 file could not be published in --out $PWD/out" ]]
	[[ $(field .stderr_tail) == "vega-walk: $PWD/out/sub/c.csv.gz: exists and differs; not published"* ]]
	eventually 20 no_stage
}

stage_away() {
	touch hold.before.publish
	submit --max-attempts 1
	worker
	eventually 20 test -e at.before.publish
	mv out/.vega-stage.* "$PWD/unmounted"
	rm hold.*
	eventually 20 matches "^vega-run: $id will be retried: .*has no .vega-stage.$id.1 to publish" "$err.$pid"
	[[ $(field .state) != COMPLETED ]]
	mv unmounted "out/.vega-stage.$id.1"
	eventually 20 state_is COMPLETED
	eventually 20 complete
}

others_are_not_staged() {
	small_tree data
	id=$(vega-submit hash data)
	worker
	eventually 20 state_is COMPLETED
	steps_are walk
	[[ $(field .committed_seq) == null ]]
}

@test "a worker killed before the commit leaves nothing visible, and the next attempt does all" {
	killed_before_commit
}

@test "a worker killed after the commit leaves the publishing to the next, also after the last attempt" {
	killed_after_commit
}

@test "a worker killed after publishing leaves nothing to publish twice" {
	killed_after_publishing
}

@test "a job cancelled before the commit leaves nothing" {
	cancelled_before_commit
}

@test "a job cancelled at the commit leaves nothing" {
	cancelled_at_commit
}

@test "a job released before the commit leaves nothing" {
	released_before_commit
}

@test "a worker stopped past its lease publishes nothing" {
	zombie hold.after.walk
}

@test "a worker stopped past its lease before the walk began publishes nothing" {
	late_zombie
}

@test "a file that somebody put in an output's place is left alone, and named" {
	in_the_way
}

@test "a missing staging directory is waited for" {
	stage_away
}

@test "a job that writes no files is one process" {
	others_are_not_staged
}

@test "commits, cancellations and kills have the same effects on PostgreSQL" {
	need psql
	start_postgres
	local case
	for case in killed_before_commit killed_after_commit killed_after_publishing cancelled_before_commit \
		cancelled_at_commit released_before_commit 'zombie hold.after.walk' in_the_way stage_away \
		others_are_not_staged late_zombie; do
		echo "$case" >&2
		$case
		end_workers
		rm -rf out steps at.* released
	done
}
