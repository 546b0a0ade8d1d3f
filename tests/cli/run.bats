#!/usr/bin/env bats
# vega-run: the end of a job, whatever happens to it, its process and its worker.
load ../lib/vega

state() { # ID…: their states, in order
	local id
	for id; do
		vega-status -F json "$id" | jq -r .state
	done | paste -sd ' '
}

field() { # ID FILTER
	vega-status -F json "$1" | jq -r "$2"
}

# The entries of a directory, without the times that reading it changes.
found() {
	grep '"type":"entry"' | sed 's/"atime":"[^"]*",//' | sort
}

state_is() { # ID STATE
	[[ $(state "$1") == "$2" ]]
}

# hang_once: submits a job whose first attempt lasts as long as its process; $id. The file
# "began" says that it does, and holds the filter's process id.
hang_once() {
	mkdir -p in
	echo text >in/file
	cat >filter <<-'END'
		[ ! -e began ] || exec cat
		echo $$ >began.new
		mv began.new began
		while kill -0 $PPID; do sleep 0.05; done
	END
	id=$(vega-submit transform --out out in -- sh "$PWD/filter")
}

began() {
	[[ -s began ]]
}

@test "a job gives the results of the command" {
	small_tree data
	vega-walk find --format=ndjson "$PWD/data" | found >direct
	id=$(vega-submit find data)
	[[ $(state "$id") == PENDING ]]
	expect 0 vega-run --drain
	[[ ! -s $out ]]
	lines 1 "$err"
	matches "^vega-run: $id completed in .*: [0-9]+ entries\$" "$err"
	[[ $(state "$id") == COMPLETED ]]
	[[ $(field "$id" .attempt) == 1 ]]
	vega-status --records "$id" | found >job
	[[ -s job ]]
	same direct job
	[[ $(vega-status --result "$id" | jq -c .complete) == true ]]
}

@test "the summary of a job is that of the command" {
	small_tree data
	id=$(vega-submit data)
	expect 0 vega-run --drain -q
	[[ ! -s $err ]]
	vega-walk --format=json "$PWD/data" | jq -S '{ledger, summarize: .summarize | {files, directories, apparent_bytes}}' >direct
	vega-status --result "$id" | jq -S '{ledger, summarize: .summarize | {files, directories, apparent_bytes}}' >job
	same direct job
}

@test "strange names pass through unharmed" {
	strange_tree data
	id=$(vega-submit find data)
	expect 0 vega-run --drain
	vega-walk find --format=ndjson "$PWD/data" | found >direct
	vega-status --records "$id" | found >job
	[[ -s job ]]
	same direct job
	strange=$'new\nline \e[31m \xff'
	mkdir "$strange"
	id=$(vega-submit "$strange")
	expect 0 vega-run --drain
	[[ $(state "$id") == COMPLETED ]]
}

@test "many records go to a file, few into the row" {
	wide_tree data 3000
	id=$(vega-submit find data)
	few=$(vega-submit find data/f1)
	expect 0 vega-run --drain --spool "$PWD/spool dir"
	spooled="spool dir/$id.1.ndjson"
	[[ $(stat -c %a "$spooled") == 600 ]]
	[[ $(find 'spool dir' -type f | wc -l) == 1 ]]
	[[ $(field "$id" .records_uri) == "file://$(hostname)$PWD/spool%20dir/$id.1.ndjson" ]]
	vega-status --records "$id" | cmp - "$spooled"
	[[ $(field "$few" .records_uri) == null ]]
	[[ $(vega-status --records "$few" | wc -l) == 1 ]]

	printf X | dd of="$spooled" bs=1 seek=5000 conv=notrunc status=none
	expect 2 vega-status --records "$id"
	[[ ! -s $out ]]
	matches 'has changed since the job stored it' "$err"
	rm "$spooled"
	expect 2 vega-status --records "$id"
	matches 'is missing: the records were removed' "$err"
	sqlite3 "$XDG_STATE_HOME/vega/jobs.db" "update job_result set records_uri = 'file://far.example/x' where records_uri is not null"
	expect 2 vega-status --records "$id"
	matches 'on host far.example .*run vega-status there' "$err"
}

@test "unreadable entries make a job partial, not a failure" {
	mkdir data gone
	id=$(vega-submit find data gone)
	rmdir gone
	expect 0 vega-run --drain
	matches "$id completed in .*, some could not be read or written\$" "$err"
	[[ $(field "$id" '[.state, .exit_code] | @csv') == '"COMPLETED",3' ]]
	[[ $(vega-status --records "$id" | jq -r .type | sort | paste -sd ' ') == 'entry error' ]]
}

@test "a job that can never work fails at once" {
	mkdir data
	id=$(vega-submit data)
	sqlite3 "$XDG_STATE_HOME/vega/jobs.db" "update job set spec = replace(spec, '\"v\":1', '\"v\":99')"
	expect 0 vega-run --drain
	matches "$id failed: vega-walk: .*newer" "$err"
	[[ $(field "$id" '[.state, .attempt, .exit_code] | @csv') == '"FAILED",1,2' ]]
	expect 4 vega-status --wait "$id"
	matches "job $id failed: vega-walk: .*newer" "$err"
	expect 0 vega-status "$id"
	matches "^what +summarize $PWD/data\$" "$out"
}

@test "a job whose process dies is retried up to --max-attempts" {
	mkdir in
	echo x >in/file
	id=$(vega-submit transform --max-attempts 2 --out out in -- sh -c 'kill -KILL $PPID')
	expect 0 vega-run --drain
	matches "$id will be retried: vega-walk was killed by SIGKILL" "$err"
	matches "$id failed: vega-walk was killed by SIGKILL" "$err"
	[[ $(field "$id" '[.state, .attempt, .exit_code] | @csv') == '"FAILED",2,137' ]]
}

@test "--once runs one job, --drain all due jobs, --queue the jobs of a queue" {
	mkdir data
	a=$(vega-submit data)
	b=$(vega-submit --priority 1 data)
	c=$(vega-submit --queue other data)
	d=$(vega-submit --after 1d data)
	expect 0 vega-run --once
	[[ $(state "$a" "$b" "$c" "$d") == 'PENDING COMPLETED PENDING PENDING' ]]
	expect 0 vega-run --drain --queue other --queue another
	[[ $(state "$a" "$b" "$c" "$d") == 'PENDING COMPLETED COMPLETED PENDING' ]]
	expect 0 vega-run --drain -j 3
	[[ $(state "$a" "$b" "$c" "$d") == 'COMPLETED COMPLETED COMPLETED PENDING' ]]
	expect 0 vega-run --once
	[[ ! -s $err ]]
}

@test "a waiting worker starts a new job" {
	mkdir data
	start vega-run
	for i in 1 2 3; do
		id=$(vega-submit data)
		expect 0 vega-status --wait --timeout 20s "$id"
	done
	kill -TERM "$pid"
	code=0
	wait "$pid" || code=$?
	((code == 143))
}

@test "SIGTERM releases running jobs, and the attempt does not count" {
	hang_once
	start vega-run -v
	eventually 20 began
	kill -TERM "$pid"
	code=0
	wait "$pid" || code=$?
	((code == 143))
	matches "^vega-run: $id released\$" "$err.$pid"
	[[ $(field "$id" '[.state, .attempt, .lease_seq] | @csv') == '"PENDING",0,1' ]]
	eventually 10 gone "$(<began)"
	expect 0 vega-run --drain
	[[ $(field "$id" '[.state, .attempt, .lease_seq] | @csv') == '"COMPLETED",1,2' ]]
	[[ $(<out/file) == text ]]
}

@test "a job whose worker is killed is taken over, and its process dies with the worker" {
	hang_once
	start vega-run --lease 2s
	eventually 20 began
	walk=$(pgrep -P "$pid" vega-walk)
	kill -KILL "$pid"
	eventually 10 gone "$walk"
	eventually 10 gone "$(<began)"
	[[ $(state "$id") == PROCESSING ]]
	start vega-run --lease 2s
	expect 0 vega-status --wait --timeout 20s "$id"
	[[ $(field "$id" '[.attempt, .lease_seq] | @csv') == 2,2 ]]
	[[ $(<out/file) == text ]]
}

# Stopped in the middle of a write, a process keeps everybody from the store.
stopped_between_writes() { # PID
	kill -STOP "$1"
	sqlite3 "$XDG_STATE_HOME/vega/jobs.db" 'begin exclusive' && return
	kill -CONT "$1"
	return 1
}

@test "a worker that was stopped for longer than its lease stores nothing" {
	hang_once
	start vega-run --lease 1s
	sleeper=$pid
	eventually 20 began
	eventually 10 stopped_between_writes "$sleeper"
	start vega-run --lease 1s
	expect 0 vega-status --wait --timeout 20s "$id"
	vega-status -F json "$id" >before
	[[ $(field "$id" .attempt) == 2 ]]
	kill -CONT "$sleeper"
	eventually 20 matches "^vega-run: $id lost: " "$err.$sleeper"
	eventually 10 gone "$(<began)"
	vega-status -F json "$id" >after
	same before after
	kill -0 "$sleeper"
}

@test "a child inherits no secrets and no descriptor of the store" {
	mkdir in
	echo x >in/file
	id=$(vega-submit transform --out out in -- sh -c 'env; ls -l /proc/self/fd')
	PGPASSWORD=hidden PGUSER=hidden VEGA_CACHE=unix:/hidden expect 0 vega-run --drain --store "sqlite:$XDG_STATE_HOME/vega/jobs.db"
	[[ $(state "$id") == COMPLETED ]]
	run ! grep -E 'hidden|VEGA_STORE|jobs\.db' out/file
}

@test "a command of a job can look neither into its vega-walk nor into the worker" {
	open_to_all
	mkdir -m 777 out
	mkdir in
	echo x >in/file
	install -d -m 700 -o "$(as_nobody id -u)" state
	export XDG_STATE_HOME=$PWD/state
	cat >spy <<-'END'
		cat >/dev/null
		worker=$(sed 's/.*) //' "/proc/$PPID/stat" | cut -d ' ' -f 2)
		for pid in "$PPID" "$worker"; do
			cat "/proc/$pid/comm"
			tr '\0' '\n' <"/proc/$pid/environ"
			ls "/proc/$pid/fd"
			perl -e '$fd = syscall(438, syscall(434, $ARGV[0] + 0, 0), 1, 0); print $fd < 0 ? "refused\n" : "taken\n"' "$pid"
		done 2>/dev/null
	END
	id=$(as_nobody vega-submit transform --out out in -- sh "$PWD/spy")
	VEGA_CACHE=unix:/hidden expect 0 as_nobody vega-run --drain
	[[ $(as_nobody vega-status -F json "$id" | jq -r .state) == COMPLETED ]]
	[[ $(<out/file) == $'vega-walk\nrefused\nvega-run\nrefused' ]]
}

@test "a shared store's jobs run commands only with --commands" {
	start_postgres
	mkdir in
	echo text >in/file
	id=$(vega-submit transform --out out in -- tr a-z A-Z)
	expect 0 vega-run --drain --root "$PWD"
	[[ $(state "$id") == FAILED ]]
	vega-status "$id" >shown
	matches '^error .*this worker runs no commands of jobs \(tr\); start one with vega-run --commands' shown
	[[ ! -e out ]]
	id=$(vega-submit transform --out out in -- tr a-z A-Z)
	if ((EUID == 0)); then
		expect 2 vega-run --drain --root "$PWD" --commands
		matches 'the commands of every submitter as root: add --run-as-submitter' "$err"
		[[ $(state "$id") == PENDING ]]
	fi
	expect 0 vega-run --drain --root "$PWD" --commands --allow-root-jobs
	[[ $(state "$id") == COMPLETED && $(<out/file) == TEXT ]]
}

# The median of the milliseconds from a submit until an idle worker begins the job.
median_delay() {
	local ids=()
	start vega-run --root "$PWD"
	for _ in {1..15}; do
		ids+=("$(vega-submit data)")
		vega-status --wait "${ids[-1]}"
		sleep 0.1
	done
	vega-status -F json "${ids[@]}" | jq -s '
		def seconds: (.[:19] + "Z" | fromdate) + ("0" + .[19:-1] | tonumber);
		[.[] | (.started | seconds) - (.created | seconds)] | sort | .[length / 2 | floor] * 1000'
}

@test "an idle worker begins a new job within 100 ms" {
	mkdir data
	median_delay >sqlite
	start_postgres
	median_delay >postgres
	cat sqlite postgres
	[[ $(jq -s 'all(. >= 0 and . < 100)' sqlite postgres) == true ]]
}

@test "--root limits what jobs may touch" {
	mkdir -p ours theirs
	touch ours/a theirs/b
	id=$(vega-submit find ours theirs)
	expect 0 vega-run --drain --root ours
	vega-status --records "$id" >records
	matches "$PWD/ours/a" records
	matches "\"type\":\"error\".*$PWD/theirs\".*EPERM" records
	run ! grep theirs/b records
	id=$(vega-submit find theirs)
	VEGA_ROOTS=$PWD/ours expect 0 vega-run --drain
	[[ $(state "$id") == FAILED ]]
	vega-status "$id" >again
	matches "^error .*nothing could be read: $PWD/theirs: not beneath a directory that --root allows" again
	run ! grep theirs/b again
	id=$(vega-submit find theirs)
	VEGA_ROOTS=$PWD/theirs expect 0 vega-run --drain
	vega-status --records "$id" | grep theirs/b
}

@test "vega-run rejects wrong usage" {
	expect 2 vega-run --once --drain
	expect 2 vega-run -q -v
	expect 2 vega-run -j 0
	expect 2 vega-run -j 5000
	expect 2 vega-run --lease 10ms
	expect 2 vega-run --lease 20
	expect 2 vega-run somewhere
	matches "unexpected operand 'somewhere'" "$err"
	expect 2 vega-run --drain --root nowhere
	matches 'nowhere' "$err"
	expect 2 vega-run --drain --cache gopher://x
	expect 2 vega-run --drain --store gopher://x
	expect 2 vega-run --drain --store postgresql://localhost/x
	matches 'a shared store needs --root DIR' "$err"
	[[ ! -e $XDG_STATE_HOME/vega/jobs.db ]]
}

@test "an unreachable store is waited for, but not by --drain" {
	unset PGHOST
	away="postgresql:///x?host=$PWD"
	expect 5 vega-run --drain --root / --store "$away"
	start vega-run --root / --store "$away"
	eventually 20 matches '^vega-run: the store is unreachable, retrying' "$err.$pid"
	kill -TERM "$pid"
	code=0
	wait "$pid" || code=$?
	((code == 143))
	lines 2 "$err.$pid"
}

@test "records that do not fit on the disk cost an attempt, and leave nothing" {
	disk tmpfs 64k small
	chmod 700 small
	wide_tree in 3000
	id=$(vega-submit find --max-attempts 1 in)
	expect 0 vega-run --drain --spool "$PWD/small"
	find small -type f >left
	matches "$id failed: cannot write the records to the spool directory .*No space left" "$err"
	[[ $(state "$id") == FAILED ]]
	[[ ! -s left ]]
}

# Has the server's end of a connection to it a timer of at most 10 s that asks whether we are there? Column 6
# of /proc/net/tcp (proc(5)) is its kind (02: keepalive) and how many hundredths of a second are left.
server_asks() {
	awk -v at="$hex:1538" '$2 == at && $4 == "01" && substr($6, 1, 2) == "02" {
		any = 1
		late = late || length($6) != 11 || substr($6, 4) > "000003E8"
	}
	END { exit !any || late }' /proc/net/tcp
}

@test "a PostgreSQL server is told to notice within seconds that a worker's host is gone" {
	need psql
	start_postgres
	local second=$((RANDOM % 250 + 1)) third=$((RANDOM % 250 + 1))
	psql -qX "$VEGA_STORE" -c "COPY (SELECT 'host all all 127.0.0.0/8 trust') TO PROGRAM 'cat >>pg_hba.conf'"
	"$TESTS/lib/postgres" kill "$postgres_dir"
	"$TESTS/lib/postgres" start "$postgres_dir" -c listen_addresses=127.$second.$third.7 >/dev/null
	printf -v hex '07%02X%02X7F' "$third" "$second"
	start vega-run --store "postgresql://tester@127.$second.$third.7/vega" --root "$PWD"
	eventually 10 server_asks
}

processing() { # ID
	[[ $(vega-status -F json "$1" | jq -r .state) == PROCESSING ]]
}

@test "--drain waits for the lease of a worker that was killed, and then runs its job" {
	file in/a 10
	id=$(vega-submit transform --out out in -- sh -c '[ -e go ] || exec sleep 3; cat')
	start vega-run --once --lease 2s
	eventually 10 processing "$id"
	kill -KILL "$pid"
	touch go
	expect 0 vega-run --drain
	matches 'waiting for 1 job of other workers, in case these are gone' "$err"
	expect 0 vega-status --wait --timeout 1s "$id"
	expect 0 vega-status -F json "$id"
	holds '.attempt == 2' "$out"
}

@test "--drain does not wait for the jobs of workers that are alive, on this host or another one" {
	file in/a 10
	id=$(vega-submit transform --out out in -- sh -c 'until [ -e go ]; do sleep 0.1; done; cat')
	start vega-run --once --lease 2s
	eventually 10 processing "$id"
	begun=$SECONDS
	expect 0 vega-run --drain
	matches '1 job still runs in other workers' "$err"
	run ! grep waiting "$err"
	expect 0 unshare --uts sh -c 'hostname elsewhere; exec vega-run --drain' # it sees the lease renewed
	matches 'waiting for 1 job' "$err"
	matches '1 job still runs in other workers' "$err"
	((SECONDS - begun <= 8))
	touch go
	expect 0 vega-status --wait --timeout 10s "$id"
}

@test "--drain ends, and says so, when what is due stays locked" {
	need psql
	start_postgres
	id=$(vega-submit find .)
	start psql -qX "$VEGA_STORE" -c 'BEGIN; SELECT 1 FROM vega.job_state FOR UPDATE; SELECT pg_sleep(60)'
	eventually 10 locked
	expect 5 vega-run --drain --lease 2s --root "$PWD"
	matches 'jobs are due, but others keep their rows locked' "$err"
}

locked() {
	[[ $(psql -qXAt "$VEGA_STORE" -c "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND wait_event = 'PgSleep'") == 1 ]]
}
