# The commands a user and a contributor type. Everything they need is set up on the way.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
UV := .venv/bin/uv

.PHONY: help venv check env env-stop test test-unit

help:  ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(UV): 
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check uv==0.13.9

venv: .venv/.synced  ## the project's Python environment in .venv

.venv/.synced: uv.lock pyproject.toml | $(UV)
	$(UV) sync --quiet --locked --inexact --python .venv/bin/python
	@touch $@

check: venv  ## static checks: ruff, mypy --strict, import contracts, generated files
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python hack/generate --check

# Root on Debian has no usable Podman of its own: there the tests run in the environment of hack/env.
PYTEST := $(if $(filter 0,$(shell id -u)),hack/env run pytest -p no:cacheprovider,.venv/bin/pytest)

env: venv  ## the private environment with rootless Podman (root on Debian only)
	$(if $(filter 0,$(shell id -u)),hack/env sync)

test: env  ## all tests, those on real Podman included
	$(PYTEST)

test-unit: venv  ## the tests that need nothing but Python
	.venv/bin/pytest tests/unit

env-stop:  ## end every process of the private environment; data stay
	hack/env stop
