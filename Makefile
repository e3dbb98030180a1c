# Airlock: `make` builds, `make check` tests, `make demo` shows, `make install` installs. One list of sources per archive
# and program; every other rule is generic. Debian packages that are missing are installed, by name and saying so, by the
# first rule that needs them. `make V=1` shows the commands.

VERSION := 0.1.0
PREFIX  ?= /usr
BUILD   ?= build
# address,undefined or thread: a build of its own beside the plain one, dynamic, confined as far as the sanitizer can be
SANITIZE ?=
ifeq ($(origin CC),default)
CC      := $(if $(shell command -v gcc),gcc,clang)
endif
CLANG   ?= clang
ARCH    := $(shell uname -m)
comma   := ,
variant := $(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))
OBJ     := $(BUILD)/obj$(variant)
BIN     := $(BUILD)/bin$(variant)
SHARE   := $(BUILD)/share/airlock/policy
export PATH := $(PATH):/usr/sbin:/sbin
Q       := $(if $(V),,@)
say      = @printf '  %-7s %s\n' $(1) $(2)

# ---- sources: one list per archive, then the programs ----------------------------------------------------------------

c_files     = $(filter-out %/main.c %.bpf.c %.gen.c,$(wildcard $(1)/*.c))
lib_SRC     := $(call c_files,lib)
policy_SRC  := $(call c_files,policy)
seccomp_SRC := $(call c_files,seccomp)
device_SRC  := $(call c_files,device)
broker_SRC  := $(filter-out broker/ctl.c broker/minijail.c,$(call c_files,broker))
support_SRC := $(call c_files,tests/support)
bench_SRC   := $(filter-out tests/bench/bench_% tests/bench/soak.c,$(call c_files,tests/bench))
frontend_SRC := $(call c_files,frontend)
# What the confined programs link of seccomp/: the installer and nothing else.
install_SRC := seccomp/install.c
ROOMS       := lib policy seccomp seccomp/install device broker frontend tests/support tests/bench
# The front-end library: what VMMs link, without the vfio-user server; of lib/ what it uses.
LIBRARY     := libairlock-frontend
library_SRC := $(addprefix frontend/,access.c client.c core.c mmio.c msix.c pci.c pci_config.c queue.c slots.c state.c \
                 status.c task.c transport.c) \
               $(addprefix lib/,fd.c mailbox.c vhost_user_table.c)

# Programs that a build runs: ThreadSanitizer does not know the address-space layout of newer kernels, and clang's counters
# would be left in the sources.
RUN := LLVM_PROFILE_FILE=/dev/null $(if $(findstring thread,$(SANITIZE)),setarch -R)

# A program is a main file, archives in link order, libraries and link flags.
PROGRAMS            := airlock-device airlock-broker airlock-ctl airlock-minijail airlock-policy airlock-vfio-user
airlock-device_MAIN := device/main.c
airlock-device_AR   := device seccomp-install lib
airlock-device_LINK := $(if $(SANITIZE),-pie,-static-pie)
airlock-broker_MAIN := broker/main.c
airlock-broker_AR   := broker seccomp policy lib
airlock-broker_LIBS := -lseccomp -lcap -lbpf -ljansson -lmnl
airlock-ctl_MAIN    := broker/ctl.c
airlock-ctl_AR      := broker lib
airlock-ctl_LIBS    := -ljansson
airlock-minijail_MAIN := broker/minijail.c
airlock-minijail_AR   := broker seccomp policy lib
airlock-minijail_LIBS := -lseccomp -lcap -lbpf -ljansson -lmnl
airlock-policy_MAIN := seccomp/main.c
airlock-policy_AR   := seccomp policy lib
airlock-policy_LIBS := -lseccomp -lbpf -ljansson
airlock-vfio-user_MAIN := frontend/main.c
airlock-vfio-user_AR   := frontend seccomp-install lib
airlock-vfio-user_LIBS := -ljansson
airlock-vfio-user_LINK := $(if $(SANITIZE),-pie,-static-pie)

# tests/unit/ROOM/test_MODULE.c links its room; tests/integration and tests/bench stand outside of the rooms, with the
# front-end of tests/support; tests/e2e are scripts.
UNIT        := $(wildcard tests/unit/*/test_*.c)
# ThreadSanitizer: not those whose children a filter kills thread by thread (its own thread lives on in them, so that they
# are never reaped), nor one of a single thread that would take minutes.
UNIT        := $(if $(filter thread,$(SANITIZE)),$(filter-out $(patsubst %,tests/unit/seccomp/test_%.c,denial program verify),$(UNIT)),$(UNIT))
INTEGRATION := $(wildcard tests/integration/test_*.c)
BENCH       := $(wildcard tests/bench/bench_*.c)
FUZZ        := $(wildcard tests/fuzz/*/fuzz_*.c)
AR_lib      := lib
AR_policy   := policy lib
AR_seccomp  := seccomp policy lib
AR_device   := device seccomp-install lib
AR_broker   := broker seccomp policy lib
AR_support  := tests-support lib
AR_frontend := frontend lib
LIBS_seccomp  := -lseccomp -lbpf -ljansson
LIBS_frontend := -ljansson
LIBS_broker   := -lseccomp -lcap -lbpf -ljansson -lmnl

# ---- Debian packages, by what needs them -----------------------------------------------------------------------------

DEB_build := libc6-dev linux-libc-dev libseccomp-dev libcap-dev libbpf-dev libjansson-dev libmnl-dev bpftool clang
DEB_test  := libcmocka-dev iproute2
DEB_clang := libclang-rt-14-dev
DEB_coverage := llvm
DEB_afl := afl++
DEB_lint  := clang-format clang-tidy cppcheck shellcheck mandoc
DEB_bench := dpdk-dev util-linux
DEB_guest := qemu-system-x86 busybox-static cpio
deps       = $(patsubst %,$(BUILD)/deps/%,$(1))

# ---- flags -----------------------------------------------------------------------------------------------------------

WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
            -Wpointer-arith -Wcast-align -Wwrite-strings -Wvla -Wformat=2 -Wundef -Wswitch-enum
HARDEN   := $(if $(SANITIZE),,-D_FORTIFY_SOURCE=2) -fstack-protector-strong -fstack-clash-protection -fno-common \
            $(if $(filter x86_64,$(ARCH)),-fcf-protection)
# No processor of this kind is without it: asked for to be written to, a line comes as one that may be.
MACHINE  := $(if $(filter x86_64,$(ARCH)),-mprfchw)
# gcc warns that ThreadSanitizer does not understand fences; what they order is annotated or not shared
SANFLAGS := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all) \
            $(if $(filter thread,$(SANITIZE)),$(if $(findstring clang,$(CC)),,-Wno-tsan))
CFLAGS   ?= -O2 -g
ALLFLAGS := -std=gnu17 -D_GNU_SOURCE -DAIRLOCK_VERSION='"$(VERSION)"' $(if $(SANITIZE),-DAIRLOCK_SANITIZE) \
            -I. -I$(OBJ)/gen $(WARN) $(HARDEN) $(SANFLAGS) -fPIE -pthread $(MACHINE) $(CFLAGS)
LDALL    := -pthread -Wl,-z,relro,-z,now,-z,noexecstack $(SANFLAGS) $(LDFLAGS)
BPFFLAGS := -target bpf -mcpu=v3 -g -O2 -Wall -Werror -D__TARGET_ARCH_$(if $(filter x86_64,$(ARCH)),x86,arm64) \
            -I/usr/include/$(ARCH)-linux-gnu -I.

.PHONY: all policies unit tests check demo bench soak fuzz fuzz-libfuzzer fuzz-afl fuzzers coverage lint tidy install clean FORCE
.DELETE_ON_ERROR:
all: $(PROGRAMS:%=$(BIN)/%) policies library

# ---- archives and programs -------------------------------------------------------------------------------------------

objs = $(patsubst %.c,$(OBJ)/%.o,$(1))
$(OBJ)/%.o: %.c $(OBJ)/flags | $(call deps,build $(if $(SANITIZE),$(findstring clang,$(CC))))
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALLFLAGS) -MMD -MP -c -o $@ $<

define archive
$(OBJ)/lib$(subst /,-,$(1)).a: $(call objs,$($(notdir $(1))_SRC))
	$$(call say,AR,$$@)
	@rm -f $$@
	$$(Q)ar rcs $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call archive,$(r))))

# link OUTPUT MAIN ARCHIVES LIBRARIES FLAGS
define link
$(1): $(call objs,$(2)) $(3:%=$(OBJ)/lib%.a)
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(LDALL) $(or $(5),-pie) -o $$@ $$(filter %.o %.a,$$^) $(4)
endef
$(foreach p,$(PROGRAMS),$(eval $(call link,$(BIN)/$(p),$($(p)_MAIN),$($(p)_AR),$($(p)_LIBS),$($(p)_LINK))))

# One object in which only the header's names are seen: a VMM may have an fd_close() of its own.
.PHONY: library
library: $(if $(SANITIZE),,$(BUILD)/lib/$(LIBRARY).a $(OBJ)/docs/examples/mmio_vmm)
$(BUILD)/lib/$(LIBRARY).a: $(call objs,$(library_SRC))
	@mkdir -p $(@D)
	$(call say,AR,$@)
	$(Q)$(LD) -r -o $(OBJ)/$(LIBRARY).o $^
	$(Q)objcopy --wildcard --keep-global-symbol='airlock_*' $(OBJ)/$(LIBRARY).o
	@rm -f $@
	$(Q)ar rcs $@ $(OBJ)/$(LIBRARY).o
# The example, as a VMM's own build would have it.
$(OBJ)/docs/examples/mmio_vmm: docs/examples/mmio_vmm.c frontend/airlock-frontend.h $(BUILD)/lib/$(LIBRARY).a
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE -Ifrontend $(WARN) $(CFLAGS) -pthread -o $@ $< $(BUILD)/lib/$(LIBRARY).a

# Another compiler or other flags are another build.
$(OBJ)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(CC) $(subst ','\'',$(ALLFLAGS))' | cmp -s - $@ || printf '%s\n' '$(CC) $(subst ','\'',$(ALLFLAGS))' > $@

POLICIES := $(wildcard policy/*.policy)
policies: $(POLICIES:policy/%=$(SHARE)/%) \
          $(POLICIES:policy/%.policy=$(SHARE)/%.bpf)
$(SHARE)/%.policy: policy/%.policy
	@mkdir -p $(@D)
	$(Q)install -m 0644 $< $@
$(SHARE)/%.bpf: policy/%.policy $(BIN)/airlock-policy
	@mkdir -p $(@D)
	$(call say,POLICY,$@)
	$(Q)$(RUN) $(BIN)/airlock-policy compile --default-action=kill-process -o $@ $<

# ---- generated -------------------------------------------------------------------------------------------------------

# System calls and constants by name, for every architecture.
$(OBJ)/gen/policy/names.inc: policy/names.gen.sh policy/constants.tbl policy/syscalls.tbl | $(call deps,build)
	@mkdir -p $(@D)
	$(call say,GEN,$@)
	$(Q)CC="$(CC)" policy/names.gen.sh $@
$(OBJ)/policy/names.o: $(OBJ)/gen/policy/names.inc

# The broker's own policies, compiled and proven once: at a start their texts are only compared.
BUILTIN := $(OBJ)/broker/builtin.gen
$(eval $(call link,$(BUILTIN),broker/builtin.gen.c broker/verdict.c,seccomp policy lib,-lseccomp -lbpf -ljansson))
$(OBJ)/gen/broker/builtin.inc: $(BUILTIN) $(wildcard policy/*.policy)
	@mkdir -p $(@D)
	$(call say,GEN,$@)
	$(Q)$(RUN) $< policy > $@
$(OBJ)/broker/builtin.o: $(OBJ)/gen/broker/builtin.inc

# eBPF: CO-RE objects become skeletons; nothing of clang's is needed at run time.
$(OBJ)/gen/%.skel.h: %.bpf.c | $(call deps,build)
	@mkdir -p $(@D)
	$(call say,BPF,$<)
	$(Q)$(CLANG) $(BPFFLAGS) -MMD -MP -MT $@ -c -o $(@:.skel.h=.bpf.o) $<
	$(Q)bpftool gen skeleton $(@:.skel.h=.bpf.o) name $(notdir $*)_bpf | sed -e '1i// NOLINTBEGIN' -e '$$a// NOLINTEND' > $@
skeletons = $(patsubst %.bpf.c,$(OBJ)/gen/%.skel.h,$(wildcard $(1)/*.bpf.c))
$(foreach r,seccomp broker,$(eval $(call objs,$($(r)_SRC) $(r)/main.c): | $(call skeletons,$(r))))

# ---- tests -----------------------------------------------------------------------------------------------------------

room = $(word 3,$(subst /, ,$(1)))
test_programs = $(patsubst %.c,$(OBJ)/%,$(1))
$(call objs,$(UNIT) $(INTEGRATION) $(BENCH) $(support_SRC) $(bench_SRC)): | $(call deps,test)
# Tests in which calls of the library fail: tests/unit/device/inject.h defines what the linker puts before them.
INJECTED := malloc calloc mmap munmap recvmsg sendmsg send fcntl syscall eventfd read pthread_create
LINK_test_inject := -pie $(INJECTED:%=-Wl$(comma)--wrap=%)
$(foreach t,$(UNIT),$(eval $(call link,$(call test_programs,$(t)),$(t),$(AR_$(call room,$(t))),$(LIBS_$(call room,$(t))) -lcmocka,$(LINK_$(notdir $(t:.c=))))))
$(foreach t,$(INTEGRATION),$(eval $(call link,$(call test_programs,$(t)),$(t),$(AR_support),-lcmocka -ljansson)))
$(foreach t,$(BENCH),$(eval $(call link,$(call test_programs,$(t)),$(t),tests-bench $(AR_support),-lcmocka -ljansson -lm)))

# The device that does what a test tells it: airlock-device with some of its functions wrapped.
PUPPET := $(OBJ)/tests/integration/puppet_device
$(eval $(call link,$(PUPPET),device/main.c tests/integration/puppet_device.c,$(airlock-device_AR),,$(airlock-device_LINK) \
  $(foreach f,options_parse orders_ready session_ready mailbox_take install_set,-Wl$(comma)--wrap=$(f))))
$(call test_programs,tests/integration/test_escape.c tests/integration/test_impostor.c): $(PUPPET)

# Scripts and programs find what was built here; a sanitized build says which layers its programs cannot take.
TEST_ENV := AIRLOCK_BIN=$(abspath $(BIN)) AIRLOCK_POLICY_DIR=$(abspath $(SHARE)) AIRLOCK_BUILD=$(abspath $(BUILD)) \
            AIRLOCK_SANITIZE=$(SANITIZE) MAKE="$(MAKE)"
CHECK    := $(call test_programs,$(UNIT) $(INTEGRATION)) $(wildcard tests/integration/test_*.sh) \
            $(if $(SANITIZE),,tests/lint/run tests/fuzz/test_corpora.sh $(wildcard tests/e2e/test_*.sh))
# What the jail's tests start in place of airlock-device.
JAILED   := $(OBJ)/tests/unit/broker/jailed
$(eval $(call link,$(JAILED),tests/unit/broker/jailed.c,seccomp,,$(airlock-device_LINK)))
# To run one by hand: `unit` builds the rooms' tests, `tests` also those of whole processes, and the processes.
unit: $(call test_programs,$(UNIT)) $(JAILED)
tests: all unit $(call test_programs,$(INTEGRATION))
check: tests $(if $(SANITIZE),,$(call deps,lint clang) guest)
	@env $(TEST_ENV) tests/run $(CHECK)

.PHONY: guest
guest: $(BUILD)/guest/kernel $(OBJ)/tests/e2e/flow
$(BUILD)/guest/kernel: tests/e2e/kernel.sh | $(call deps,guest)
	$(call say,GUEST,$@)
	$(Q)tests/e2e/kernel.sh $@
$(OBJ)/tests/e2e/flow: $(OBJ)/tests/e2e/flow.o
	$(call say,LD,$@)
	$(Q)$(CC) $(LDALL) $(if $(SANITIZE),-pie,-static-pie) -o $@ $<

demo: all guest
	@env $(TEST_ENV) tests/e2e/demo.sh

# make bench QUICK=1: within three minutes. ROW="transmit 64": only these rows of bench_rate. The page is made last.
bench: all $(call test_programs,$(BENCH)) | $(call deps,bench)
	@failed=0; \
	for b in $(filter-out %_page,$(call test_programs,$(BENCH))) $(filter %_page,$(call test_programs,$(BENCH))); do \
	  env $(TEST_ENV) QUICK=$(QUICK) $$b || failed=1; done; exit $$failed

# make soak T=MINUTES: connections, deaths and restarts under traffic, and what has grown at the end.
SOAK := $(OBJ)/tests/bench/soak
$(eval $(call link,$(SOAK),tests/bench/soak.c,tests-bench $(AR_support),-lcmocka -ljansson))
soak: all $(SOAK)
	@env $(TEST_ENV) T=$(T) $(SOAK)

# make fuzz T=SECONDS: each target for so long, from the corpus beside it. clang's libFuzzer, or ENGINE=afl: AFL++. One
# target: FUZZ=tests/fuzz/ROOM/fuzz_NAME.c
T      ?= 30
ENGINE ?= libfuzzer
fuzz: fuzz-$(ENGINE)
fuzz-libfuzzer: | $(call deps,clang)
	@$(MAKE) --no-print-directory CC=$(CLANG) SANITIZE=fuzzer-no-link,address,undefined fuzzers
	@for f in $(patsubst %.c,%,$(FUZZ)); do echo "  FUZZ    $$f ($(T) s)"; mkdir -p $(BUILD)/corpus/$$f $$f.corpus; \
	  $(BUILD)/obj-fuzzer-no-link-address-undefined/$$f -max_total_time=$(T) -print_final_stats=1 \
	    -artifact_prefix=$(BUILD)/corpus/ $(BUILD)/corpus/$$f $$f.corpus || exit; done
fuzz-afl: | $(call deps,clang afl)
	@$(MAKE) --no-print-directory CC=afl-clang-fast BUILD=$(BUILD)/afl fuzzers
	@for f in $(patsubst %.c,%,$(FUZZ)); do tests/fuzz/afl $(BUILD)/afl/obj/$$f $$f.corpus $(BUILD)/afl/corpus/$$f $(T) || exit; done
fuzzers: $(call test_programs,$(FUZZ))
$(foreach t,$(FUZZ),$(eval $(call link,$(call test_programs,$(t)),$(t),$(AR_$(call room,$(t))),$(LIBS_$(call room,$(t))),-fsanitize=fuzzer)))

# make coverage: lines that unit tests and corpora reach in what reads hostile bytes (tests/parsers), by clang's counters.
COUNTERS := -fprofile-instr-generate -fcoverage-mapping
coverage: | $(call deps,clang coverage)
	@$(MAKE) --no-print-directory CC=$(CLANG) BUILD=$(BUILD)/coverage CFLAGS='-O1 -g $(COUNTERS)' LDFLAGS='$(COUNTERS)' fuzzers unit
	@env $(TEST_ENV) tests/coverage $(BUILD)/coverage

lint: all $(call deps,lint test)
	@env $(TEST_ENV) tests/lint/run

# clang-tidy, one stamp per file, so that only what changed is looked at again. TIDY_MODE=deep follows calls: it finds
# more, takes ten times as long, and takes functions of other files for strangers.
TIDY_MODE ?= shallow
TIDY := $(foreach r,lib policy seccomp device broker frontend,$(filter-out %.bpf.c %.gen.c,$(wildcard $(r)/*.c)))
tidy: $(TIDY:%.c=$(OBJ)/%.tidy)
$(OBJ)/%.tidy: %.c $(OBJ)/%.o .clang-tidy | $(call deps,lint)
	$(Q)clang-tidy --quiet $(TIDY_MODE:%=--extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang --extra-arg=mode=%) $< -- $(ALLFLAGS) 2>$@.err || { cat $@.err; exit 1; }
	@rm -f $@.err; touch $@

# ---- Debian packages -------------------------------------------------------------------------------------------------

$(BUILD)/deps/%: Makefile
	@mkdir -p $(@D)
	@tests/packages $(DEB_$*)
	@touch $@

# ---- installation ----------------------------------------------------------------------------------------------------

D := $(DESTDIR)$(PREFIX)
install: all
	install -d $(D)/bin $(D)/libexec/airlock $(D)/share/airlock/policy $(D)/share/man/man1 $(D)/share/man/man8 \
		$(D)/lib/systemd/system $(D)/share/qemu/vhost-user
	install -m 0755 $(filter-out %/airlock-device,$(PROGRAMS:%=$(BIN)/%)) $(D)/bin
	install -m 0755 $(BIN)/airlock-device $(D)/libexec/airlock
	install -m 0644 $(POLICIES:policy/%=$(SHARE)/%) $(POLICIES:policy/%.policy=$(SHARE)/%.bpf) $(D)/share/airlock/policy
	install -D -m 0644 $(BUILD)/lib/$(LIBRARY).a $(D)/lib/$(LIBRARY).a
	install -D -m 0644 frontend/airlock-frontend.h $(D)/include/airlock-frontend.h
	install -m 0644 $(wildcard docs/man/*.1) $(D)/share/man/man1
	install -m 0644 $(wildcard docs/man/*.8) $(D)/share/man/man8
	sed 's|@PREFIX@|$(PREFIX)|g' dist/airlock@.service > $(D)/lib/systemd/system/airlock@.service
	install -m 0644 dist/airlock@.socket $(D)/lib/systemd/system
	sed 's|@PREFIX@|$(PREFIX)|g' dist/50-airlock-net.json > $(D)/share/qemu/vhost-user/50-airlock-net.json

clean:
	rm -rf $(BUILD)

-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)
