#!/usr/bin/env bats
# The commands for each role of a shared store, and their messages when a role is missing.
load ../lib/vega

setup() {
	vega_setup
	need psql
	start_postgres
	psql -qX -d "$VEGA_STORE" -c 'CREATE ROLE alice LOGIN IN ROLE vega_submitter; CREATE ROLE bob LOGIN IN ROLE vega_submitter;
		CREATE ROLE worker LOGIN IN ROLE vega_worker; CREATE ROLE reader LOGIN IN ROLE vega_reader;
		CREATE ROLE admin LOGIN IN ROLE vega_admin; CREATE ROLE nobody LOGIN'
	small_tree data
}

as() { # ROLE COMMAND…
	VEGA_STORE=${VEGA_STORE/tester@/$1@} "${@:2}"
}

# denied ROLE NEEDED COMMAND…: refused, and the one line says what to grant.
denied() {
	expect 2 as "$1" "${@:3}"
	lines 1 "$err"
	matches "^vega-[a-z]*: the PostgreSQL database 'vega' on .*: permission denied for .*: GRANT $2 TO \"$1\"" "$err"
	[[ ! -s $out ]]
}

@test "a submitter submits, waits, reads and cancels; a worker works" {
	id=$(as alice vega-submit --idempotency-key k --label a=b find data)
	[[ $(as alice vega-submit --idempotency-key k find data) == "$id" ]]
	[[ $(as bob vega-submit --idempotency-key k find data) != "$id" ]]
	start as alice vega-status --wait "$id"
	expect 0 as worker vega-run --drain --root "$PWD"
	lines 2 "$err"
	wait "$pid"
	expect 0 as alice vega-status --records "$id"
	matches 'docs/a.txt' "$out"
	expect 0 as alice vega-status --result "$id"
	expect 0 as alice vega-status
	lines 1 "$out"
	matches "^$id	COMPLETED	default	alice" "$out"
	id=$(as alice vega-submit data)
	expect 0 as alice vega-cancel -v "$id"
	matches "^$id CANCELLED\$" "$out"
}

@test "a submitter cannot see the jobs of another" {
	id=$(as alice vega-submit data)
	for command in 'vega-status' 'vega-status --wait' 'vega-status --result' 'vega-cancel'; do
		# shellcheck disable=SC2086
		expect 1 as bob $command "$id"
		matches "^vega-[a-z]*: no job $id\$" "$err"
	done
	expect 0 as bob vega-status --submitter alice
	[[ ! -s $out ]]
	[[ $(as alice vega-status -F json "$id" | jq -r '[.state, .submitter] | @csv') == '"PENDING","alice"' ]]
}

@test "a reader and an administrator see all jobs, and the latter cancels them" {
	id=$(as alice vega-submit data)
	as bob vega-submit data
	for role in reader admin worker; do
		expect 0 as "$role" vega-status
		lines 2 "$out"
	done
	expect 0 as admin vega-cancel -v "$id"
	matches "^$id CANCELLED\$" "$out"
}

@test "the message for missing rights names the missing role" {
	id=$(as alice vega-submit data)
	for role in reader admin worker nobody; do
		denied "$role" vega_submitter vega-submit data
	done
	for role in reader admin alice nobody; do
		denied "$role" vega_worker vega-run --drain --root "$PWD"
	done
	for role in reader worker nobody; do
		denied "$role" vega_submitter vega-cancel "$id"
		matches '\(for all jobs: vega_admin\)$' "$err"
	done
	denied nobody vega_submitter vega-status
	denied nobody vega_submitter vega-status "$id"
	matches '\(for all jobs: vega_reader\)$' "$err"
	[[ $(vega-status -F json "$id" | jq -r .state) == PENDING ]]
}
