#!/usr/bin/env bats
# What is found does not depend on the locale of whoever runs it.
load ../lib/vega

# The i of Turkish is no small I, letters of ISO 8859 are alphabetic, and numbers have a comma.
setup_file() {
	export LOCPATH=$BATS_FILE_TMPDIR
	! command -v localedef >/dev/null || {
		localedef -i tr_TR -f UTF-8 "$LOCPATH/tr_TR.UTF-8"
		localedef -i tr_TR -f ISO-8859-9 "$LOCPATH/tr_TR"
		localedef -i de_DE -f ISO-8859-1 "$LOCPATH/de_DE"
	}
}

locales() {
	need localedef
	[[ $(LC_ALL=tr_TR.UTF-8 locale charmap) == UTF-8 && $(LC_ALL=de_DE locale decimal_point) == , ]]
}

# alike COMMAND…: the same output in each locale; $out has it.
alike() {
	local locale
	LC_ALL=C.UTF-8 expect 0 "$@"
	cp "$out" wanted
	for locale in C tr_TR.UTF-8 tr_TR de_DE; do
		LC_ALL=$locale expect 0 "$@"
		same wanted "$out"
	done
}

@test "names and extensions are compared alike in every locale" {
	locales
	mkdir in
	file in/a.INI 30
	file in/b.ini 2000
	file in/$'\xfe.x' 10
	alike vega-walk find --sort -e ini in
	lines 2 "$out"
	alike vega-walk find --sort --iname '*.InI' in
	lines 2 "$out"
	alike vega-walk find --sort --name '[[:alpha:]].*' in
	lines 2 "$out"
	alike vega-walk find --sort -r '(?i)\.INI$' in
	lines 2 "$out"
	alike vega-walk find --min-size 1KiB in
	alike vega-walk find --min-size 1kib in
	alike vega-walk find --sort --exclude '*.[[:upper:]]*' in
	alike vega-walk find --format csv --sort in
	LC_ALL=tr_TR.UTF-8 expect 0 vega-walk -F json in
	holds '[.summarize.by_extension[].extension] | index("ini") != null' "$out"
}

@test "a job finds the same in its worker's locale" {
	locales
	mkdir in
	touch in/a.INI in/b.ini
	id=$(LC_ALL=tr_TR.UTF-8 vega-submit find -e ini in)
	LC_ALL=tr_TR.UTF-8 expect 0 vega-run --drain
	expect 0 vega-status --records "$id"
	grep '"type":"entry"' "$out" >records
	lines 2 records
}

@test "a picture in another locale differs by its drawing alone" {
	locales
	mkdir in
	file in/b.ini 1234567
	LC_ALL=de_DE expect 0 vega-walk in
	matches '1\.2 MiB' "$out"
}
