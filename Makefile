# What one does here. `make help` lists it; every target works in a fresh clone.

PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help build check test test-clients test-databases demo bench install lab-up lab-down deps docs clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

build: ## both daemons, optimised, in target/release
	$(CARGO) build --release --workspace

check: ## what one runs before a commit: format, clippy without a warning, unit tests
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) test --quiet --workspace --lib --bins

test: ## everything; installs the Debian packages that it needs
	scripts/test

test-databases: ## PostgreSQL with Patroni, Redis with Sentinel, MariaDB and nginx behind the samples of etc/proxyd/samples
	scripts/deps databases
	$(CARGO) build -p proxyd
	$(CARGO) test -p testkit --test databases -- --nocapture

test-clients: ## clients of HAProxy (HATop, Ansible, munin, netdata, exporters, …) against proxyd and the genuine haproxy
	$(CARGO) build -p proxyd
	scripts/test-clients

demo: ## the chapter's set-up in network namespaces, dying piece by piece (KEEP=1 leaves it up)
	scripts/demo $(if $(KEEP),--keep)

bench: ## figures beside the genuine haproxy, when ../shared/bench is there
	scripts/bench

lab-up: build ## the laboratory, to play with (scripts/lab help)
	scripts/lab up
	@scripts/lab status

lab-down: ## the end of the laboratory
	scripts/lab down

deps: ## the Debian packages for tests and the laboratory
	scripts/deps test

docs: build ## regenerate docs/support.md from the keyword tables
	scripts/support-table

install: build ## PREFIX and DESTDIR are honoured; configuration files that exist are kept
	scripts/install "$(DESTDIR)" "$(PREFIX)"

clean: ## remove what was built
	$(CARGO) clean
