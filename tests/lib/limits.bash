# Shared by limits.bats and memory.bats.
# shellcheck shell=bash
# shellcheck disable=SC2154

work() { # OPTION…
	vega-run --drain --root "$PWD" --commands --allow-root-jobs --spool "$PWD/spool" "$@" 2>worker.log
}

# run_job WORKER-OPTIONS -- SUBMIT-ARGUMENTS
run_job() {
	local options=()
	while [[ $1 != -- ]]; do
		options+=("$1")
		shift
	done
	shift
	id=$(vega-submit "$@")
	work "${options[@]}"
	vega-status -F json "$id" >job
}

is() { # FILTER WANTED
	[[ $(jq -r "$1" job) == "$2" ]] && return
	cat job worker.log >&2
	return 1
}

failed_for_good() { # ERROR
	is .state FAILED
	is .attempt 1
	is .error "$1"
	is .records_size null
	[[ -z $(find out -mindepth 1 2>/dev/null) ]]
	[[ -z $(find spool -type f 2>/dev/null) ]]
}
