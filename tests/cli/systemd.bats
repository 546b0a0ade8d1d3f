#!/usr/bin/env bats
# The systemd units are well formed and shut off what their commands do not need, and vega-run talks to the
# service manager.
load ../lib/vega

setup() {
	vega_setup
	mkdir data
	file data/a.csv 2000
}

# The units as they are installed, as instance "main".
installed_units() {
	local unit
	mkdir units
	for unit in "$SOURCE"/units/*; do
		sed "s,@bindir@,$BUILD," "$unit" >"units/$(basename "$unit" | sed 's/@/@main/')"
	done
}

# allowed: the system calls that the filters of a unit let through, a line each. UNIT
allowed() {
	awk -F = '$1 == "SystemCallFilter" {
		deny = sub(/^~/, "", $2)
		count = split($2, sets, " ")
		for (i = 1; i <= count; i++) print deny ? "-" : "+", sets[i]
	}' "$1" | while read -r sign set; do
		expand "$set" | sed "s/^/$sign /"
	done | awk '$1 == "+" { good[$2] } $1 == "-" { delete good[$2] } END { for (call in good) print call }' | sort -u
}

expand() { # @SET, or a call
	local line
	[[ $1 == @* ]] || {
		echo "$1"
		return
	}
	systemd-analyze syscall-filter "$1" | sed '1d; s/^ *//; /^#/d; /^$/d' | while read -r line; do
		if [[ $line == @* ]]; then
			expand "$line"
		else
			echo "$line"
		fi
	done
}

# listen: what is sent to $NOTIFY_SOCKET appears in the file notified.
listen() {
	export NOTIFY_SOCKET=$BATS_TEST_TMPDIR/notify
	start perl -MSocket -e '
		socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die;
		bind($socket, sockaddr_un($ENV{NOTIFY_SOCKET})) or die;
		open(my $out, ">>", "notified") or die;
		$out->autoflush(1);
		while (defined recv($socket, my $text, 4096, 0)) { print $out "$text\n" }'
	eventually 10 test -S "$NOTIFY_SOCKET"
}

@test "the units are well formed" {
	need systemd-analyze
	installed_units
	expect 0 systemd-analyze verify --man=no --recursive-errors=no units/*
	[[ ! -s $err ]]
}

@test "the drop-in of the manual is well formed, and applied" {
	need systemd-analyze
	installed_units
	local site=units/vega-run@main.service.d/site.conf
	mkdir "${site%/*}"
	sed -n '/^\[Service\]$/,/^\.Ed$/ { /^\.Ed$/d; p; }' "$SOURCE/man/vega-run.1" >"$site"
	(($(grep -c ^CapabilityBoundingSet= "$site") == 2))
	expect 0 systemd-analyze verify --man=no --recursive-errors=no units/vega-run@main.service
	[[ ! -s $err ]]
	echo Nonsense=yes >>"$site"
	systemd-analyze verify --man=no --recursive-errors=no units/vega-run@main.service 2>&1 | grep site.conf
}

@test "the exposure of the units is that of the manual" {
	need systemd-analyze
	installed_units
	score=$(sed -nE 's/.*exposure level of ([0-9]\.[0-9]).*/\1/p' "$SOURCE/man/vega-run.1")
	for unit in units/*.service; do
		expect 0 systemd-analyze security --offline=true --threshold="${score/./}" "$unit"
		matches "Overall exposure level for .*: $score " "$out"
	done
}

@test "the system call filters of the units allow every call of the commands" {
	need systemd-analyze strace
	allowed "$SOURCE/units/vega-run@.service" >worker
	allowed "$SOURCE/units/vega-prune@.service" >pruner
	grep -qx openat worker
	run ! grep -qxE 'mount|setuid|ptrace|bpf|reboot|chown|setpriority' worker
	start_postgres
	start_redis
	export VEGA_ROOTS=$PWD
	wide_tree many 1000
	vega-submit summarize,find,hash many
	vega-submit hash data
	vega-submit transform --to zstd --out out data
	vega-submit transform --out sorted data -- sort
	expect 0 strace -f -qq -o trace vega-run --drain --commands --allow-root-jobs -j 2
	expect 0 strace -f -qq -o trace.prune vega-admin prune --older-than 0s
	[[ $(vega-status --workers) == '' && -s out/a.csv.zst && -s sorted/a.csv ]]
	for who in worker:trace pruner:trace.prune; do
		sed -nE 's/^[0-9]+ +([a-z][a-z0-9_]*)\(.*/\1/p' "${who#*:}" | sort -u >called
		(($(wc -l <called) > 30))
		comm -23 called "${who%:*}" >refused
		lines 0 refused
	done
}

@test "--run-as-submitter works with the capabilities and calls that the manual names" {
	need systemd-analyze strace
	need_root
	local caps calls list
	caps=$(sed -n 's/^AmbientCapabilities=\(CAP_SETUID.*\)/\1/p' "$SOURCE/man/vega-run.1")
	calls=$(sed -n 's/^SystemCallFilter=//p' "$SOURCE/man/vega-run.1")
	list=-all$(sed -E 's/ ?CAP_([A-Z]+)/,+\L\1/g' <<<"$caps")
	{
		cat "$SOURCE/units/vega-run@.service"
		echo "SystemCallFilter=$calls"
	} >unit
	allowed unit >worker
	start_postgres
	open_to_all
	mkdir -m 1777 out
	mkdir -m 777 state
	echo 'tester nobody' >map
	id=$(vega-submit transform --to zstd --out out data)
	expect 0 strace -f -qq -o trace setpriv --reuid=daemon --regid=daemon --clear-groups --bounding-set="$list" \
		--inh-caps="$list" --ambient-caps="$list" \
		env XDG_STATE_HOME="$PWD/state" vega-run --drain --root "$PWD" --run-as-submitter=map
	[[ $(stat -c %U out/a.csv.zst) == nobody ]]
	sed -n '/execve("[^"]*vega-run"/,$p' trace | sed -nE 's/^[0-9]+ +([a-z][a-z0-9_]*)\(.*/\1/p' | sort -u >called
	grep -qx setresuid called
	comm -23 called worker >refused
	lines 0 refused
}

@test "a worker is ready when it has reached its store" {
	listen
	start vega-run
	eventually 10 grep -qx READY=1 notified
	eventually 10 grep -q '^STATUS=Working; 0 of 1 jobs running; 0 completed' notified
	worker=$pid
	vega-status --wait "$(vega-submit data)"
	eventually 20 grep -q '^STATUS=Working; 0 of 1 jobs running; 1 completed, 0 failed' notified
	run ! grep -q WATCHDOG notified
	kill -TERM "$worker"
	eventually 10 gone "$worker"
	grep -qx STOPPING=1 notified
	[[ $(grep -cx READY=1 notified) == 1 ]]
}

@test "a worker that has not reached its store is not ready" {
	listen
	VEGA_STORE="postgresql:///none?host=$PWD" start vega-run --root "$PWD"
	eventually 10 grep -q '^STATUS=The store is unreachable; 0 of 1 jobs' notified
	run ! grep -q READY notified
}

@test "a watchdog is fed while a job runs and while none does" {
	listen
	export WATCHDOG_USEC=400000
	start vega-run
	id=$(vega-submit transform --out out data -- sh -c "until [ -e '$PWD/end' ]; do sleep 0.05; done")
	eventually 10 bash -c "vega-status '$id' | grep -q PROCESSING"
	fed=$(grep -cx WATCHDOG=1 notified) || true
	eventually 10 bash -c "((\$(grep -cx WATCHDOG=1 notified) > $fed + 3))"
	touch end
	vega-status --wait "$id"
	fed=$(grep -cx WATCHDOG=1 notified)
	eventually 10 bash -c "((\$(grep -cx WATCHDOG=1 notified) > $fed + 3))"
	# It is meant for another process; the worker's children are not it, and do not see the socket.
	WATCHDOG_PID=1 start vega-run --queue none
	other=$pid
	id=$(vega-submit transform --out environment data -- env)
	vega-status --wait "$id"
	[[ -s environment/a.csv ]]
	run ! grep -E 'NOTIFY|WATCHDOG' environment/a.csv
	kill "$other"
}

@test "a NOTIFY_SOCKET that is no socket is ignored" {
	for NOTIFY_SOCKET in nonsense /nowhere/socket / @ "/$(printf '%0200d' 0)"; do
		export NOTIFY_SOCKET
		vega-submit data
		expect 0 vega-run --drain -q
	done
}
