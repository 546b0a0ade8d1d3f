# VegaFS. `make help` lists the targets. One makefile, no recursion but for the sanitizer profile of `check`.
#
# make [PROFILE=release|debug|asan|tsan] [CC=gcc|clang] [V=1] [WERROR=]

VERSION := 0.1.0
PROFILE ?= release
PREFIX ?= /usr/local
WERROR ?= -Werror
bindir := $(PREFIX)/bin
mandir := $(PREFIX)/share/man
datadir := $(PREFIX)/share

B := build/$(PROFILE)
Q := $(if $(V),,@)

# --- Rooms: their files, and what each may see (lib/README.md) -----------------------------------------

base := arena buf error escape fd glob ignore json option parse redis seal signal strlist time uri uuid
spec := argv check json_read json_write options paths perm
record := csv format json ndjson render scan sink text value
fs := local backend output
walk := deque dir predicate walk
op := codec filter find hash op sha256 summarize transform
cache := cache redis
engine := content engine
job := job
store := sqlite postgres store result_cache
worker := child spool worker

ROOMS := base spec record fs walk op cache engine job store worker
sees_base := base
sees_spec := base spec
sees_record := base record
sees_fs := base record spec fs
sees_walk := $(sees_fs) walk
sees_op := $(sees_walk) op
sees_cache := $(sees_op) cache
sees_engine := $(sees_cache) engine
sees_job := base spec record job
sees_store := $(sees_job) store
sees_worker := $(sees_store) worker

room_objects = $(foreach file,$($(1)),$(B)/lib/$(1)/$(file).o)
seen_objects = $(foreach room,$(sees_$(1)),$(call room_objects,$(room)))

COMMANDS := vega-walk vega-submit vega-run vega-status vega-cancel

# --- Compiler and libraries --------------------------------------------------------------------------------

PKG_CONFIG ?= pkg-config
PACKAGES := libpq hiredis libcjson sqlite3 libpcre2-8 libxxhash libcrypto libzstd zlib
ifeq ($(filter clean help uninstall deps,$(MAKECMDGOALS)),)
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS := $(shell $(PKG_CONFIG) --libs $(PACKAGES) 2>/dev/null)
endif

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes $(WERROR)
flags_release := -O2 -g
flags_debug := -O0 -g3
flags_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
flags_tsan := -O1 -g -fsanitize=thread -fno-omit-frame-pointer

CFLAGS ?= $(flags_$(PROFILE))
CPPFLAGS += -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Ilib -DVEGA_VERSION='"$(VERSION)"'
ALL_CFLAGS = -std=gnu17 $(WARNINGS) -fopenmp -fno-strict-aliasing $(PKG_CFLAGS) $(CFLAGS)
LDFLAGS += -fopenmp -Wl,--as-needed $(filter -fsanitize%,$(CFLAGS))
LDLIBS += $(PKG_LIBS)

COMPILE = $(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
LINK = $(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
say = @printf '  %-7s %s\n' $(1) $(patsubst $(B)/%,%,$@)

# --- Build -------------------------------------------------------------------------------------------------

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

LIB_OBJECTS := $(foreach room,$(ROOMS),$(call room_objects,$(room)))

all: $(COMMANDS:%=$(B)/%) ## build the commands into build/$(PROFILE)

# Objects depend on the flags that they were made with.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) $(LDLIBS)' | cmp -s - $@ || \
		printf '%s\n' '$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) $(LDLIBS)' > $@

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(if $(V),,$(call say,CC))
	$(Q)$(COMPILE)

$(B)/libvega.a: $(LIB_OBJECTS)
	$(if $(V),,$(call say,AR))
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(COMMANDS:%=$(B)/%): $(B)/vega-%: $(B)/cmd/vega-%.o $(B)/cmd/cmd.o $(B)/libvega.a
	$(if $(V),,$(call say,LD))
	$(Q)$(LINK)

-include $(shell find build -name '*.d' 2>/dev/null)

# --- Unit tests: tests/unit/ROOM/NAME.c links only the rooms that ROOM may see ---------------------------

UNIT_SOURCES := $(sort $(wildcard tests/unit/*/*.c))
UNIT_TESTS := $(UNIT_SOURCES:%.c=$(B)/%)

define unit_rule
$(patsubst %.c,$(B)/%,$(wildcard tests/unit/$(1)/*.c)): $(B)/%: $(B)/%.o $(call seen_objects,$(1))
	$$(if $$(V),,$$(call say,LD))
	$$(Q)$$(LINK)
endef
$(foreach room,$(ROOMS),$(eval $(call unit_rule,$(room))))

unit: $(UNIT_TESTS) ## build and run the unit tests
	$(Q)tests/lib/run-tests $(UNIT_TESTS)

# --- Everything else -----------------------------------------------------------------------------------------

clean: ## remove build/
	rm -rf build

help: ## list the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 20

FORCE:
.PHONY: all clean help unit FORCE
