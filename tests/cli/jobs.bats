#!/usr/bin/env bats
# Everything together: 200 jobs, three workers, one of which is killed every second.
load ../lib/vega

JOBS=200
LEASE=2s

# A job's work is to hash this: long enough to be killed in.
make_tree() {
	mkdir tree
	local i
	for i in {1..8}; do
		file "tree/$i" $((i * 1000))
	done
	truncate -s 128M tree/large
}

submit_all() {
	local i
	for ((i = 0; i < JOBS; i++)); do
		vega-submit hash --algo sha256 --max-attempts 100 --label "n=$i" tree >>ids
	done
	touch submitted
}

start_worker() { # NUMBER
	start vega-run --lease $LEASE --root "$PWD" --spool "$PWD/spool"
	worker[$1]=$pid
	workers+=("$pid")
}

completed() {
	vega-status --state completed -F json | sort
}

# One worker is killed each second until all jobs have ended. Jobs that are COMPLETED by then
# must be unchanged at the end.
kill_until_done() {
	local deadline=$((SECONDS + 200)) victim=0
	kills=0
	while [[ ! -e submitted ]] || (($(vega-status --state pending,processing | wc -l))); do
		((SECONDS < deadline)) || return 1
		read -rt 1 <>clock || true # the schedule of the faults; nothing is waited for
		kill -KILL "${worker[victim]}"
		kills=$((kills + 1))
		start_worker "$victim"
		victim=$(((victim + 1) % 3))
		completed >"completed.$kills"
	done
}

each_completed_once() {
	local snapshot
	vega-status -F json >all
	lines $JOBS all
	[[ $(jq -r .state all | sort | uniq -c | xargs) == "$JOBS COMPLETED" ]]
	[[ $(jq -r .labels.n all | sort -n | uniq | wc -l) == "$JOBS" ]]
	same <(sort ids) <(jq -r .id all | sort)

	completed >final
	for snapshot in completed.*; do
		[[ -z $(comm -23 "$snapshot" final) ]] || {
			echo "a COMPLETED job changed after $snapshot" >&2
			comm -23 "$snapshot" final >&2
			return 1
		}
	done

	# Each worker says what it stored; one that was killed may have had no time to.
	local pid
	for pid in "${workers[@]}"; do
		grep -h ' completed in ' "$err.$pid" || true
	done | cut -d ' ' -f 2 | sort >said
	[[ -z $(uniq -d said) ]]
	(($(wc -l <said) >= JOBS - kills))
}

each_result_is_right() {
	vega-walk hash --algo sha256 --format=ndjson "$PWD/tree" | grep '"type":"entry"' |
		jq -c '[.path, .digest]' | sort >digests
	lines 9 digests
	sed "s/^/$JOBS /" digests >wanted
	xargs -a ids vega-status --records | jq -c '[.path, .digest]' | sort | uniq -c | sed 's/^ *//' >got
	same wanted got
	xargs -a ids vega-status --result | jq -c '[.complete, .ledger.errors]' | sort | uniq -c | sed 's/^ *//' >got
	same - got <<<"$JOBS [true,0]"
	[[ -z $(find spool -type f) ]]
}

storm() {
	declare -ga worker=() workers=()
	make_tree
	mkfifo clock
	start_worker 0
	start_worker 1
	start_worker 2
	submit_all &
	local pid submitter=$!
	kill_until_done
	wait "$submitter"
	for pid in "${worker[@]}"; do
		kill -TERM "$pid"
		wait "$pid" || (($? == 143))
	done
	echo "# $kills workers killed, $(jq -s 'map(.attempt - 1) | add' <(vega-status -F json)) attempts lost" >&3
	each_completed_once
	each_result_is_right
	((kills >= 5))
}

@test "200 jobs survive dying workers, on SQLite" {
	storm
}

@test "200 jobs survive dying workers, on PostgreSQL" {
	need psql
	start_postgres
	storm
}
