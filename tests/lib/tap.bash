# TAP for checks written in bash: a check is silent when all is well.
# shellcheck shell=bash

tap_count=0

# silent NAME COMMAND…: passes if the command succeeds and prints nothing.
silent() {
	local name=$1 output
	shift
	tap_count=$((tap_count + 1))
	if output=$("$@" 2>&1) && [[ ! $output ]]; then
		echo "ok $tap_count - $name"
	else
		echo "not ok $tap_count - $name"
		printf '%s\n' "$output" | sed 's/^/# /'
	fi
}

# missing TOOL: reports one skipped point if it is not installed (a failure in CI).
missing() {
	command -v "$1" >/dev/null && return 1
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # skip $1 is not installed: make deps"
}

finish() {
	echo "1..$tap_count"
}
