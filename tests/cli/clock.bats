#!/usr/bin/env bats
# What a clock that was ahead leaves in a store does not keep jobs waiting once it is right again.
# shellcheck disable=SC2154 # $pid and $err are the library's
load ../lib/vega

setup() {
	vega_setup
	need faketime
	small_tree in
}

# ahead COMMAND…: while the clock is two years ahead.
ahead() {
	FAKETIME_DONT_FAKE_MONOTONIC=1 faketime '+2 years' "$@"
}

state() {
	vega-status -F json "$id" | jq -r .state
}

@test "a job that was submitted while the clock was ahead is due" {
	id=$(ahead vega-submit find in)
	expect 0 vega-admin stats -F json
	holds '.queues[0] | .due == 1 and .oldest_due_ms == 0' "$out"
	expect 0 vega-run --drain
	[[ $(state) == COMPLETED ]]
}

@test "a job with --after waits for its time, which may be far" {
	id=$(vega-submit --after 3y find in)
	expect 0 vega-run --drain
	[[ $(state) == PENDING ]]
}

@test "a retry that was put off by a clock that was ahead is due" {
	id=$(vega-submit find in)
	sqlite3 "$XDG_STATE_HOME/vega/jobs.db" "UPDATE job_state SET attempt = 1, due = due + $(date -d '+2 years' +%s)000000"
	expect 0 vega-run --drain
	[[ $(state) == COMPLETED ]]
}

@test "a lease that began while the clock was ahead ends when it would have" {
	id=$(vega-submit transform --out out in -- sh -c '[ -e go ] || exec sleep 3; cat')
	start env LD_PRELOAD="$(faketime '+2 years' printenv LD_PRELOAD)" FAKETIME=+730d FAKETIME_DONT_FAKE_MONOTONIC=1 \
		vega-run --once --lease 2s
	eventually 10 processing
	kill -KILL "$pid"
	touch go
	expect 0 vega-run --drain --lease 2s
	[[ $(state) == COMPLETED ]]
}

processing() {
	[[ $(state) == PROCESSING ]]
}

@test "PostgreSQL: neither leases, retries nor submissions wait for a clock that was ahead" {
	need psql
	start_postgres
	for _ in 1 2 3; do
		vega-submit find in
	done >ids
	psql -qX "$VEGA_STORE" <<-'SQL'
		UPDATE vega.job SET created = now() + interval '2 years';
		UPDATE vega.job_state SET due = now() + interval '2 years' WHERE nr = 1;
		UPDATE vega.job_state SET due = now() + interval '2 years', attempt = 1 WHERE nr = 2;
		UPDATE vega.job_state SET state = 'PROCESSING', attempt = 1, lease_seq = 1, worker = 'h:1:a',
			started = now() + interval '2 years', lease_until = now() + interval '2 years 2 seconds' WHERE nr = 3;
	SQL
	expect 0 vega-run --drain --root "$PWD"
	xargs vega-status --wait <ids
	[[ $(vega-status --state completed -F json | wc -l) == 3 ]]
}
