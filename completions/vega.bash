# Completion of the VegaFS commands for bash. Made by `make docs`; change completions/generate.
# shellcheck shell=bash

# COMMAND: sets options.
_vega_options() {
	case $1 in
	vega-walk) options='--name --iname --path --regex --extension --type --min-size --max-size --empty --newer-than --older-than --changed-after --changed-before --accessed-after --accessed-before --user --group --nouser --nogroup --perm --executable --links --not --or --min-depth --max-depth --descend --one-file-system --exclude --exclude-from --exclude-caches --skip-hidden --threads --max-iops --sort --top --numeric --algo --to --out --level --overwrite --output-name --timeout --format --null --color --no-progress --verbose --files0-from --cache --help --version' ;;
	vega-submit) options='--queue --priority --after --max-attempts --max-time --max-memory --max-output --idempotency-key --label --files0-from --batch --root --store --dry-run --name --iname --path --regex --extension --type --min-size --max-size --empty --newer-than --older-than --changed-after --changed-before --accessed-after --accessed-before --user --group --nouser --nogroup --perm --executable --links --not --or --min-depth --max-depth --descend --one-file-system --exclude --exclude-from --exclude-caches --skip-hidden --threads --max-iops --sort --top --numeric --algo --to --out --level --overwrite --output-name --timeout --help --version' ;;
	vega-run) options='--once --drain --queue --root --commands --run-as-submitter --allow-root-jobs --allow-worker-jobs --store --max-time --max-memory --max-output --jobs --lease --cache --spool --quiet --verbose --help --version' ;;
	vega-status) options='--wait --follow --timeout --result --records --retry --force --state --queue --label --submitter --newer-than --older-than --limit --workers --format --store --cache --help --version' ;;
	vega-cancel) options='--wait --verbose --store --help --version' ;;
	vega-admin) options='--older-than --state --queue --label --dry-run --batch --spool --forget-host --root --format --store --help --version' ;;
	esac
}

# COMMAND:OPTION: sets kind, empty when the option takes no value, and choices.
_vega_value() {
	kind="" choices=""
	case $1 in
	vega-walk:--name | vega-walk:-n) kind='text' ;;
	vega-walk:--iname) kind='text' ;;
	vega-walk:--path | vega-walk:-p) kind='text' ;;
	vega-walk:--regex | vega-walk:-r) kind='text' ;;
	vega-walk:--extension | vega-walk:-e) kind='text' ;;
	vega-walk:--type | vega-walk:-t) kind='list' choices='f d l p s b c' ;;
	vega-walk:--min-size) kind='text' ;;
	vega-walk:--max-size) kind='text' ;;
	vega-walk:--newer-than) kind='text' ;;
	vega-walk:--older-than) kind='text' ;;
	vega-walk:--changed-after) kind='text' ;;
	vega-walk:--changed-before) kind='text' ;;
	vega-walk:--accessed-after) kind='text' ;;
	vega-walk:--accessed-before) kind='text' ;;
	vega-walk:--user | vega-walk:-u) kind='user' ;;
	vega-walk:--group | vega-walk:-g) kind='group' ;;
	vega-walk:--perm) kind='text' ;;
	vega-walk:--links) kind='text' ;;
	vega-walk:--min-depth) kind='text' ;;
	vega-walk:--max-depth | vega-walk:-d) kind='text' ;;
	vega-walk:--descend) kind='text' ;;
	vega-walk:--exclude | vega-walk:-E) kind='text' ;;
	vega-walk:--exclude-from) kind='file' ;;
	vega-walk:--threads | vega-walk:-j) kind='text' ;;
	vega-walk:--max-iops) kind='text' ;;
	vega-walk:--top | vega-walk:-N) kind='text' ;;
	vega-walk:--algo | vega-walk:-a) kind='choice' choices='xxh128 sha256' ;;
	vega-walk:--to) kind='choice' choices='zstd gzip none' ;;
	vega-walk:--out | vega-walk:-o) kind='directory' ;;
	vega-walk:--level) kind='text' ;;
	vega-walk:--output-name) kind='text' ;;
	vega-walk:--timeout) kind='text' ;;
	vega-walk:--format | vega-walk:-F) kind='choice' choices='text ndjson json csv' ;;
	vega-walk:--color) kind='choice' choices='auto always never' ;;
	vega-walk:--files0-from) kind='file' ;;
	vega-walk:--cache) kind='text' ;;
	vega-submit:--queue) kind='text' ;;
	vega-submit:--priority) kind='text' ;;
	vega-submit:--after) kind='text' ;;
	vega-submit:--max-attempts) kind='text' ;;
	vega-submit:--max-time) kind='text' ;;
	vega-submit:--max-memory) kind='text' ;;
	vega-submit:--max-output) kind='text' ;;
	vega-submit:--idempotency-key) kind='text' ;;
	vega-submit:--label) kind='text' ;;
	vega-submit:--files0-from) kind='file' ;;
	vega-submit:--batch) kind='file' ;;
	vega-submit:--root) kind='directory' ;;
	vega-submit:--store) kind='text' ;;
	vega-submit:--name | vega-submit:-n) kind='text' ;;
	vega-submit:--iname) kind='text' ;;
	vega-submit:--path | vega-submit:-p) kind='text' ;;
	vega-submit:--regex | vega-submit:-r) kind='text' ;;
	vega-submit:--extension | vega-submit:-e) kind='text' ;;
	vega-submit:--type | vega-submit:-t) kind='list' choices='f d l p s b c' ;;
	vega-submit:--min-size) kind='text' ;;
	vega-submit:--max-size) kind='text' ;;
	vega-submit:--newer-than) kind='text' ;;
	vega-submit:--older-than) kind='text' ;;
	vega-submit:--changed-after) kind='text' ;;
	vega-submit:--changed-before) kind='text' ;;
	vega-submit:--accessed-after) kind='text' ;;
	vega-submit:--accessed-before) kind='text' ;;
	vega-submit:--user | vega-submit:-u) kind='user' ;;
	vega-submit:--group | vega-submit:-g) kind='group' ;;
	vega-submit:--perm) kind='text' ;;
	vega-submit:--links) kind='text' ;;
	vega-submit:--min-depth) kind='text' ;;
	vega-submit:--max-depth | vega-submit:-d) kind='text' ;;
	vega-submit:--descend) kind='text' ;;
	vega-submit:--exclude | vega-submit:-E) kind='text' ;;
	vega-submit:--exclude-from) kind='file' ;;
	vega-submit:--threads | vega-submit:-j) kind='text' ;;
	vega-submit:--max-iops) kind='text' ;;
	vega-submit:--top | vega-submit:-N) kind='text' ;;
	vega-submit:--algo | vega-submit:-a) kind='choice' choices='xxh128 sha256' ;;
	vega-submit:--to) kind='choice' choices='zstd gzip none' ;;
	vega-submit:--out | vega-submit:-o) kind='directory' ;;
	vega-submit:--level) kind='text' ;;
	vega-submit:--output-name) kind='text' ;;
	vega-submit:--timeout) kind='text' ;;
	vega-run:--queue) kind='text' ;;
	vega-run:--root) kind='directory' ;;
	vega-run:--store) kind='text' ;;
	vega-run:--max-time) kind='text' ;;
	vega-run:--max-memory) kind='text' ;;
	vega-run:--max-output) kind='text' ;;
	vega-run:--jobs | vega-run:-j) kind='text' ;;
	vega-run:--lease) kind='text' ;;
	vega-run:--cache) kind='text' ;;
	vega-run:--spool) kind='directory' ;;
	vega-status:--timeout) kind='text' ;;
	vega-status:--state | vega-status:-s) kind='list' choices='pending processing completed failed cancelled' ;;
	vega-status:--queue) kind='text' ;;
	vega-status:--label) kind='text' ;;
	vega-status:--submitter) kind='user' ;;
	vega-status:--newer-than) kind='text' ;;
	vega-status:--older-than) kind='text' ;;
	vega-status:--limit | vega-status:-n) kind='text' ;;
	vega-status:--format | vega-status:-F) kind='choice' choices='text json' ;;
	vega-status:--store) kind='text' ;;
	vega-status:--cache) kind='text' ;;
	vega-cancel:--store) kind='text' ;;
	vega-admin:--older-than) kind='text' ;;
	vega-admin:--state | vega-admin:-s) kind='list' choices='completed failed cancelled' ;;
	vega-admin:--queue) kind='text' ;;
	vega-admin:--label) kind='text' ;;
	vega-admin:--batch) kind='text' ;;
	vega-admin:--spool) kind='directory' ;;
	vega-admin:--forget-host) kind='text' ;;
	vega-admin:--root) kind='directory' ;;
	vega-admin:--format | vega-admin:-F) kind='choice' choices='text json prometheus' ;;
	vega-admin:--store) kind='text' ;;
	esac
}

_vega_jobs() {
	local filter=()
	[[ $1 == vega-cancel ]] && filter=(--state 'pending,processing')
	vega-status --limit 100 "${filter[@]}" 2>/dev/null | cut -f 1
}

# Offers a comma-separated list of the words.
_vega_list() {
	local head=${current%"${current##*,}"}
	mapfile -t COMPREPLY < <(compgen -P "$head" -W "$1" -- "${current##*,}")
	compopt -o nospace 2>/dev/null
}

_vega_argument() {
	case $kind in
	choice) mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$current") ;;
	list) _vega_list "$choices" ;;
	user) mapfile -t COMPREPLY < <(compgen -u -- "$current") ;;
	group) mapfile -t COMPREPLY < <(compgen -g -- "$current") ;;
	file) _vega_files -f ;;
	directory) _vega_files -d ;;
	esac
}

_vega_files() {
	compopt -o filenames 2>/dev/null
	mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen "$1" -- "$current")
}

_vega_operand() {
	case $command in
	vega-walk | vega-submit)
		((operands > 0)) || _vega_list 'summarize find hash transform'
		_vega_files -f
		;;
	vega-status | vega-cancel)
		mapfile -t COMPREPLY < <(compgen -W "$(_vega_jobs "$command")" -- "$current")
		;;
	vega-admin) mapfile -t COMPREPLY < <(compgen -W 'prune stats' -- "$current") ;;
	esac
}

_vega() {
	local command=${COMP_WORDS[0]##*/} current=${COMP_WORDS[COMP_CWORD]}
	local operands=0 kind='' choices options i word
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ $kind && $word == = ]]; then
			continue # bash takes --option=value apart
		elif [[ $kind ]]; then
			kind=
		elif [[ $word == -- ]]; then
			if ((i + 1 == COMP_CWORD)); then
				mapfile -t COMPREPLY < <(compgen -c -- "$current")
			fi
			_vega_files -f
			return
		elif [[ $word == -?* ]]; then
			_vega_value "$command:$word"
		else
			operands=$((operands + 1))
		fi
	done
	[[ $kind && $current == = ]] && current=
	if [[ $kind ]]; then
		_vega_argument
	elif [[ $current == -* ]]; then
		_vega_options "$command"
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
	else
		_vega_operand
	fi
}

complete -F _vega vega-walk vega-submit vega-run vega-status vega-cancel vega-admin
