# The commands a user and a contributor type. Everything they need is set up on the way.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
UV := .venv/bin/uv

.PHONY: help venv check up down test test-unit test-podman-next test-guest bench clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(UV): 
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check uv==0.13.9

venv: .venv/.synced  ## the project's Python environment in .venv

# Root on Debian has no usable Podman of its own: there everything runs in the private environment of hack/env.
ROOT := $(filter 0,$(shell id -u))
PYTEST := $(if $(ROOT),hack/env run pytest -p no:cacheprovider,.venv/bin/pytest)

.venv/.synced: uv.lock pyproject.toml hack/xnai | $(UV)
	$(UV) sync --quiet --locked --inexact --python .venv/bin/python
	$(if $(ROOT),install -m 755 hack/xnai .venv/bin/xnai)
	@touch $@

check: venv  ## static checks: ruff, mypy --strict, import contracts, generated files
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python hack/generate.py --check

up: venv  ## set everything up, start the stack, wait until it is Ready
	.venv/bin/python hack/setup.py
	.venv/bin/xnai up

down: venv  ## stop everything; data stay
	.venv/bin/xnai down

test: venv  ## all tests, those on real Podman and the real API server included
	.venv/bin/python hack/setup.py --tests
	$(PYTEST)
	$(if $(ROOT),$(MAKE) --no-print-directory test-podman-next)

test-unit: venv  ## the tests that need nothing but Python
	.venv/bin/pytest tests/unit

test-podman-next: venv  ## the Podman tests on Debian's next release (root on Debian only)
	XNAI_SUITE=forky hack/env sync
	XNAI_SUITE=forky hack/env run pytest -q -p no:cacheprovider tests/podman tests/contract
	@echo "passed on the next Podman: $$(XNAI_SUITE=forky hack/env run podman --version)"
	XNAI_SUITE=forky hack/env stop

test-guest: venv  ## the tests that meet the limits of a whole machine, in one of their own (root on Debian only; an hour)
	hack/guest test

bench: venv  ## figures of the running stack beside their goals
	$(if $(ROOT),hack/env run python,.venv/bin/python) hack/bench/stack.py
	.venv/bin/python hack/bench/commands.py

clean: venv  ## delete all of it, persistent data included; says what and asks (YES=1: does not ask; CACHES=1: caches too)
	$(if $(ROOT),[ ! -d "$$(hack/env home)" ] ||) .venv/bin/xnai purge $(if $(YES),--yes) $(if $(CACHES),$(if $(ROOT),,--caches))
	$(if $(ROOT),hack/env clean && XNAI_SUITE=forky hack/env clean)
	$(if $(ROOT),$(if $(CACHES),rm -rf --one-file-system "$${XDG_CACHE_HOME:-$$HOME/.cache}/xnai"))
	rm -rf .venv
