# VegaFS. `make help` lists the targets. One makefile, no recursion but for the sanitizer profile of `check`.
#
# make [PROFILE=release|debug|asan|tsan|clang|fuzz] [V=1] [WERROR=] [TESTS="tests/cli/find.bats …"]

VERSION := 0.1.0
PROFILE ?= release
PREFIX ?= /usr/local
WERROR ?= -Werror
bindir := $(PREFIX)/bin
mandir := $(PREFIX)/share/man
unitdir := $(PREFIX)/lib/systemd/system
datadir := $(PREFIX)/share

B := build/$(PROFILE)
Q := $(if $(V),,@)

# --- Rooms: their files, and what each may see (lib/README.md) -----------------------------------------

base := arena buf check error escape fd format glob ignore json killpoint network notify option option_help option_near option_parse option_words pack parse redis seal signal strlist time trust uri uuid

spec := argv check find hash json_read json_write omission operation options paths perm range summarize transform

record := csv files flat format json line ndjson render scan schema sink sorter table text tree value

fs := backend limited local medium mount output output_dir output_root output_sync output_traits stage stage_discard stage_publish stage_visit wait

walk := again deque dir entries inbox items ledger part part_begin path predicate queue roots source threads walk wanted work

op := claims codec filter find hash links mirror mirror_file mirror_fold mirror_made mirror_place mirror_publish op output_name owners pending sha256 sparse summarize summary summary_json summary_partial tables taken transform uncharged unfinished

cache := cache redis
engine := check content dir_results expected file_copy growth hang inode_results outcome partial places plan progress publish receipt rounds run team visit

child := child deadline identity json_check spool spool_sweep stream
job := job json text

store := call job_retry job_source list postgres postgres_admin postgres_array postgres_cancel postgres_claim postgres_clock postgres_connection \
	postgres_finish postgres_read postgres_row postgres_submit postgres_wait request result_cache row rules sqlite sqlite_admin \
	sqlite_claim sqlite_clock sqlite_file sqlite_finish sqlite_place sqlite_read sqlite_schema sqlite_statement sqlite_submit sqlite_wait stats store submit_spec

worker := announce attempt claim common drain finish lease prune reach service start worker

ROOMS := base record spec fs walk op cache engine child job store worker
sees_base := base
sees_record := base record
sees_spec := base record spec
sees_fs := $(sees_spec) fs
sees_walk := $(sees_fs) walk
sees_op := $(sees_walk) op
sees_cache := $(sees_op) cache
sees_engine := $(sees_cache) engine
sees_child := base child
sees_job := $(sees_spec) job
sees_store := $(sees_job) store
sees_worker := $(sees_store) child worker

room_objects = $(foreach file,$($(1)),$(B)/lib/$(1)/$(file).o)
seen_objects = $(foreach room,$(sees_$(1)),$(call room_objects,$(room)))

COMMANDS := vega-walk vega-submit vega-run vega-status vega-cancel vega-admin

# --- Compiler and libraries --------------------------------------------------------------------------------

# Debian's packages: what the build needs, and what the tests need besides.
BUILD_DEPS := gcc libc6-dev pkg-config libpq-dev libhiredis-dev libcjson-dev libsqlite3-dev libpcre2-dev \
	libxxhash-dev libssl-dev libzstd-dev zlib1g-dev
TEST_DEPS := acl bats bindfs clang clang-format dosfstools e2fsprogs faketime fish fuse3 fusefat git jq libomp-dev locales mandoc ntfs-3g passwd pgbouncer postgresql-15 procps rclone redis-server redis-tools shellcheck sqlite3 sshfs strace systemd util-linux xxhash zsh zstd

# ThreadSanitizer understands libomp, but not libgomp; libFuzzer is clang's.
ifeq ($(origin CC),default)
CC := $(if $(filter clang fuzz tsan,$(PROFILE)),clang,gcc)
endif
PKG_CONFIG ?= pkg-config
PACKAGES := libpq hiredis libcjson sqlite3 libpcre2-8 libxxhash libcrypto libzstd zlib
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS := $(shell $(PKG_CONFIG) --libs $(PACKAGES) 2>/dev/null)

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes $(WERROR)
# CET's shadow stacks alone: its indirect branches cost 2 % of a walk, and Linux has them for no program. Where the
# compiler takes a flag; some are for some processors only.
if_taken = $(shell $(CC) $(1) -c -x c /dev/null -o /dev/null 2>/dev/null && echo $(1))
HARDENING := -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fPIE $(call if_taken,-fstack-clash-protection) \
	$(call if_taken,-fcf-protection=return)
flags_release := -O2 -g $(HARDENING)
flags_debug := -O0 -g3 -DVEGA_CHECKS
flags_faults := $(flags_release) -DVEGA_KILL_POINTS -DVEGA_CHECKS
flags_clang := -O1 -g
flags_asan := -O1 -g -DVEGA_CHECKS -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
flags_fuzz := -O1 -g -DVEGA_CHECKS -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
flags_tsan := -O1 -g -DVEGA_CHECKS -fsanitize=thread -fno-omit-frame-pointer

CFLAGS ?= $(flags_$(PROFILE))
CPPFLAGS += -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Ilib -DVEGA_VERSION='"$(VERSION)"'
ALL_CFLAGS = -std=gnu17 $(WARNINGS) -fopenmp -fno-strict-aliasing $(PKG_CFLAGS) $(CFLAGS)
link_release := -pie -Wl,-z,relro,-z,now
link_faults := $(link_release)
LDFLAGS += -fopenmp -Wl,--as-needed $(link_$(PROFILE)) $(filter -fsanitize%,$(CFLAGS))
LDLIBS += $(PKG_LIBS)

COMPILE = $(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
LINK = $(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDLIBS)
say = @printf '  %-7s %s\n' $(1) $(patsubst $(B)/%,%,$@)

# vega-walk is to start as fast as du, and each shared library to load costs some 60 µs. Taken as archives into a
# release, where the archive is there; STATIC= for none.
STATIC ?= hiredis pcre2-8 zstd z gomp
archive = $(if $(findstring /,$(shell $(CC) -print-file-name=lib$(1).a)),-l:lib$(1).a,-l$(1))
walk_libs_release = $(foreach lib,$(STATIC),$(call archive,$(lib))) $(filter-out $(STATIC:%=-l%),$(PKG_LIBS))

# --- Build -------------------------------------------------------------------------------------------------

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

LIB_OBJECTS := $(foreach room,$(ROOMS),$(call room_objects,$(room)))

all: $(COMMANDS:%=$(B)/%) ## build the commands into build/$(PROFILE)

# Objects depend on the flags that they were made with.
$(B)/flags: FORCE
	@$(PKG_CONFIG) --exists $(PACKAGES) || { echo "Libraries are missing ($(PACKAGES)): run 'make deps'" >&2; exit 1; }
	@mkdir -p $(@D)
	@printf '%s\n' '$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) $(LDLIBS) $(STATIC)' | cmp -s - $@ || \
		printf '%s\n' '$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) $(LDLIBS) $(STATIC)' > $@

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(if $(V),,$(call say,CC))
	$(Q)$(COMPILE)

$(B)/libvega.a: $(LIB_OBJECTS) Makefile # which lists them
	$(if $(V),,$(call say,AR))
	$(Q)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)

$(B)/vega-status: $(B)/cmd/job_list.o $(B)/cmd/job_print.o $(B)/cmd/worker_list.o
$(B)/vega-admin: $(B)/cmd/job_print.o $(B)/cmd/prune.o
$(COMMANDS:%=$(B)/%): $(B)/vega-%: $(B)/cmd/vega-%.o $(B)/cmd/cmd.o $(B)/libvega.a
	$(if $(V),,$(call say,LD))
	$(Q)$(LINK)

$(B)/vega-walk: private LDLIBS = $(or $(walk_libs_$(PROFILE)),$(PKG_LIBS))

-include $(shell find $(B) -name '*.d' 2>/dev/null)

# --- Tests that take longest begin first ----------------------------------------------------------------

SLOW := tests/cli/jobs.bats tests/cli/systemd.bats tests/cli/walk.bats tests/cli/cache.bats tests/contract/postgres_server.c \
	tests/cli/find.bats tests/cli/run.bats tests/cli/admin.bats tests/unit/worker/children.c tests/contract/waits.c
slow_first = $(foreach test,$(SLOW),$(filter $(test),$(1))) $(filter-out $(SLOW),$(1))

# --- Unit tests: tests/unit/ROOM/NAME.c links only the rooms that ROOM may see ---------------------------

UNIT_SOURCES := $(call slow_first,$(sort $(wildcard tests/unit/*/*.c)))
UNIT_TESTS := $(UNIT_SOURCES:%.c=$(B)/%)

define unit_rule
$(patsubst %.c,$(B)/%,$(wildcard tests/unit/$(1)/*.c)): $(B)/%: $(B)/%.o $(call seen_objects,$(1))
	$$(if $$(V),,$$(call say,LD))
	$$(Q)$$(LINK)
endef
$(foreach room,$(ROOMS),$(eval $(call unit_rule,$(room))))

# --- Contract suites: tests/contract/NAME.c runs its checks against every store ---------------------------

CONTRACT_SOURCES := $(call slow_first,$(sort $(wildcard tests/contract/*.c)))
CONTRACTS := $(CONTRACT_SOURCES:%.c=$(B)/%)

$(CONTRACTS): $(B)/%: $(B)/%.o $(call seen_objects,store)
	$(if $(V),,$(call say,LD))
	$(Q)$(LINK)

# --- Properties: tests/property/NAME.c holds them against random cases. SEEDS=N for more, SEED=N for the first ---

PROPERTIES := $(patsubst %.c,$(B)/%,$(sort $(wildcard tests/property/*.c)))

$(PROPERTIES): $(B)/%: $(B)/%.o $(call seen_objects,engine)
	$(if $(V),,$(call say,LD))
	$(Q)$(LINK)

# --- Tests. TESTS="FILE…" narrows a suite; NAME="NAME…" narrows a FILE, to a regular expression if it is .bats

test_env_tsan = OMP_TOOL_LIBRARIES=$(abspath $(shell $(CC) -print-resource-dir)/../../libarcher.so)
named = $(if $(filter command,$(origin NAME)),-n '$(NAME)')
RUN_TESTS = $(Q)$(test_env_$(PROFILE)) VEGA_BUILD=$(abspath $(B)) tests/lib/run-tests -l "$@, $(PROFILE)" $(named)

unit: $(UNIT_TESTS) ## build and run the unit tests
	$(RUN_TESTS) $(or $(TESTS),$(UNIT_TESTS))

property: $(PROPERTIES) ## hold what must be true against random cases
	$(RUN_TESTS) $(or $(TESTS),$(PROPERTIES))

contract: $(CONTRACTS) ## run the contract suites against every store
	$(RUN_TESTS) $(or $(TESTS),$(CONTRACTS))

# A sanitizer maps more memory than a limit allows, makes calls that a unit's filter does not, looks for leaks only
# where nobody traces it, finds one of the C library's in LOCPATH, and must be loaded before anything preloaded.
unsanitized := $(if $(filter asan tsan,$(PROFILE)),$(patsubst %,tests/cli/%.bats,clock locale memory owners systemd targets))
CLI_TESTS := $(call slow_first,$(filter-out $(unsanitized),$(sort $(wildcard tests/cli/*.bats))))

cli: all ## test the commands
	$(RUN_TESTS) $(or $(TESTS),$(CLI_TESTS))

# Users of their own: as root only, and skipped otherwise.
SECURITY_TESTS := $(sort $(wildcard tests/security/*.bats))

security: all ## test what users may do to one another; makes and removes users, as root
	$(RUN_TESTS) $(or $(TESTS),$(SECURITY_TESTS))

# Many tests wait for a lease, a clock or a server more than they work: so more of them than processors.
# A sanitizer makes a random case take ten times as long.
suites: export SEEDS ?= $(if $(filter asan tsan,$(PROFILE)),40,200)
suites: all $(UNIT_TESTS) $(CONTRACTS) $(PROPERTIES) ## unit, contract, property, cli and security at once
	$(RUN_TESTS) -j $$(($$(nproc) * 2)) \
		$(PROPERTIES) $(patsubst %.c,$(B)/%,$(call slow_first,$(CLI_TESTS) $(CONTRACT_SOURCES) $(UNIT_SOURCES)) $(SECURITY_TESTS))

# --- The gauntlet: hostile trees. TRAPS="NAME…" names some of them ------------------------------------------

# Apart from the project's own code, and without its sanitizers: they are the system that it meets.
PRELOADED := shim allocator
GAUNTLET_TOOLS := $(patsubst %.c,$(B)/%,$(filter-out $(PRELOADED:%=tests/gauntlet/%.c),$(wildcard tests/gauntlet/*.c)))
GAUNTLET := $(GAUNTLET_TOOLS) $(PRELOADED:%=$(B)/tests/gauntlet/%.so)
COMPILE_TOOL = $(CC) $(CPPFLAGS) -std=gnu17 -O2 $(WARNINGS) -o $@ $<

$(GAUNTLET_TOOLS): $(B)/%: %.c $(B)/flags
	@mkdir -p $(@D)
	$(if $(V),,$(call say,LD))
	$(Q)$(COMPILE_TOOL)

$(B)/tests/gauntlet/%.so: tests/gauntlet/%.c tests/gauntlet/site.h $(B)/flags
	@mkdir -p $(@D)
	$(if $(V),,$(call say,LD))
	$(Q)$(COMPILE_TOOL) -shared -fPIC -ldl

gauntlet: all $(GAUNTLET) ## walk hostile trees, all of them; takes minutes
	$(Q)$(test_env_$(PROFILE)) VEGA_BUILD=$(abspath $(B)) tests/gauntlet/run $(TRAPS)

gauntlet-part: export VEGA_GAUNTLET = part
gauntlet-part: export VEGA_TEST_TIMEOUT = $(if $(filter asan tsan,$(PROFILE)),3600,900)
gauntlet-part: all $(GAUNTLET)
	$(RUN_TESTS) tests/gauntlet/run

# --- The model of the job protocol (tests/model/README.md). FAULTS=N explores deeper ------------------------

MODEL := $(patsubst %.c,$(B)/%.o,$(wildcard tests/model/*.c))

$(B)/tests/model/explore: $(MODEL) $(filter-out %/worker/common.o %/worker/start.o %/worker/worker.o %/child/child.o %/child/deadline.o %/child/spool.o,$(call seen_objects,worker))
	$(if $(V),,$(call say,LD))
	$(Q)$(LINK)

check-model: $(B)/tests/model/explore ## explore every order of events in the job protocol
	$(Q)$< $(FAULTS)

# --- Faults: what befalls jobs, workers and stores. FAULTS="NAME…" names some; SEED=N; SOAK=1 takes long -------

FAULT_TOOLS := $(patsubst %.c,$(B)/%,$(wildcard tests/faults/*.c))

$(FAULT_TOOLS): $(B)/%: $(B)/%.o $(call seen_objects,store)
	$(if $(V),,$(call say,LD))
	$(Q)$(LINK)

faults: all $(FAULT_TOOLS)
	$(Q)VEGA_BUILD=$(abspath $(B)) tests/faults/run $(FAULTS)

faults-part: export VEGA_FAULTS = part
faults-part: all $(FAULT_TOOLS)
	$(RUN_TESTS) tests/faults/run

check-planted: ## take out one safeguard at a time, and see that the tests notice
	$(Q)tests/faults/planted

check-faults: ## what befalls jobs, workers and stores, all of it; takes 10 minutes
	@$(MAKE) PROFILE=faults faults

# --- Fuzzing: tests/fuzz/NAME.c, begun with the inputs in tests/fuzz/corpus/NAME -------------------------

FUZZ_SECONDS ?= 60
FUZZERS := $(patsubst %.c,$(B)/%,$(wildcard tests/fuzz/*.c))

$(FUZZERS): $(B)/%: $(B)/%.o $(B)/libvega.a
	$(if $(V),,$(call say,LD))
	$(Q)$(LINK) -fsanitize=fuzzer

fuzzers: $(FUZZERS)
	$(Q)set -e; for fuzzer in $(notdir $^); do \
		mkdir -p $(B)/corpus/$$fuzzer; \
		$(B)/tests/fuzz/$$fuzzer -max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1 \
			-artifact_prefix=$(B)/corpus/ $(B)/corpus/$$fuzzer tests/fuzz/corpus/$$fuzzer; \
	done

fuzz: ## give the parsers random input for FUZZ_SECONDS each (60); needs clang and libclang-rt-14-dev
	@$(MAKE) PROFILE=fuzz fuzzers

# --- Lint --------------------------------------------------------------------------------------------------

comma := ,
empty :=
lint: export VEGA_FILES = $(foreach room,$(ROOMS),$(addprefix $(room)/,$($(room))))
lint: export VEGA_ROOMS = $(subst $(empty) ,,$(foreach room,$(ROOMS),$(room)=$(sees_$(room):%=%$(comma))|))
lint: export VEGA_CFLAGS = $(PKG_CFLAGS)
lint: export VEGA_OBJECTS = $(B)/lib
lint: all ## check layers, circles, operations, headers, banned functions, --help, scripts, format and manual pages
	$(RUN_TESTS) $(or $(TESTS),$(sort $(wildcard tests/lint/*)))

asan: ## all suites with address and undefined behaviour sanitizers
	@$(MAKE) PROFILE=asan suites

deps: ## install the Debian packages that the build needs
	$(Q)tests/lib/install-packages "build VegaFS" $(BUILD_DEPS)

test-deps: ## install those that the tests need
	$(Q)tests/lib/install-packages "test VegaFS" $(BUILD_DEPS) $(TEST_DEPS)

check: test-deps ## install what is missing, build with gcc and clang, and run every suite
	$(Q)MAKE='$(MAKE)' tests/lib/check

# --- Install -----------------------------------------------------------------------------------------------

UNITS = $(patsubst %,$(B)/%,$(sort $(wildcard units/*)))

$(B)/units/%: units/% FORCE
	@mkdir -p $(@D)
	$(Q)sed 's,@bindir@,$(bindir),' $< > $@

MAN_PAGES = $(sort $(wildcard man/*.[1-9]))
# SOURCE:MODE:TARGET for each installed file. bash and fish look for completions by the command's name.
installed = $(COMMANDS:%=$(B)/%:755:$(bindir)/) \
	$(foreach page,$(MAN_PAGES),$(page):644:$(mandir)/man$(subst .,,$(suffix $(page)))/) \
	$(COMMANDS:%=completions/vega.bash:644:$(datadir)/bash-completion/completions/%) \
	completions/_vega:644:$(datadir)/zsh/site-functions/ \
	$(COMMANDS:%=completions/vega.fish:644:$(datadir)/fish/vendor_completions.d/%.fish) \
	$(UNITS:%=%:644:$(unitdir)/) schema.sql:644:$(datadir)/vega/
field = $(word $(2),$(subst :, ,$(1)))
target_of = $(call field,$(1),3)$(if $(filter %/,$(call field,$(1),3)),$(notdir $(call field,$(1),1)))

install: all $(UNITS) ## install into $(DESTDIR)$(PREFIX)
	@$(foreach file,$(installed),install -D -m $(call field,$(file),2) $(call field,$(file),1) '$(DESTDIR)$(call target_of,$(file))' &&) \
		echo "installed in $(DESTDIR)$(PREFIX)"

uninstall: ## remove what install put there
	@rm -f $(foreach file,$(installed),'$(DESTDIR)$(call target_of,$(file))')
	@rmdir '$(DESTDIR)$(datadir)/vega' 2>/dev/null || true

check-install: all ## install into an empty directory, look, uninstall, and see that nothing is left
	$(RUN_TESTS) tests/install

# --- Documentation: the man pages' OPTIONS and the completions are made from the option tables --------------

DOCS := $(COMMANDS:%=man/%.1) completions/vega.bash completions/_vega completions/vega.fish

$(B)/docs/man/%.1: man/%.1 man/gen-options $(B)/%
	@mkdir -p $(@D)
	$(Q)man/gen-options $(B) $< > $@

$(B)/docs/completions/vega.bash: for_shell := bash
$(B)/docs/completions/_vega: for_shell := zsh
$(B)/docs/completions/vega.fish: for_shell := fish
$(filter $(B)/docs/completions/%,$(DOCS:%=$(B)/docs/%)): completions/generate $(COMMANDS:%=$(B)/%)
	@mkdir -p $(@D)
	$(Q)completions/generate $(B) $(for_shell) > $@

docs: $(DOCS:%=$(B)/docs/%) ## refresh the man pages' OPTIONS and the completions after an option changed
	@for file in $(DOCS); do cmp -s $(B)/docs/$$file $$file || { echo "$$file"; cp $(B)/docs/$$file $$file; }; done

check-docs: $(DOCS:%=$(B)/docs/%) ## fail when they differ from the option tables
	$(RUN_TESTS) tests/docs

# --- Everything else -----------------------------------------------------------------------------------------

quickstart: deps ## a first look: build, summarize /usr, and do the same as a job
	$(Q)$(MAKE) --no-print-directory all
	$(Q)VEGA_BUILD=$(abspath $(B)) tests/quickstart

bench: all ## compare with find, fd, bfs, du and gdu, where they are installed
	$(Q)VEGA_BUILD=$(abspath $(B)) tests/bench/run

$(B)/tests/bench/store: $(B)/tests/bench/store.o $(call seen_objects,store)
	$(if $(V),,$(call say,LD))
	$(Q)$(LINK)

bench-store: all $(B)/tests/bench/store ## compare the job store with graphile-worker and pg-boss; needs npm
	$(Q)VEGA_BUILD=$(abspath $(B)) tests/bench/store

bench-walk: all ## compare the walker with its peers and the bare loop on five corpora
	$(Q)VEGA_BUILD=$(abspath $(B)) tests/bench/walk

clean: ## remove build/
	rm -rf build

help: ## list the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 20

FORCE:
.PHONY: all asan bench bench-store bench-walk check check-docs check-faults check-install check-model check-planted clean cli contract deps docs faults faults-part fuzz fuzzers gauntlet gauntlet-part help install lint property quickstart security suites test-deps uninstall unit FORCE
