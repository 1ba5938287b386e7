# SPDX-License-Identifier: MIT OR Apache-2.0
# The two commands of the README: `make repro` and `make test`.

CARGO ?= cargo
# Architecture of the guests: `make repro ARCH=arm64`. Several for `make setup ARCH="arm64 riscv64"`.
ARCH := x86_64
# cargo-deny is installed here once, and only for `make deny`.
TOOLS := target/tools
DENY_VERSION := 0.20.2
# So is cargo-deb, for `make deb`.
DEB_VERSION := 3.8.0
# What judges the formats of reports, made anew when its list changes.
CONFORMANCE := reports/conformance
JUDGES := $(TOOLS)/conformance
# A source tree of Linux, for the parser of KTAP in it: the one that the end-to-end tests have fetched.
LINUX = $(firstword $(wildcard target/tmp/store/v*/sources/*/tree/tools/testing/kunit/kunit_parser.py))

.PHONY: repro test soak setup check unit end-to-end formats deny deb clean

# Compiling takes some minutes the first time: cargo shows how far it is.
repro: setup
	$(CARGO) build --release --locked --package swapstorm
	@$(CARGO) run --release --locked --quiet --package swapstorm -- repro --arch $(ARCH)

test: ARCH := x86_64 arm64 riscv64 tests
test: setup
	@sh host/timed.sh check $(MAKE) --no-print-directory check
	@sh host/timed.sh unit $(MAKE) --no-print-directory unit
	@sh host/timed.sh end-to-end $(MAKE) --no-print-directory end-to-end
	@sh host/timed.sh formats $(MAKE) --no-print-directory formats
	@sh host/timed.sh deny $(MAKE) --no-print-directory deny

# The long forms of what `test` shows shortly: many hours.
soak: ARCH := x86_64 arm64 riscv64
soak: setup
	$(CARGO) build --release --locked --package swapstorm
	@PATH="$(CURDIR)/target/release:$$PATH" sh harness/soak.sh
	@PATH="$(CURDIR)/target/release:$$PATH" sh harness/soak-killed.sh
	@PATH="$(CURDIR)/target/release:$$PATH" sh harness/soak-bisect.sh

# Installs what is missing (Debian), or says what to install (elsewhere).
setup:
	@sh host/setup.sh $(ARCH)

check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) clippy --workspace --test end_to_end --locked -- -D warnings

# Everything that needs neither QEMU nor a kernel source.
unit:
	$(CARGO) test --workspace --locked --quiet

# Real kernels in real QEMU. Guests wait a lot, so two tests run beside each other; with three, two processors have no more
# time to give, and guests starve.
# Of the whole workspace, as in `unit`: of one package, cargo would compile it and what it needs with other features once more.
end-to-end:
	$(CARGO) test --workspace --locked --test end_to_end -- --test-threads=2

# Reports, judged by the tools of those who read them. After end-to-end, which fetches a kernel's source.
formats: $(JUDGES)/made
	@[ -n "$(LINUX)" ] || { echo "formats: no source of Linux is in target/tmp/store: run make end-to-end first" >&2; exit 3; }
	$(CARGO) build --quiet --locked --workspace --bin swapstorm
	$(JUDGES)/bin/python -B $(CONFORMANCE)/check.py target/debug/swapstorm \
		$(LINUX:/tools/testing/kunit/kunit_parser.py=) target/conformance

$(JUDGES)/made: $(CONFORMANCE)/requirements.txt
	rm -rf $(JUDGES)
	virtualenv --quiet $(JUDGES)
	$(JUDGES)/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $<
	touch $@

deny:
	@[ -x $(TOOLS)/bin/cargo-deny ] || $(CARGO) install --locked --debug --no-default-features \
		--root $(TOOLS) cargo-deny@$(DENY_VERSION)
	$(TOOLS)/bin/cargo-deny --log-level warn check bans licenses sources

# target/debian/swapstorm_*.deb
deb:
	@[ -x $(TOOLS)/bin/cargo-deb ] || $(CARGO) install --locked --debug \
		--root $(TOOLS) cargo-deb@$(DEB_VERSION)
	$(CARGO) build --release --locked --package swapstorm
	@sh harness/package.sh target/release/swapstorm target/release/package
	$(TOOLS)/bin/cargo-deb --package swapstorm --no-build --locked

clean:
	$(CARGO) clean
	rm -rf out
