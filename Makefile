# Airlock: `make` builds, `make check` tests, `make demo` shows. One list of sources per program; every other rule is
# generic. Debian packages that are missing are installed by the first rule that needs them, which says so.

VERSION  := 0.1.0
PREFIX   ?= /usr
BUILD    ?= build
SANITIZE ?=
CC       ?= gcc
CLANG    ?= clang

# ---- sources: one list per archive, then the programs ----------------------------------------------------------------

lib_SRC      := $(wildcard lib/*.c)
policy_SRC   := $(wildcard policy/*.c)
seccomp_SRC  := $(filter-out seccomp/main.c,$(filter-out %.bpf.c,$(wildcard seccomp/*.c)))
device_SRC   := $(filter-out device/main.c,$(wildcard device/*.c))
broker_SRC   := $(filter-out broker/main.c broker/ctl.c,$(filter-out %.bpf.c,$(wildcard broker/*.c)))
support_SRC  := $(wildcard tests/support/*.c)
bpf_SRC      := $(wildcard */*.bpf.c)
ROOMS        := lib policy seccomp device broker tests/support

# program = main file : archives : libraries : link flags
PROGRAMS     := airlock-device airlock-broker airlock-ctl airlock-policy
airlock-device_MAIN := device/main.c
airlock-device_AR   := device lib
airlock-device_LINK  = $(if $(SANITIZE),-pie,-static-pie)
airlock-broker_MAIN := broker/main.c
airlock-broker_AR   := broker seccomp policy lib
airlock-broker_LIBS := -lseccomp -lcap -lbpf -ljansson
airlock-ctl_MAIN    := broker/ctl.c
airlock-ctl_AR      := lib
airlock-ctl_LIBS    := -ljansson
airlock-policy_MAIN := seccomp/main.c
airlock-policy_AR   := seccomp policy lib
airlock-policy_LIBS := -lseccomp -lbpf -ljansson

# ---- flags -----------------------------------------------------------------------------------------------------------

WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
           -Wpointer-arith -Wcast-align -Wwrite-strings -Wvla -Wformat=2 -Wundef -Wswitch-enum
HARDEN  := $(if $(SANITIZE),,-D_FORTIFY_SOURCE=2) -fstack-protector-strong -fstack-clash-protection -fno-common \
           $(if $(findstring x86_64,$(shell uname -m)),-fcf-protection)
SANFLAGS = $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all -DAIRLOCK_SANITIZE)
CFLAGS  ?= -O2 -g
ALLFLAGS = -std=gnu17 -D_GNU_SOURCE -DAIRLOCK_VERSION='"$(VERSION)"' -DAIRLOCK_PREFIX='"$(PREFIX)"' \
           -I. -I$(OBJ)/gen $(WARN) $(HARDEN) $(SANFLAGS) -fPIE -pthread $(CFLAGS)
LDALL    = -pthread -Wl,-z,relro,-z,now,-z,noexecstack $(SANFLAGS) $(LDFLAGS)

# Sanitizer builds live beside the plain one: build/address,undefined/...
OBJ := $(BUILD)/obj$(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))
BIN := $(BUILD)/bin$(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))
comma := ,

.PHONY: all check demo bench fuzz lint install clean deps
.SECONDARY:
.DELETE_ON_ERROR:
all: $(PROGRAMS:%=$(BIN)/%) policies

# ---- archives and programs -------------------------------------------------------------------------------------------

objs = $(patsubst %.c,$(OBJ)/%.o,$(1))
$(OBJ)/%.o: %.c | $(OBJ)/.deps
	@mkdir -p $(@D)
	$(CC) $(ALLFLAGS) -MMD -MP -c -o $@ $<

define archive
$(OBJ)/lib$(subst /,-,$(1)).a: $(call objs,$($(notdir $(1))_SRC))
	@rm -f $$@
	ar rcs $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call archive,$(r))))

define program
$(BIN)/$(1): $(call objs,$($(1)_MAIN)) $($(1)_AR:%=$(OBJ)/lib%.a)
	@mkdir -p $$(@D)
	$$(CC) $$(LDALL) $$(or $$($(1)_LINK),-pie) -o $$@ $$^ $$($(1)_LIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

POLICIES := $(wildcard policy/*.policy)
policies: $(POLICIES:policy/%=$(BUILD)/share/airlock/policy/%)
$(BUILD)/share/airlock/policy/%: policy/%
	@mkdir -p $(@D)
	install -m 0644 $< $@

# ---- generated -------------------------------------------------------------------------------------------------------

# eBPF: CO-RE objects become skeletons; nothing of clang's is needed at run time.
$(OBJ)/gen/%.skel.h: %.bpf.c | $(OBJ)/.deps
	@mkdir -p $(@D)
	$(CLANG) -target bpf -mcpu=v3 -g -O2 -Wall -Werror -D__TARGET_ARCH_$(if $(findstring x86_64,$(shell uname -m)),x86,arm64) \
		-I/usr/include/$(shell $(CC) -print-multiarch) -I. -MMD -MP -MT $@ -c -o $(@:.skel.h=.bpf.o) $<
	bpftool gen skeleton $(@:.skel.h=.bpf.o) name $(notdir $*)_bpf > $@
$(foreach r,seccomp broker,$(eval $(call objs,$($(r)_SRC)): | $(patsubst %.bpf.c,$(OBJ)/gen/%.skel.h,$(filter $(r)/%,$(bpf_SRC)))))

# ---- tests: tests/unit/ROOM/test_MODULE.c links its room's archive and lib -------------------------------------------

UNIT := $(wildcard tests/unit/*/test_*.c)
unit_room = $(word 3,$(subst /, ,$(1)))
unit_AR_lib      := lib
unit_AR_policy   := policy lib
unit_AR_seccomp  := seccomp policy lib
unit_AR_device   := device lib
unit_AR_broker   := broker seccomp policy lib
unit_LIBS_seccomp := -lseccomp -lbpf -ljansson
unit_LIBS_broker  := -lseccomp -lcap -lbpf -ljansson
define unit
$(OBJ)/$(1:%.c=%): $(call objs,$(1)) $(patsubst %,$(OBJ)/lib%.a,$(unit_AR_$(call unit_room,$(1))))
	$$(CC) $$(LDALL) -pie -o $$@ $$^ $(unit_LIBS_$(call unit_room,$(1))) -lcmocka
endef
$(foreach t,$(UNIT),$(eval $(call unit,$(t))))
unit: $(UNIT:%.c=$(OBJ)/%)

# ---- Debian packages -------------------------------------------------------------------------------------------------

DEB_BUILD := libseccomp-dev libcap-dev libbpf-dev libjansson-dev libcmocka-dev bpftool clang pkg-config
$(OBJ)/.deps:
	@mkdir -p $(@D)
	@missing=; for p in $(DEB_BUILD); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then echo "airlock: installing Debian packages:$$missing"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi
	@touch $@

clean:
	rm -rf $(BUILD)

-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)
