#!/usr/bin/env bats
# vega-run --run-as-submitter: each job runs as the system user of its submitter, and no other.
# shellcheck disable=SC2154 # $pid and $err are the library's
load ../lib/vega

# Three database roles, of which two are system users by the map and one by its name, and a tree that
# they may enter.
setup() {
	vega_setup
	need_root
	need psql
	start_postgres
	psql -qX -d "$VEGA_STORE" -c 'CREATE ROLE alice LOGIN IN ROLE vega_submitter; CREATE ROLE bob LOGIN IN ROLE vega_submitter;
		CREATE ROLE games LOGIN IN ROLE vega_submitter; CREATE ROLE boss LOGIN IN ROLE vega_submitter;
		CREATE ROLE worker LOGIN IN ROLE vega_worker'
	open_to_all
	printf '%s\n' '# role  user' '' $'alice\tnobody  # mapped' 'bob daemon' >map
	file in/a.csv 1000
	file in/b.csv 200000
}

submit() { # ROLE ARGUMENT…: $id
	local role=$1
	shift
	id=$(VEGA_STORE=${VEGA_STORE/tester@/$role@} vega-submit "$@")
}

work() { # OPTION…
	expect 0 vega-run --drain --root "$PWD" --store "${VEGA_STORE/tester@/worker@}" "$@"
}

field() { # FILTER
	vega-status -F json "$id" | jq -r "$1"
}

@test "a job's process runs as the submitter, and cannot become another user" {
	mkdir -m 1777 out
	umask 077
	submit alice transform --name a.csv --out out in -- sh -c 'umask; pwd; env; cat /proc/self/status; sed "s/.*) //" /proc/$PPID/stat'
	MY_SECRET=hidden VEGA_CACHE=unix:/hidden work --commands --run-as-submitter=map
	[[ $(field .state) == COMPLETED ]]
	shown=out/a.csv
	local uid gid groups
	uid=$(id -u nobody) gid=$(id -g nobody) groups=$(id -G nobody)
	matches "^Uid:(	$uid){4}\$" "$shown"
	matches "^Gid:(	$gid){4}\$" "$shown"
	matches "^Groups:	$groups *\$" "$shown"
	matches '^NoNewPrivs:	1$' "$shown"
	for set in Inh Prm Eff Bnd Amb; do
		matches "^Cap$set:	0000000000000000\$" "$shown"
	done
	# A leader of its group and session, with no terminal that it could write into.
	matches '^[A-Z] [0-9]+ ([0-9]+) \1 0 ' "$shown"
	matches '^0022$' "$shown"
	matches '^/$' "$shown"
	matches '^USER=nobody$' "$shown"
	matches '^LOGNAME=nobody$' "$shown"
	matches "^HOME=$(getent passwd nobody | cut -d : -f 6)\$" "$shown"
	run ! grep -E 'hidden|VEGA_STORE|XDG_STATE_HOME' "$shown"
}

@test "a job's outputs belong to the submitter, from the staging directory to their place" {
	mkdir -m 1777 out
	submit alice transform --to gzip --out out/deep in
	work --run-as-submitter=map
	[[ $(field '[.state, .exit_code, .committed_seq] | @csv') == '"COMPLETED",0,1' ]]
	[[ $(find out -mindepth 1 -printf '%u %m %P\n' | sort) == "$(printf '%s\n' 'nobody 644 deep/a.csv.gz' \
		'nobody 644 deep/b.csv.gz' 'nobody 755 deep')" ]]
	mkdir -m 755 closed
	submit alice transform --to gzip --out closed in
	work --run-as-submitter=map
	[[ $(field .state) == FAILED && $(field .error) == *'closed: Permission denied' ]]
	[[ -z $(ls -A closed) ]]
}

@test "files that the submitter may not read are not read, although the worker may" {
	mkdir in/theirs
	file in/theirs/secret 10
	file in/locked 10
	chown -R daemon in/theirs
	chmod 700 in/theirs
	chmod 600 in/locked
	submit alice find in
	work --run-as-submitter=map
	expect 3 vega-status --wait "$id"
	vega-status --records "$id" >records
	matches 'in/theirs".*EACCES' records
	run ! grep secret records
	submit alice hash in
	work --run-as-submitter=map
	expect 3 vega-status --wait "$id"
	[[ $(field .summary.hash.files) == 2 ]]
	submit bob find in
	work --run-as-submitter=map
	expect 0 vega-status --wait "$id"
	vega-status --records "$id" | grep in/theirs/secret
	submit bob find in
	work
	vega-status --records "$id" | grep in/theirs/secret
}

@test "a submitter without a system user fails for good, and costs the others nothing" {
	submit games find in
	games=$id
	submit boss find in
	boss=$id
	submit alice find in
	work --run-as-submitter=map
	matches "^vega-run: $games failed: this worker runs no jobs of the submitter games: its map" "$err"
	expect 0 vega-status --wait "$id"
	id=$games
	[[ $(field '[.state, .attempt] | @csv') == '"FAILED",1' ]]
	[[ $(field .error) == 'this worker runs no jobs of the submitter games: its map does not name the role' ]]
	[[ $(vega-status -F json "$boss" | jq -r .state) == FAILED ]]
}

@test "without a map, a role is the user of the same name" {
	mkdir -m 1777 out
	psql -qX -d "$VEGA_STORE" -c 'CREATE ROLE nobody LOGIN IN ROLE vega_submitter'
	submit nobody transform --to gzip --out out in
	work --run-as-submitter
	[[ $(field .state) == COMPLETED && $(stat -c %U out/a.csv.gz) == nobody ]]
	submit alice find in
	work --run-as-submitter
	[[ $(field .error) == 'this worker runs no jobs of the submitter alice: there is no system user alice' ]]
}

@test "a role that is named like a system account needs a map to run as it" {
	mkdir -m 1777 out
	submit games transform --to gzip --out out in
	work --run-as-submitter
	[[ $(field .state) == FAILED && ! -e out/a.csv.gz ]]
	[[ $(field .error) == *": the system user games has the uid $(id -u games), below 1000 (UID_MIN), which needs a MAP that names it" ]]
	echo 'games games' >gamesmap
	submit games transform --to gzip --out out in
	work --run-as-submitter=gamesmap
	[[ $(field .state) == COMPLETED && $(stat -c %U out/a.csv.gz) == games ]]
}

@test "a job runs as root only with --allow-root-jobs, and then with root's rights" {
	echo 'boss root' >rootmap
	submit boss find in
	expect 2 vega-run --drain --root "$PWD" --run-as-submitter=rootmap
	matches 'rootmap:1: the system user root has the uid 0, which needs --allow-root-jobs' "$err"
	[[ $(field .state) == PENDING ]]
	psql -qX -d "$VEGA_STORE" -c 'CREATE ROLE root LOGIN IN ROLE vega_submitter'
	submit root find in
	work --run-as-submitter
	[[ $(field .error) == *'submitter root: the system user root has the uid 0, which needs --allow-root-jobs' ]]
	mkdir in/theirs
	chown daemon in/theirs
	chmod 700 in/theirs
	submit boss find in
	work --run-as-submitter=rootmap --allow-root-jobs
	expect 0 vega-status --wait "$id"
}

# as_daemon COMMAND…: as that user, with the capabilities that --run-as-submitter needs.
as_daemon() {
	local list=-all,+setuid,+setgid,+setpcap,+kill
	setpriv --reuid=daemon --regid=daemon --clear-groups --bounding-set="$list" --inh-caps="$list" --ambient-caps="$list" "$@"
}

@test "a job runs as the worker's own user only with --allow-worker-jobs" {
	install -d -m 700 -o daemon state
	export XDG_STATE_HOME=$PWD/state
	submit bob find in
	expect 2 as_daemon vega-run --drain --root "$PWD" --run-as-submitter=map
	matches "map:4: the system user daemon is this worker's, which needs --allow-worker-jobs" "$err"
	[[ $(field .state) == PENDING ]]
	psql -qX -d "$VEGA_STORE" -c 'CREATE ROLE daemon LOGIN IN ROLE vega_submitter'
	submit daemon find --queue names in
	expect 0 as_daemon vega-run --drain --queue names --root "$PWD" --run-as-submitter
	[[ $(field .error) == *"submitter daemon: the system user daemon is this worker's, which needs --allow-worker-jobs" ]]
	submit bob find in
	expect 0 as_daemon vega-run --drain --root "$PWD" --run-as-submitter=map --allow-worker-jobs
	expect 0 vega-status --wait "$id"
}

@test "a committed job is published when its submitter is back" {
	mkdir bin
	mkdir -m 1777 out
	cp "$BUILD/vega-run" bin
	printf '%s\n' '#!/bin/sh' "case \"\$*\" in *--publish*) touch $PWD/out/at; exec sleep 60 ;; esac" \
		"exec '$BUILD/vega-walk' \"\$@\"" >bin/vega-walk
	chmod 755 bin/vega-walk
	submit alice transform --to gzip --max-attempts 1 --out out in
	start bin/vega-run --lease 1s --root "$PWD" --run-as-submitter=map
	eventually 20 test -e out/at
	kill -KILL "$pid"
	echo 'bob daemon' >othermap
	start vega-run --lease 1s --root "$PWD" --run-as-submitter=othermap
	eventually 20 matches "^vega-run: $id will be retried: this worker runs no jobs of the submitter alice" "$err.$pid"
	kill -TERM "$pid"
	wait "$pid" || true
	work --run-as-submitter=map
	[[ $(field .state) == COMPLETED && $(stat -c %U out/a.csv.gz) == nobody ]]
}

@test "a user who cannot run vega-walk fails alone" {
	mkdir bin
	cp "$BUILD/vega-run" "$BUILD/vega-walk" bin
	chmod 700 bin
	submit alice find --max-attempts 1 in
	expect 0 bin/vega-run --drain --root "$PWD" --run-as-submitter=map
	[[ $(field .state) == FAILED ]]
	[[ $(field .error) == "cannot run $PWD/bin/vega-walk as the user nobody: Permission denied" ]]
}

@test "a submitter's process ends with its worker, and when it is cancelled" {
	mkdir -m 1777 out
	submit alice transform --name a.csv --out out in \
		-- sh -c 'echo $$ >"$0"; while kill -0 $PPID; do sleep 0.05; done' "$PWD/out/began"
	start vega-run --lease 1s --root "$PWD" --commands --run-as-submitter=map
	eventually 20 test -s out/began
	walk=$(pgrep -P "$pid" vega-walk)
	[[ $(ps -o user= -p "$walk") == nobody ]]
	kill -KILL "$pid"
	eventually 10 gone "$walk"
	eventually 10 gone "$(<out/began)"
	rm out/began
	start vega-run --lease 1s --root "$PWD" --commands --run-as-submitter=map
	eventually 20 test -s out/began
	expect 0 vega-cancel --wait "$id"
	eventually 10 gone "$(<out/began)"
}

@test "wrong maps and wrong workers are rejected" {
	refused() { # MESSAGE OPTION…
		local message=$1
		shift
		expect 2 vega-run --drain --root "$PWD" "$@"
		matches "$message" "$err"
	}
	refused 'cannot read nowhere: No such file' --run-as-submitter=nowhere
	for line in alice 'alice nobody daemon'; do
		echo "$line" >bad
		refused 'bad:1: say DATABASE-ROLE SYSTEM-USER' --run-as-submitter=bad
	done
	printf '%s\n' 'alice nobody' '#' 'alice daemon' >bad
	refused 'bad:3: the role alice occurs twice' --run-as-submitter=bad
	echo 'alice nosuchuser' >bad
	refused 'bad:1: there is no system user nosuchuser' --run-as-submitter=bad
	chmod g+w map
	refused 'map must belong to root' --run-as-submitter=map
	chmod g-w map
	chown daemon map
	refused 'map must belong to root' --run-as-submitter=map
	chown root map
	ln -s "$PWD/map" link
	chown -h daemon link
	refused "cannot use link: $PWD/link must belong to root" --run-as-submitter=link
	mkdir -m 777 open
	cp map open
	refused "cannot use open/map: $PWD/open must belong to root" --run-as-submitter=open/map
	refused 'allow-root-jobs needs --run-as-submitter' --allow-root-jobs
	refused 'allow-worker-jobs needs --run-as-submitter' --allow-worker-jobs
	refused 'needs a PostgreSQL store' --run-as-submitter --store "sqlite:$PWD/jobs.db"
	expect 2 as_nobody "$BUILD/vega-run" --drain --root / --spool /tmp --run-as-submitter
	matches 'needs CAP_SETUID: start vega-run as root' "$err"
	expect 2 setpriv --bounding-set=-setpcap --inh-caps=-setpcap "$BUILD/vega-run" --drain --root / --run-as-submitter
	matches 'needs CAP_SETPCAP' "$err"
}
