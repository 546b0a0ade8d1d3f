#!/usr/bin/env bats
# vega-status: the list, one job, waiting, results and records.
load ../lib/vega

nobody_home=01890000-0000-7000-8000-000000000000 # an id that no job has

sql() {
	sqlite3 "$XDG_STATE_HOME/vega/jobs.db" "$1"
}

# on_terminal COLUMNS COMMAND…: its output on a terminal of that width, without carriage returns.
on_terminal() {
	local columns=$1
	shift
	TERM=xterm script -qec "stty cols $columns; $(printf '%q ' "$@")" /dev/null </dev/null | tr -d '\r'
}

ids() { # OPTION…
	vega-status "$@" | cut -f 1
}

@test "an empty store has no jobs" {
	expect 0 vega-status
	[[ ! -s $out ]]
	expect 0 vega-status -F json
	[[ ! -s $out ]]
	run -0 on_terminal 80 vega-status
	[[ -z $output ]]
}

@test "the list in a pipe has one job per line, newest first" {
	mkdir data $'odd\n\e[31mname'
	a=$(vega-submit data)
	b=$(vega-submit --queue bulk find,hash data $'odd\n\e[31mname')
	expect 0 vega-status
	lines 2 "$out"
	[[ $(cut -f 1 "$out") == "$b"$'\n'"$a" ]]
	[[ $(cut -f 2-4 "$out" | head -n 1) == PENDING$'\t'bulk$'\t'$(id -un) ]]
	matches $'\t[0-9]{4}-[0-9-]+T[0-9:.]+Z\tsummarize '"$PWD/data\$" "$out"
	matches $'\tfind,hash '"$PWD/data $PWD/"'odd\\n\\e\[31mname$' "$out"
	expect 0 vega-status -F json
	[[ $(jq -r .id "$out") == "$b"$'\n'"$a" ]]
	[[ $(jq -r '.spec.roots[0]' "$out" | sort -u) == "$PWD/data" ]]
}

@test "the list on a terminal is a table that fits" {
	mkdir data $'odd\n\e[31mname'
	for _ in {1..22}; do
		vega-submit find data $'odd\n\e[31mname' >id
	done
	on_terminal 100 vega-status >table 2>&1
	lines 22 table # a heading, 20 jobs, a remark
	matches '^JOB +STATE +AGE  WHAT$' table
	matches "^$(<id)  PENDING +[0-9.]+s  find " table
	matches 'these are the newest jobs; --limit 0 lists all' table
	run ! grep -q $'\e' table
	(($(wc -L <table) <= 100))
	on_terminal 200 vega-status -n 0 >table
	lines 23 table
	matches '^JOB +STATE +AGE +TIME  QUEUE +WHAT$' table
	on_terminal 40 vega-status -n 3 >table
	lines 4 table
	expect 0 vega-status
	lines 22 "$out"
	expect 0 vega-status --limit 5
	lines 5 "$out"
}

@test "the options that choose jobs select by state, queue, label, submitter and age" {
	mkdir data
	a=$(vega-submit --label team=ops --label tier=1 data)
	b=$(vega-submit --queue bulk --label team=dev data)
	vega-run --drain --queue bulk -q
	[[ $(ids --state pending) == "$a" ]]
	[[ $(ids --state completed) == "$b" ]]
	[[ $(ids --state pending,completed | wc -l) == 2 ]]
	[[ $(ids -s failed -s cancelled) == '' ]]
	[[ $(ids --queue bulk) == "$b" ]]
	[[ $(ids --label team=ops) == "$a" ]]
	[[ $(ids --label team=ops --state completed) == '' ]]
	[[ $(ids --submitter "$(id -un)" | wc -l) == 2 ]]
	[[ $(ids --submitter someone-else) == '' ]]
	sql "update job set created = created - 7200000000 where id = '$a'"
	[[ $(ids --older-than 1h) == "$a" ]]
	[[ $(ids --newer-than 1h) == "$b" ]]
}

@test "a named job is shown in full" {
	mkdir data
	id=$(vega-submit --label team=ops --idempotency-key nightly --priority 3 find data)
	expect 0 vega-status "$id"
	matches "^job +$id\$" "$out"
	matches "^what +find $PWD/data\$" "$out"
	matches '^state +PENDING$' "$out"
	matches '^attempt +0 of 3$' "$out"
	matches '^queue +default, priority 3$' "$out"
	matches '^key +nightly$' "$out"
	matches '^label +team=ops$' "$out"
	matches '^created +20.*Z \(.* ago\)$' "$out"
	vega-run --drain -q
	expect 0 vega-status "$id"
	matches '^state +COMPLETED in [0-9.]+s: 1 entry$' "$out"
	matches '^records +[0-9]+ B$' "$out"
	expect 0 vega-status -F json "$id"
	lines 1 "$out"
	[[ $(jq -r '[.state, .exit_code, .summary.complete] | @csv' "$out") == '"COMPLETED",0,true' ]]
	expect 0 vega-status -F json "${id^^}"
	lines 1 "$out"
}

@test "a job's standard error and failure are shown, escaped" {
	mkdir in
	echo x >in/file
	id=$(vega-submit transform --max-attempts 1 --out out in -- sh -c 'kill -9 $PPID')
	vega-run --drain -q
	sql "update job_result set stderr_tail = 'one' || char(10) || char(27) || '[31mtwo' || char(10)"
	sql "update job_state set error = char(27) || '[31mboom'"
	expect 0 vega-status "$id"
	matches '^state +FAILED in ' "$out"
	matches '^error +\\e\[31mboom$' "$out"
	matches '^stderr +one$' "$out"
	matches '^ +\\e\[31mtwo$' "$out"
	run ! grep -q $'\e' "$out"
}

@test "missing jobs and malformed ids are named" {
	expect 1 vega-status "$nobody_home"
	matches "no job $nobody_home" "$err"
	[[ ! -s $out ]]
	expect 1 vega-status --wait "$nobody_home"
	expect 1 vega-status --result "$nobody_home"
	mkdir data
	id=$(vega-submit data)
	expect 1 vega-status "$nobody_home" "$id"
	matches "^job +$id\$" "$out"
	for bad in x 01890000-0000-7000-8000-00000000000 "$id "; do
		expect 2 vega-status "$bad"
		matches "'.*' is not a job id" "$err"
	done
}

@test "waiting ends with the job" {
	mkdir data
	id=$(vega-submit data)
	start vega-status --wait "$id"
	waiter=$pid
	start vega-status --follow "$id"
	follower=$pid
	expect 5 vega-status --wait --timeout 100ms "$id"
	matches "job $id is still PENDING" "$err"
	vega-run --drain -q
	wait "$waiter"
	wait "$follower"
	[[ ! -s $out.$waiter && ! -s $err.$waiter && ! -s $err.$follower ]]
	matches "^$id COMPLETED in [0-9.]+s: 1 entry\$" "$out.$follower"
	expect 0 vega-status --wait "$id"
	expect 0 vega-status --wait --result "$id"
	[[ $(jq .complete "$out") == true ]]
	other=$(vega-submit data)
	vega-cancel "$other"
	expect 4 vega-status --wait "$id" "$other"
	matches "job $other was cancelled" "$err"
	expect 4 vega-status --follow "$other"
	matches "^$other CANCELLED" "$out"
}

@test "waiting continues while the store is unreachable, also from the start" {
	away="postgresql:///none?host=$PWD"
	began=${EPOCHREALTIME/./}
	expect 5 vega-status --store "$away" --wait --timeout 700ms "$nobody_home"
	((${EPOCHREALTIME/./} - began >= 700000))
	lines 2 "$err"
	matches '^vega-status: .*; waiting for the store$' "$err"
	expect 2 vega-status --store nonsense --wait --timeout 1min "$nobody_home"
	start_postgres
	mkdir data
	id=$(vega-submit data)
	"$TESTS/lib/postgres" kill "$postgres_dir"
	start vega-status --wait "$id"
	waiter=$pid
	eventually 10 matches 'waiting for the store$' "$err.$waiter"
	start_postgres
	vega-run --drain -q --root /
	wait "$waiter"
	lines 1 "$err.$waiter"
}

@test "waiting for a partial job exits with status 3, as vega-walk does" {
	mkdir data gone
	id=$(vega-submit find data gone)
	rmdir gone
	vega-run --drain -q
	expect 3 vega-status --wait "$id"
	matches "job $id completed, but some entries could not be read or written; --records names them" "$err"
	expect 3 vega-status --wait --result "$id"
	[[ $(jq .ledger.errors "$out") == 1 ]]
	expect 3 vega-status --follow "$id"
	matches "^$id COMPLETED.*1 error" "$out"
	expect 0 vega-status --records "$id"
	matches '"type":"error".*/gone"' "$out"
}

@test "--follow draws progress on a terminal, and erases it" {
	wide_tree in 400
	id=$(vega-submit transform --out out in -- sh -c 'cat; [ -e go ] || sleep 0.1')
	start vega-run --lease 2s
	TERM=xterm start script -qefc "stty cols 60; vega-status --follow $id" screen
	eventually 20 matches 'PROCESSING, [0-9]+ entries' screen
	touch go
	wait "$pid"
	matches $'\r\e\\[K'"$id COMPLETED in [0-9.]+s: [0-9]+ entries"$'\r$' screen
}

@test "a result is JSON in a pipe and a picture on a terminal" {
	small_tree data
	id=$(vega-submit data)
	expect 1 vega-status --result "$id"
	matches "job $id is PENDING and has no result yet; wait for it with --wait" "$err"
	vega-run --drain -q
	expect 0 vega-status --result "$id"
	lines 1 "$out"
	[[ $(jq -c '[.type, .complete]' "$out") == '["summary",true]' ]]
	on_terminal 80 vega-status --result "$id" >picture
	run ! grep -q '"type"' picture
	matches 'docs' picture
	[[ $(on_terminal 80 vega-status --result -F json "$id" | jq -r .type) == summary ]]
	vega-cancel "$(vega-submit data | tee id)"
	expect 4 vega-status --result "$(<id)"
	matches 'was cancelled' "$err"
	[[ ! -s $out ]]
}

@test "--records prints the records of the job, or fails" {
	mkdir data
	id=$(vega-submit find data)
	expect 1 vega-status --records "$id"
	vega-run --drain -q
	expect 0 vega-status --records "$id"
	lines 1 "$out"
	sql "update job_result set records = replace(records, 'entry', 'Entry')"
	expect 2 vega-status --records "$id"
	matches "the records of job $id have changed since it stored them" "$err"
	[[ ! -s $out ]]
	id=$(vega-submit data)
	vega-run --drain -q
	expect 0 vega-status --records "$id"
	[[ ! -s $out ]]
}

@test "a closed pipe ends vega-status quietly" {
	wide_tree data 5000
	id=$(vega-submit find data)
	vega-run --drain -q
	run -141 --separate-stderr bash -c 'vega-status --records "$1" | head -n 1 >first; exit "${PIPESTATUS[0]}"' - "$id"
	[[ -z ${stderr:-} ]]
	lines 1 first
	expect 2 bash -c 'vega-status --records "$1" >/dev/full' - "$id"
	matches 'cannot write to standard output: No space left' "$err"
}

@test "finished jobs come from Redis, and equal those in the store" {
	need redis-server
	start_redis
	mkdir data
	id=$(vega-submit data)
	vega-run --drain -q
	vega-status --cache none -F json "$id" >stored
	vega-status --cache none --result "$id" >result
	mv "$XDG_STATE_HOME/vega" hidden
	expect 0 vega-status -F json "$id"
	same stored "$out"
	expect 0 vega-status --result "$id"
	same result "$out"
	expect 0 vega-status --wait "$id"
	rm -rf "$XDG_STATE_HOME/vega"
	mv hidden "$XDG_STATE_HOME/vega"
	stop_redis
	expect 0 vega-status -F json "$id"
	same stored "$out"
}

@test "vega-status rejects wrong usage" {
	id=$nobody_home
	expect 2 vega-status --wait
	expect 2 vega-status --result
	expect 2 vega-status --result --records "$id"
	expect 2 vega-status --timeout 1s "$id"
	expect 2 vega-status --state pending "$id"
	expect 2 vega-status --state unknown
	expect 2 vega-status --newer-than 7
	expect 2 vega-status --format csv
	expect 2 vega-status --cache gopher://x
	expect 2 vega-status --store gopher://x
	expect 5 vega-status --store "postgresql:///x?host=$PWD"
}
