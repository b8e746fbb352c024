# Postern's build, for GNU make, in this directory or in any other ("mkdir b && cd b && make -f ../Makefile").
# What depends on the machine stands in config.mk. configure writes it; where it is missing, make runs configure.
# "make help" lists what there is. Sources are found by their place, so that no list needs care:
#
#   framework/postern/*/*.cpp      the library
#   apps/NAME.cpp                  the program NAME
#   tests/ROOM/*.cpp, support/     one Catch2 program
#   tests/interop/peers/NAME.cpp   build/bin/peers/NAME, another implementation to talk to
#   tests/fuzz/NAME.cpp            the fuzz target NAME
#   tests/bench/NAME.cpp           the benchmark NAME
#   tests/conformance/testee.cpp   the program testee
#
# Each of the builds (ordinary, address, thread, fuzz, other compiler) has its own directory with the same things inside.

S := $(filter-out ./,$(dir $(lastword $(MAKEFILE_LIST))))
B := build
DEPS := $(S)tests/support/deps

.SUFFIXES:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
ifeq ($(MAKELEVEL)$(filter -j% --jobserver%,$(MAKEFLAGS) $(shell echo $$MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc)
endif

ifneq ($(filter-out help deps configure clean distclean format,$(or $(MAKECMDGOALS),all)),)
include config.mk
endif

RUN = echo
ARGS =
TESTS =
NAME =
SECONDS = 60
CONVERSATIONS = 10000
CLANG_CXX = clang++
OTHER_CXX = $(if $(findstring clang,$(CXX)),g++,$(CLANG_CXX))

ifeq ($(V),1)
say =
SUBMAKE = $(MAKE) --no-print-directory
else
Q := @
say = @printf '  %-5s %s\n' '$1' '$2'
SUBMAKE = $(MAKE) --no-print-directory -s
endif

LIBRARY := $(wildcard $(S)framework/postern/*/*.cpp)
HEADERS := $(wildcard $(S)framework/postern/*.h $(S)framework/postern/*/*.h)
APPS := $(patsubst $(S)apps/%.cpp,%,$(wildcard $(S)apps/*.cpp))
SUPPORT := $(wildcard $(S)tests/support/*.cpp)
CASES := $(filter-out $(addprefix $(S)tests/,support/% fuzz/% bench/% consumers/% conformance/testee.cpp),$(wildcard $(S)tests/*/*.cpp))
THREADED := $(shell grep -lF '[threads]' $(CASES) /dev/null)
FUZZERS := $(patsubst $(S)tests/fuzz/%.cpp,%,$(wildcard $(S)tests/fuzz/*.cpp))
REPLAY := $(S)tests/fuzz/replay/Replay.cpp
BENCHES := $(patsubst $(S)tests/bench/%.cpp,%,$(wildcard $(S)tests/bench/*.cpp))
NODE := $(B)/node/installed
SERVERS := $(B)/servers/unpacked
CONSUMERS := $(B)/check/pkg-config/hello $(B)/check/cmake/hello
ROOT := $(B)/check/root

.PHONY: all
all: programs $(B)/compile_commands.json ## the library and the programs (the default)

# ---- compiler and linker flags

# In tests both compilers leave the sign of literals alone, as g++ does everywhere.
TEST_FLAGS := -I$(S)tests -Wno-sign-conversion
WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
# The same bytes come out wherever the tree stands; sanitizers and gdb name files from its top.
REPRODUCIBLE := -ffile-prefix-map=$(CURDIR)=. $(S:%=-ffile-prefix-map=%=)
EXTRA =
COMMON = -std=c++20 -pthread -fPIE $(WARNINGS) $(WERROR) $(REPRODUCIBLE) -DPOSTERN_VERSION='"$(VERSION)"' \
	-I$(S)framework $(EXTRA) $(DEPENDENCY_CFLAGS) $(CPPFLAGS)
FORTIFY = $(if $(filter -O0,$(CXXFLAGS)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
# What is only for tests, after all others: sanitized tests spend more time in the compiler than they run. The library has
# both sanitizers, and its objects come first where programs are linked, so that inline functions are taken from there.
LAST =
SANITIZED := -O1 -g1 -fno-omit-frame-pointer -fno-sanitize-recover=all -D_GLIBCXX_ASSERTIONS
LINK = -pie -Wl,--as-needed -Wl,-z,relro,-z,now $(LDFLAGS)
LINK_LIBS = $(LIBS) $(DEPENDENCY_LIBS) -pthread
CATCH_LIBS = $(shell pkg-config --libs catch2-with-main 2>/dev/null || echo -lCatch2WithMain)

# g++ 12 sees overlapping copies where strings are added, and, with sanitizers, variables without a value and, through
# precompiled headers, overflows in the standard library.
false_alarms = $(if $(findstring clang,$($1.cxx)),,-Wno-restrict $(if $(findstring -fsanitize,$($1.flags)),\
	-Wno-maybe-uninitialized -Wno-stringop-overflow -Wno-array-bounds))

ordinary.dir := $(B)
ordinary.cxx = $(CXX)
ordinary.flags = $(HARDENING) $(FORTIFY) $(CXXFLAGS)

address.dir := $(B)/address
address.cxx = $(CXX)
address.flags = $(SANITIZED) -fsanitize=address,undefined
address.last := -O0 -fno-sanitize=undefined

thread.dir := $(B)/thread
thread.cxx = $(CXX)
thread.flags = $(SANITIZED) -fsanitize=thread
thread.last := -O0

fuzz.dir := $(B)/fuzz
fuzz.cxx = $(CLANG_CXX)
fuzz.flags = $(SANITIZED) -fsanitize=fuzzer-no-link,address,undefined

other.dir := $(B)/other
other.cxx = $(OTHER_CXX)
other.flags = -O0

# ---- rules, once for each build

# $(call remember,FILE,TEXT): FILE holds TEXT and changes only with it; what must follow the flags depends on it.
# (make 4.3 reads the last newline too, sometimes.)
remember = $(if $(and $(wildcard $1),$(call same,$(strip $2),$(strip $(file <$1)))),,$(shell mkdir -p $(dir $1))$(file >$1,$(strip $2)))
same = $(if $(subst x$1,,x$2)$(subst x$2,,x$1),,yes)

# $(call precompiled,BUILD,NAME): a header that these builds compile beforehand; not beside ccache, and for sanitizers by g++ only.
precompiled = $(if $(or $(CCACHE),$(and $(findstring clang,$($1.cxx)),$(filter-out other,$1))),,$(if $(filter address thread other,$1),$($1.dir)/pch/$2.h))

# $(call objects,BUILD,SOURCES)
objects = $(patsubst $(S)%.cpp,$($1.dir)/obj/%.o,$2)

# $(call link,BUILD,MORE LIBRARIES): links the objects and archives among the prerequisites.
define link
@mkdir -p $(@D)
$(call say,LINK,$@)
$(Q)$($1.cxx) $($1.flags) $(LINK) -o $@ $(filter %.o %.a,$^) $2 $(LINK_LIBS)
endef

define archive
@mkdir -p $(@D)
$(call say,AR,$@)
$(Q)rm -f $@ && ar rcsD $@ $(filter %.o,$^)
endef

# $(call build,BUILD,ITS TEST CASES)
define build
$(call remember,$($1.dir)/flags,$($1.cxx) $(COMMON) $(TEST_FLAGS) $(call false_alarms,$1) $($1.flags) $($1.last) $(LINK) $(LINK_LIBS))
$(call remember,$($1.dir)/library,$(LIBRARY))
$(call remember,$($1.dir)/cases,$2 $(SUPPORT))

$($1.dir)/obj/tests/%.o $($1.dir)/pch/tests.h.gch: private EXTRA = $(TEST_FLAGS)
$($1.dir)/obj/tests/%.o $($1.dir)/pch/tests.h.gch: private LAST = $($1.last)
$(call objects,$1,$2): private PRECOMPILED = $(call precompiled,$1,tests)
$(call objects,$1,$(LIBRARY)): private PRECOMPILED = $(call precompiled,$1,library)
$($1.dir)/obj/%.o: $(S)%.cpp $($1.dir)/flags
	@mkdir -p $$(@D)
	$$(call say,CXX,$$<$(if $(filter-out ordinary,$1), [$1]))
	$$(Q)$$(CCACHE) $$($1.cxx) $$(COMMON) $$(call false_alarms,$1) $$($1.flags) $$(LAST) $$(PRECOMPILED:%=-include %) \
		-MMD -MP -c -o $$@ $$<

$(call objects,$1,$(LIBRARY)): $(addsuffix .gch,$(call precompiled,$1,library))
$(call objects,$1,$2): $(addsuffix .gch,$(call precompiled,$1,tests))
$($1.dir)/pch/%.h.gch: $(S)tests/support/precompiled/%.h $($1.dir)/flags $(S)tests/support/precompiled/library.h $(S)tests/support/Catch.h
	@mkdir -p $$(@D)
	$$(call say,PCH,$$<$(if $(filter-out ordinary,$1), [$1]))
	$$(Q)cp $$< $$(@:.gch=)
	$$(Q)$$($1.cxx) $$(COMMON) $$(call false_alarms,$1) $$($1.flags) $$(LAST) -I$(S)tests -x c++-header -o $$@ $$(@:.gch=)

$($1.dir)/lib/libpostern.a: $(call objects,$1,$(LIBRARY)) $($1.dir)/library
	$$(archive)
$($1.dir)/lib/libsupport.a: $(call objects,$1,$(SUPPORT)) $($1.dir)/cases
	$$(archive)
$(APPS:%=$($1.dir)/bin/%): $($1.dir)/bin/%: $($1.dir)/obj/apps/%.o $($1.dir)/lib/libpostern.a
	$$(call link,$1)
$($1.dir)/bin/testee: $($1.dir)/obj/tests/conformance/testee.o $($1.dir)/lib/libpostern.a
	$$(call link,$1)
$($1.dir)/tests: $(call objects,$1,$(LIBRARY)) $(call objects,$1,$2 $(SUPPORT)) $($1.dir)/library $($1.dir)/cases
	$$(call link,$1,$$(CATCH_LIBS))

-include $(wildcard $(addprefix $($1.dir)/obj/,apps/*.d framework/postern/*/*.d tests/*/*.d tests/fuzz/replay/*.d tests/support/peers/*.d tests/interop/peers/*.d))
endef

ifeq ($(origin VERSION),file)
$(eval $(call build,ordinary,$(CASES)))
$(eval $(call build,address,$(CASES)))
$(eval $(call build,thread,$(THREADED)))
$(eval $(call build,fuzz))
$(eval $(call build,other))
endif

FUZZ_PROGRAMS := $(FUZZERS:%=$(B)/fuzz/bin/%)
$(FUZZ_PROGRAMS): $(B)/fuzz/bin/%: $(B)/fuzz/obj/tests/fuzz/%.o $(B)/fuzz/lib/libsupport.a $(B)/fuzz/lib/libpostern.a
	$(call link,fuzz,-fsanitize=fuzzer)

REPLAYS := $(FUZZERS:%=$(B)/address/replay/%)
$(REPLAYS): $(B)/address/replay/%: $(B)/address/obj/tests/fuzz/%.o $(call objects,address,$(REPLAY)) \
		$(B)/address/lib/libsupport.a $(B)/address/lib/libpostern.a
	$(call link,address)

# The other end of FastCGI in tests: libfcgi with its own half for the operating system, and nothing of ours.
PEERS := $(patsubst $(S)tests/support/peers/%.cpp,$(B)/bin/peers/%,$(wildcard $(S)tests/support/peers/*.cpp))
$(PEERS): $(B)/bin/peers/%: $(B)/obj/tests/support/peers/%.o
	$(call link,ordinary)

# The other ends of WebSockets: other implementations, and our client as a program. They are quick to compile rather than fast.
INTEROP := $(patsubst $(S)tests/interop/peers/%.cpp,$(B)/bin/peers/%,$(wildcard $(S)tests/interop/peers/*.cpp))
$(B)/obj/tests/interop/peers/%.o: private LAST = -O0 -g0 -U_FORTIFY_SOURCE
$(B)/obj/tests/interop/peers/websocketpp.o: private LAST = -O0 -g0 -U_FORTIFY_SOURCE -std=c++17
$(B)/bin/peers/postern: $(B)/lib/libpostern.a
$(INTEROP): $(B)/bin/peers/%: $(B)/obj/tests/interop/peers/%.o
	$(call link,ordinary,-lwebsockets)

BENCH_PROGRAMS := $(BENCHES:%=$(B)/bin/bench/%)
BENCH_SMOKE := $(patsubst %,$(B)/bin/bench/%,floor idle load openloop)
BENCH_PEERS := $(patsubst %,$(B)/bin/bench/%,fcgiloop beastecho beasthello httplibhello lwsecho websocketppecho)
$(filter-out $(BENCH_PEERS),$(BENCH_PROGRAMS)): $(B)/bin/bench/%: $(B)/obj/tests/bench/%.o $(B)/lib/libpostern.a
	$(call link,ordinary)

$(B)/bin/bench/uringfloor: private LINK_LIBS += -luring

# With nothing of ours, with libfcgi's own half for the operating system, and with the header that the uWSGI at hand prints.
$(B)/obj/tests/bench/httplibhello.o: private LAST = $(shell pkg-config --cflags cpp-httplib 2> /dev/null)
$(B)/obj/tests/bench/websocketppecho.o: private LAST = -std=c++17
$(BENCH_PEERS): $(B)/bin/bench/%: $(B)/obj/tests/bench/%.o
	$(call link,ordinary,-lcpp-httplib -lwebsockets)
$(B)/bin/bench/uwsgihello_plugin.so: $(S)tests/bench/uwsgihello.c $(SERVERS)
	@mkdir -p $(@D) $(B)/obj/tests/bench
	$(call say,CC,$<)
	$(Q)PATH=$(B)/servers/root/usr/bin:$$PATH LD_LIBRARY_PATH=$(B)/servers/root/usr/lib/x86_64-linux-gnu \
		uwsgi-core --dot-h > $(B)/obj/tests/bench/uwsgi.h 2> /dev/null
	$(Q)$(CC) -O2 -fPIC -shared -I$(B)/obj/tests/bench -o $@ $<

.PHONY: programs
programs: $(B)/lib/libpostern.a $(patsubst %,$(B)/bin/%,$(APPS) testee)

# For clangd and clang-tidy: the library and the programs as users get them, the tests as they are checked.
SOURCES := $(LIBRARY) $(wildcard $(S)apps/*.cpp $(S)tests/*/*.cpp)
entry = {"directory": "$(CURDIR)", "file": "$1", "command": "$(subst ",\",$(CXX) $(COMMON) $(TEST_FLAGS) $2 -c $1)"}
$(B)/compile_commands.json: $(B)/flags $(B)/library $(B)/cases
	@$(file >$@,[)$(foreach f,$(SOURCES),$(file >>$@,$(call entry,$f,$(ordinary.flags))$(if $(filter-out $(lastword $(SOURCES)),$f),$(comma))))$(file >>$@,]):
comma := ,

# ---- configure

$(S)configure: $(S)configure.ac $(S)m4/pkg.m4
	@$(DEPS) $(deps_set)
	$(call say,CONF,configure)
	$(Q)cd ./$(S) && autoconf && touch configure

config.mk: $(S)configure $(S)config.mk.in
	@$(DEPS) $(deps_set)
	$(call say,CONF,config.mk)
	$(Q)if [ -x config.status ]; then ./config.status --recheck && ./config.status; else $(or $(S),./)configure; fi > config.out \
		|| { cat config.out; exit 1; }
	@rm -f config.out

# One installation for everything that is asked for.
deps_set := $(or $(filter bench,$(MAKECMDGOALS)),$(if $(filter check check-clang conformance fuzz distcheck,$(MAKECMDGOALS)),check,build))

.PHONY: deps
deps: ## checks for the system packages that building and checking need; see tests/support/deps
	@$(DEPS) check && echo 'Everything that Postern needs is installed.'

# ---- run, check, fuzz, bench

.PHONY: run check check-clang check-build conformance fuzz bench
run: ## builds and starts a program: RUN=echo ARGS=...
	@$(DEPS) build
	+@$(SUBMAKE) $(B)/bin/$(RUN)
	@$(B)/bin/$(RUN) $(ARGS)

PARTS.all := headers layering docs tests replay threads install bench
PARTS.address := tests replay
PARTS.thread := threads
PARTS.none := plain
PARTS = $(if $(TESTS),$(filter tests threads plain,$(PARTS.$(or $(SANITIZE),address))),$(PARTS.$(or $(SANITIZE),all))) $(ALSO)

HEADER_CHECKS := $(HEADERS:$(S)framework/%.h=$(B)/check/headers/%.ok)
needs.headers := $(HEADER_CHECKS)
needs.tests := programs $(patsubst %,$(B)/address/bin/%,$(APPS) testee) $(B)/address/tests $(PEERS) $(INTEROP) $(NODE) $(SERVERS)
needs.docs := programs $(B)/docs/built
needs.replay := $(REPLAYS)
needs.threads := $(if $(THREADED),$(B)/thread/tests)
needs.plain := programs $(patsubst %,$(B)/address/bin/%,$(APPS) testee) $(B)/tests $(PEERS) $(INTEROP) $(NODE) $(SERVERS)
needs.install := $(CONSUMERS)
needs.bench := programs $(BENCH_SMOKE)
needs.conformance := programs $(B)/address/tests $(INTEROP) $(NODE)
needs.other := $(B)/other/lib/libpostern.a $(APPS:%=$(B)/other/bin/%)

check-build: $(foreach part,$(PARTS),$(needs.$(part)))
	@:

check check-clang: export POSTERN_BIN = $(CURDIR)/$(B)/bin
check check-clang: export POSTERN_SANITIZED_BIN = $(CURDIR)/$(B)/address/bin
check check-clang: export POSTERN_NODE = $(CURDIR)/$(B)/node
check check-clang bench: export POSTERN_SERVERS = $(CURDIR)/$(B)/servers/root
check check-clang: export POSTERN_SOURCE = $(abspath ./$(S))
check check-clang: export POSTERN_PYTHON = /usr/bin/python3
check check-clang: export TESTS := $(TESTS)
check: export CONVERSATIONS := $(CONVERSATIONS)
check: ## runs every test; SANITIZE=address|thread|none one build, TESTS='[tag]' some cases, PARTS=... some parts
	@$(DEPS) check
	+@MAKE='$(MAKE)' HEADER_CHECKS='$(HEADER_CHECKS)' REPLAYS='$(REPLAYS)' THREADED='$(THREADED)' \
		$(S)tests/support/check $(PARTS)
conformance: ## the long runs: every rule at every cut, CONVERSATIONS=10000 with each other implementation
	+@$(SUBMAKE) check PARTS=conformance CONVERSATIONS=$(CONVERSATIONS)
check-clang: ## compiles the library and the programs with the other compiler
	+@$(SUBMAKE) check PARTS=other

# A header must compile alone. One that its own source includes first has done so already.
OWN := $(patsubst $(S)framework/%.h,%,$(filter $(LIBRARY:.cpp=.h),$(HEADERS)))
$(OWN:%=$(B)/check/headers/%.ok): $(B)/check/headers/%.ok: $(S)framework/%.cpp $(B)/obj/framework/%.o
	@mkdir -p $(@D); rm -f $@
	@grep -m1 '^#include' $< | grep -qF '"$*.h"' || { echo '$< does not include its own header first'; exit 1; }
	@touch $@
$(filter-out $(OWN:%=$(B)/check/headers/%.ok),$(HEADER_CHECKS)): $(B)/check/headers/%.ok: $(S)framework/%.h $(B)/flags
	@mkdir -p $(@D); rm -f $@
	$(call say,HEAD,$<)
	$(Q)echo '#include "$*.h"' | $(CXX) $(COMMON) -x c++ -fsyntax-only -MMD -MP -MF $(@:.ok=.d) -MT $@ - && touch $@
-include $(wildcard $(B)/check/headers/*/*.d $(B)/check/headers/*/*/*.d)

# The programs that the documentation shows.
$(B)/docs/built: export POSTERN_COMPILE = $(CCACHE) $(CXX) $(COMMON) -O0
$(B)/docs/built: export POSTERN_LINK = $(CXX) $(LINK)
$(B)/docs/built: export POSTERN_LINK_LIBS = $(B)/lib/libpostern.a $(LINK_LIBS)
$(B)/docs/built: $(S)README.md $(wildcard $(addprefix $(S),apps/README.md docs/*.md docs/decisions/*.md tests/docs/check)) \
		$(B)/lib/libpostern.a
	$(call say,DOCS,$(@D))
	$(Q)$(S)tests/docs/check build $(@D) && touch $@

$(NODE): $(S)tests/support/node/package.json
	@mkdir -p $(@D)
	$(call say,NPM,$<)
	$(Q)cp $< $(@D)/ && cd $(@D) && npm install --no-package-lock --no-audit --no-fund --loglevel=error && touch $(@F)

$(SERVERS): $(S)tests/support/servers
	@mkdir -p $(@D)
	$(call say,APT,$<)
	$(Q)rm -rf $(@D)/root && $(S)tests/support/servers $(@D) && touch $@

# The consumers see what "make install" puts there, and nothing else.
$(B)/check/installed: $(B)/lib/libpostern.a $(HEADERS) $(addprefix $(S),Makefile postern.pc.in $(wildcard m4/*.cmake.in))
	@rm -rf $(ROOT)
	+$(Q)$(SUBMAKE) install DESTDIR=$(CURDIR)/$(ROOT) && touch $@
$(B)/check/pkg-config/hello: $(B)/check/installed $(wildcard $(S)tests/consumers/*.cpp $(S)tests/consumers/pkg-config/*)
	@rm -rf $(@D); mkdir -p $(@D)
	$(call say,USE,pkg-config)
	$(Q)PKG_CONFIG_SYSROOT_DIR=$(CURDIR)/$(ROOT) PKG_CONFIG_LIBDIR=$(CURDIR)/$(ROOT)$(libdir)/pkgconfig \
		$(MAKE) --no-print-directory -s -C $(@D) -f $(abspath $(S)tests/consumers/pkg-config/Makefile) CXX='$(CXX)'
$(B)/check/cmake/hello: $(B)/check/installed $(wildcard $(S)tests/consumers/*.cpp $(S)tests/consumers/cmake/*)
	@rm -rf $(@D); mkdir -p $(@D)
	$(call say,USE,cmake)
	$(Q){ cmake -S $(S)tests/consumers/cmake -B $(@D) -DCMAKE_CXX_COMPILER=$(CXX) -Dpostern_DIR=$(CURDIR)/$(ROOT)$(libdir)/cmake/postern \
		&& env -u MAKEFLAGS cmake --build $(@D); } > $(@D)/log 2>&1 || { cat $(@D)/log; exit 1; }

fuzz: ## fuzzes with clang, SECONDS=60 each: NAME='Frame Url' or all; MERGE=1 keeps what was found
	@$(DEPS) check
	+@$(SUBMAKE) $(patsubst %,$(B)/fuzz/bin/%,$(or $(NAME),$(FUZZERS)))
	@$(S)tests/support/fuzz '$(B)/fuzz' '$(S)tests/fuzz/corpus' '$(SECONDS)' '$(MERGE)' $(or $(NAME),$(FUZZERS))

bench: export POSTERN_BIN = $(CURDIR)/$(B)/bin
bench: export POSTERN_SOURCE = $(abspath ./$(S))
bench: ## builds and runs the benchmarks: ARGS=...
	@$(DEPS) bench
	+@$(SUBMAKE) programs $(BENCH_PROGRAMS) $(B)/bin/bench/uwsgihello_plugin.so $(NODE)
	@$(S)tests/bench/run $(ARGS)

# ---- install

MANUAL := $(wildcard $(S)docs/man/*.1 $(S)docs/man/*.3)
manual = $(DESTDIR)$(mandir)/man$(subst .,,$(suffix $1))/$(notdir $1)
ROOMS := $(sort $(patsubst $(S)framework/%/,%,$(dir $(HEADERS))))
space := $(subst x,,x x)
relative = $(patsubst $(prefix)/%,$${prefix}/%,$1)
fill = sed -e 's|@VERSION@|$(VERSION)|g; s|@prefix@|$(prefix)|g; s|@exec_prefix@|$(patsubst $(prefix),$${prefix},$(exec_prefix))|g' \
	-e 's|@libdir@|$(call relative,$(libdir))|g'

.PHONY: install install-strip uninstall
install: $(B)/lib/libpostern.a ## installs library, headers, postern.pc, CMake package, manual: prefix= DESTDIR=
	$(call say,INST,$(DESTDIR)$(prefix))
	$(Q)install -d $(DESTDIR)$(libdir)/pkgconfig $(DESTDIR)$(libdir)/cmake/postern $(ROOMS:%=$(DESTDIR)$(includedir)/%)
	$(Q)install -m 644 $< $(DESTDIR)$(libdir)/
	$(Q)set -e; $(foreach r,$(ROOMS),install -m 644 $(wildcard $(S)framework/$r/*.h) $(DESTDIR)$(includedir)/$r/;)
	$(Q)$(fill) -e 's|@includedir@|$(call relative,$(includedir))|; s|@LIBS@|$(strip $(LIBS) $(DEPENDENCY_LIBS))|' \
		$(S)postern.pc.in > $(DESTDIR)$(libdir)/pkgconfig/postern.pc
	$(Q)up=$$(realpath -m --relative-to=$(libdir)/cmake/postern $(includedir)) && \
	$(fill) -e "s|@includedir@|$$up|; s|@LIBS@|$(subst $(space),;,$(strip $(LIBS) $(DEPENDENCY_LIBS)))|" \
		$(S)m4/postern-config.cmake.in > $(DESTDIR)$(libdir)/cmake/postern/postern-config.cmake
	$(Q)$(fill) $(S)m4/postern-config-version.cmake.in > $(DESTDIR)$(libdir)/cmake/postern/postern-config-version.cmake
	$(Q)set -e; $(foreach m,$(MANUAL),install -D -m 644 $m $(call manual,$m);)
install-strip: install ## the same without debugging information
	$(Q)strip --strip-debug $(DESTDIR)$(libdir)/libpostern.a
uninstall: ## removes what install put there
	$(Q)rm -rf $(DESTDIR)$(includedir)/postern $(DESTDIR)$(libdir)/cmake/postern
	$(Q)rm -f $(DESTDIR)$(libdir)/libpostern.a $(DESTDIR)$(libdir)/pkgconfig/postern.pc $(foreach m,$(MANUAL),$(call manual,$m))

# ---- source archive, tidying up

ARCHIVE = postern-$(VERSION)
.PHONY: dist distcheck docs format tidy clean distclean help
dist: $(S)configure ## makes postern-VERSION.tar.gz
	$(Q)cd ./$(S) && { if [ -e .git ]; then git ls-files; else find * .ci .clang-format .gitignore -type f; fi; echo configure; } \
		| grep -Ev '^(build/|config\.(mk|log|status)$$|postern-.*\.gz$$)' \
		| sort -u | tar -czf $(CURDIR)/$(ARCHIVE).tar.gz --transform='s|^|$(ARCHIVE)/|' --owner=0 --group=0 --numeric-owner -T -
distcheck: dist ## builds, checks and installs from that archive
	rm -rf $(B)/dist && mkdir -p $(B)/dist && tar -xzf $(ARCHIVE).tar.gz -C $(B)/dist
	mkdir $(B)/dist/out && cd $(B)/dist/out && ../$(ARCHIVE)/configure --prefix=/usr > /dev/null
	+$(MAKE) -C $(B)/dist/out check
	+$(MAKE) -C $(B)/dist/out install-strip DESTDIR=$(CURDIR)/$(B)/dist/root
	+$(MAKE) -C $(B)/dist/out uninstall DESTDIR=$(CURDIR)/$(B)/dist/root
	test -z "$$(find $(B)/dist/root -type f)"
	@echo '$(ARCHIVE).tar.gz is ready.'

docs: ## checks that the links in the documentation lead somewhere
	@$(S)tests/support/docs
format: ## clang-format on every source
	clang-format -i $(HEADERS) $(LIBRARY) $(wildcard $(S)apps/*.cpp $(S)tests/*/*.h $(S)tests/*/*.cpp)
tidy: $(B)/compile_commands.json ## clang-tidy on the library
	clang-tidy --quiet -p $(B) --checks='-*,bugprone-*,performance-*,clang-analyzer-*,-bugprone-easily-swappable-parameters' $(LIBRARY)

clean: ## removes what was built
	rm -rf $(B)
distclean: clean ## removes what configure made, too
	rm -rf config.mk config.log config.status config.out $(S)autom4te.cache $(if $(S),Makefile) $(if $(wildcard $(S).git),$(S)configure)

help: ## this list
	@echo 'Targets of make:'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(S)Makefile | awk -F '\t' '{ printf "  %-14s %s\n", $$1, $$2 }'
	@echo 'V=1 shows the commands. NO_DEPS=1 leaves the system packages alone, AUTO_DEPS=1 installs them without asking.'
