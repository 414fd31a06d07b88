# The project's commands. `make help` lists them; CI runs the same ones.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

SOURCE ?= landing
TARGET ?= dev
DB ?= dev
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)

# Nothing is written outside the checkout.
export UV_CACHE_DIR := $(CURDIR)/.cache/uv
export PIP_CACHE_DIR := $(CURDIR)/.cache/pip
export UV_PYTHON_DOWNLOADS := never
export PYTHONDONTWRITEBYTECODE := 1
export DBT_PROFILES_DIR := $(CURDIR)/profiles

RUN := .venv/bin/python -m

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: .venv/ready dbt_packages/ready ## tools, locked environment, dbt packages

.tools/ready: requirements/uv.txt
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11, 3.12 or 3.13 found; install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 2; }
	@mkdir -p .cache
	@$(PYTHON) -m venv --clear .tools >.cache/setup.log 2>&1 \
		|| { echo "error: $(PYTHON) cannot make a virtual environment ($$(tail -n 1 .cache/setup.log)); on Debian, install python3-venv" >&2; exit 2; }
	@.tools/bin/python -m pip install --quiet --require-hashes -r requirements/uv.txt >.cache/setup.log 2>&1 \
		|| { echo "error: uv could not be installed: is a Python package registry (PyPI or a mirror, see pip's index-url) reachable? Details: .cache/setup.log" >&2; exit 2; }
	@touch $@

.venv/ready: .tools/ready requirements/dbt.txt requirements/dev.txt
	@echo "Installing the locked environment .venv"
	@mkdir -p .cache
	@{ .tools/bin/uv venv --quiet --allow-existing --python $(PYTHON) .venv \
		&& .tools/bin/uv pip sync --quiet --require-hashes --python .venv/bin/python requirements/dbt.txt requirements/dev.txt; } >.cache/setup.log 2>&1 \
		|| { echo "error: .venv could not be installed: is a Python package registry (PyPI or a mirror, see UV_INDEX_URL) reachable? Details: .cache/setup.log" >&2; exit 2; }
	@printf '%s\nimport orchestration.warehouse.environment\n' "$(CURDIR)" \
		>"$$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/forex_warehouse.pth"
	@touch $@

dbt_packages/ready: .venv/ready packages.yml package-lock.yml $(shell find offline_packages -type f 2>/dev/null)
	@$(RUN) orchestration.warehouse.dbt_packages
	@touch $@

.PHONY: server
server: setup ## start the embedded PostgreSQL server (or use WAREHOUSE_HOST's) and provision it
	@test -n "$${WAREHOUSE_HOST:-}" || $(RUN) orchestration.warehouse.server start
	@$(RUN) orchestration.warehouse.provision

.PHONY: stop
stop: ## stop the embedded server
	@test ! -x .venv/bin/python || $(RUN) orchestration.warehouse.server stop
