#!/usr/bin/env bats
# What fingers type that know find, fd, du, dust, rclone, squeue, sbatch, scancel and psql: the right answer, or a
# refusal that has our word for it. Nothing ends with status 0 and a wrong or an empty answer.
load ../lib/vega

setup() {
	vega_setup
	mkdir -p d/sub
	file d/a.csv 100
	file d/b.tsv 3000000
	file d/sub/c.txt 10
	touch -d '10 days ago' d/sub/c.txt
}

# refuses COMMAND…: each line of stdin is arguments (as the shell reads them), "=>" and what the refusal matches.
# Nothing is printed, nothing is walked, and the status is 2.
refuses() {
	local line arguments wanted
	while IFS= read -r line; do
		arguments=${line%%=>*} wanted=${line#*=>}
		eval "set -- \"\$1\" $arguments"
		expect 2 "$@" </dev/null
		[[ ! -s $out ]]
		matches "^$1: .*${wanted# }" "$err"
	done
}

# finds WANTED ARGUMENT…: the names of what vega-walk find prints, sorted.
finds() {
	local wanted=$1
	shift
	expect 0 vega-walk find "$@"
	[[ $(sed 's:.*/::' "$out" | sort | paste -sd ' ') == "$wanted" ]] && return
	show "$*" "$out" >&2
	return 1
}

@test "predicates of find with one dash are refused, not run as clusters of letters" {
	refuses vega-walk <<-'END'
		find d -name '*.csv' => write --name
		find d -type f => write --type
		find d -iname x => write --iname
		find d -user root => write --user
		find d -empty => write --empty
		find d -perm 644 => write --perm
		find d -path x => write --path
		find d -newer ref => unknown option -newer; write --newer-than \./FILE
		find d -newermt 2026-11-01 => write --newer-than TIME
		find d -newerXY ref => --changed-after
		find d -anewer ref => --accessed-after
		find d -cnewer ref => --changed-after
		find d -print => leave it out
		find d -print0 => write -0
		find d -prune => --exclude
		find d -noleaf => leave it out
		find d -regextype posix-egrep => Perl-compatible
		find d -exec rm {} ';' => xargs -0
		find d -ok rm {} ';' => xargs -0
		find d -delete => deletes nothing
		find d -xdev => --one-file-system
		find d -mount => --one-file-system
		find d -readable => --perm /444
		find d -writable => --perm /222
		find d -executable => write --executable
		find d -nouser => write --nouser
		find d -nogroup => write --nogroup
		find d -links +1 => write --links
		find d -samefile x => --links \+1
		find d -daystart => midnight
		find d -true => leave it out
		find d -amin -5 => --accessed-after
		find d -atime +5 => --accessed-before
		find d -ctime -5 => --changed-after
		find d -cmin -5 => --changed-after
		find d -mtime -7 => --newer-than 7d
		find d -mmin 5 => --newer-than 5min
		find d -size +1M => --min-size 1M
		find d -printf '%p' => --format
		find d -ls => --format csv
		find d -inum 5 => column ino
		find d -uid 0 => --user NUMBER
		find d -gid 0 => --group NUMBER
		find d -maxdepth 1 => --max-depth N
		find d -mindepth 1 => --min-depth N
		find d -depth => --sort orders
		find d -wholename x => --path
		find d -iregex x => \(\?i\)
		find d -lname x => readlink
		find d -follow => not followed
		find d -quit => head -n 1
		find d --mtime -7 => --newer-than 7d
		find d --size +1M => --min-size 1M
		find d --print0 => write -0
		find d -not -name x => write --not
		find d -or -name x => write --or
		find d --name x -o --name y => write --or
		find d --name x -o -name y => write --or
		find d -and -name x => leave it out
		find d '!' --name x => write --not
		find '(' --name x ')' => write --not
	END
}

@test "options of fd are refused with ours" {
	refuses vega-walk <<-'END'
		find '*.csv' d => write --name
		find -g '*.csv' => write --name
		find -e '*.csv' d => write --name
		find -H x d => leave it out
		find -I x d => leave it out
		find -S +1m d => --min-size
		find -i x d => --iname
		find -e csv -x wc -l => format csv
		find --quiet d => /dev/null
		find -1 x d => head -n 1
		find --max-results 3 d => head -n N
		find --changed-within 1d d => --newer-than TIME
		find -t x d => write --executable
		find -t e d => write --empty
		find -t file d => write --type f
		find -t directory d => write --type d
		find -n 10 d => -N
		find --hidden d => leave it out
	END
	finds 'a.csv b.tsv' -e csv,.tsv d
	finds 'a.csv b.tsv' -e .csv -e tsv d
}

@test "options of du, dust and ncdu are refused with ours" {
	refuses vega-walk <<-'END'
		-b d => json
		-c d => .
		-a d => .
		-n 10 d => -N
		-r d => --regex
		-X node_modules d => --exclude
		-I node_modules d => leave it out
		-z 1M d => --min-size
		-o json d => --format json
		--json d => --format json
		--output-format json d => --format json
		--block-size 1 d => json
		-V => --version
		--no-color d => --color never
		--colour never d => --color WHEN
		--color sometimes d => not one of auto, always, never
		du d => no such operation or file; write summarize
		ls d => write find
		sumarize d => did you mean summarize\?
		sumarize => did you mean summarize\?
		find,hsh d => hsh: no such operation or file; did you mean hash\?
		nothing d => nothing: no such operation or file
		help => --help
	END
	finds 'a.csv' -n a.csv d
	finds 'a.csv' -x --exclude=.git -e csv d
	finds 'c.txt' --name c.txt --older-than 1w d
}

@test "options of rclone, rsync and the sums are refused with ours, never with the opposite" {
	refuses vega-walk <<-'END'
		--include '*.csv' d => --name GLOB
		--progress d => leave it out
		-P d => leave it out
		--min-age 1d d => --older-than
		--max-age 1d d => --newer-than
		--dry-run d => vega-submit --dry-run
		--transfers 4 d => --threads
		--jobs 4 d => --threads
		--exlude x d => did you mean --exclude
		hash --algo md5 d => sha256
		hash --md5 d => --algo
		hash -c SUMS => sha256sum -c
		hash --check SUMS => sha256sum -c
		s3://bucket/x => local paths only
		transform --to gz --out o d => --to gzip
		transform --to zst --out o d => --to zstd
		transform --to xz --out o d => -- xz
		md5sum d => write hash
	END
	[[ ! -e o ]]
}

@test "options of squeue, sbatch, scancel and psql are refused with ours" {
	refuses vega-status <<-'END'
		-u root => --submitter
		--user root => --submitter
		-t PD => --state
		-j x => vega-status ID
		-l => --format json
		--me => --submitter
		-o %i => --format json
		--json => --format json
		--state RUNNING => processing
		--state PD => pending
		--watch => --follow
	END
	refuses vega-submit <<-'END'
		-J name d => --label
		--wrap 'ls' => transform
		--begin now d => --after
		--time 1:00:00 d => --max-time
		--mem 1G d => --max-memory
		--dependency afterok:1 d => --wait
		--array 1-10 d => --batch
		--retries 5 d => --max-attempts
		--every 1d d => cron
		sumarize d => did you mean summarize\?
		find d -newer ref => --newer-than
	END
	refuses vega-cancel <<-'END'
		--all => vega-status --state pending
		-u root => vega-status --state pending
		--state pending => vega-status --state pending
	END
	refuses vega-run <<-'END'
		-h host -U u -d db => --store postgresql://
		--workers 4 => --jobs
	END
	refuses vega-admin <<-'END'
		init => prune, or stats
		purge => prune, or stats
		prune --days 30 => --older-than
	END
	[[ ! -e $XDG_STATE_HOME/vega ]]
}

@test "times are taken as people write them, and refused with examples" {
	touch -d '2 hours ago' d/a.csv
	touch -d '2026-11-30 07:00:30' d/b.tsv
	for time in 'yesterday' '2 days ago' 2days 1mo 1week 3h30m; do
		finds 'a.csv' -t f -e csv --newer-than "$time" d
		finds '' -t f -e csv --older-than "$time" d
	done
	for time in 2026-11-30T07:00 '2026-11-30 07:00' 2026-11-30T07:00Z; do
		finds 'b.tsv' -e tsv --newer-than "$time" --older-than 2026-11-30T07:01 d
	done
	finds 'b.tsv' --min-size 1m -t f d
	finds 'b.tsv' --min-size 1MB -t f d
	finds '' --min-size 1.5GiB d
	refuses vega-walk <<-'END'
		find --newer-than 30 d => needs a unit
		find --newer-than 30m d => write min or month
		find --newer-than soon d => use e\.g\. 2026-01-31, 2026-01-31T12:00, yesterday
		find --min-size +1M d => use e\.g\. 4096, 10K
		find --min-size 1e6 d => use e\.g\. 4096, 10K
	END
}
