# The project's commands. `make help` lists them; CI runs the same ones.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

SOURCE ?= orchestration/sample/customer_transactions.csv
TARGET ?= dev
DB ?= dev
BASE ?= origin/main
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)

# Nothing is written outside the checkout.
export UV_CACHE_DIR := $(CURDIR)/.cache/uv
export PIP_CACHE_DIR := $(CURDIR)/.cache/pip
# pip asks a Rust compiler, where there is one, for its version, and that makes a folder at home.
export RUSTUP_HOME := $(CURDIR)/.cache/rustup
export UV_PYTHON_DOWNLOADS := never
# Packages are compiled as they are installed: dbt starts in half the time.
export PYTHONDONTWRITEBYTECODE := 1
export DBT_PROFILES_DIR := $(CURDIR)/profiles

RUN := .venv/bin/python -m
# word_to_number compiles to deeply nested calls, deeper than Python lets sqlfluff's parser go.
SQLFLUFF := import sys; sys.setrecursionlimit(20000); from sqlfluff.cli.commands import cli; cli()

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
		&& .tools/bin/uv pip sync --quiet --compile-bytecode --require-hashes --python .venv/bin/python requirements/dbt.txt requirements/dev.txt; } >.cache/setup.log 2>&1 \
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

.PHONY: run
run: ## load SOURCE=file-or-folder, build TARGET=dev|pro, report
	@case "$(TARGET)" in dev|pro) ;; *) echo "error: TARGET is '$(TARGET)'; give dev or pro" >&2; exit 2;; esac
	@test -r "$(SOURCE)" || { echo "error: SOURCE is '$(SOURCE)', which does not exist or cannot be read; give a CSV file or a folder of them" >&2; exit 2; }
	@$(MAKE) server
	@started=$$(date -u +%Y-%m-%dT%H:%M:%SZ); \
		refused=0; $(RUN) orchestration.loader "$(SOURCE)" || refused=$$?; \
		case $$refused in 0|3) ;; *) exit $$refused;; esac; \
		outcome=0; .venv/bin/dbt build --target $(TARGET) || outcome=$$?; \
		test "$(TARGET) $$outcome" != "pro 0" || $(RUN) orchestration.slim_ci.state save state; \
		echo; $(RUN) orchestration.report --since "$$started"; \
		test $$refused = 0 || echo "error: not every file of $(SOURCE) was loaded; what was refused, and why, stands above" >&2; \
		exit $$(( outcome ? outcome : refused ))

.PHONY: slim-ci
slim-ci: setup ## what a pull request runs: build what differs from BASE=origin/main
	@$(RUN) orchestration.slim_ci.laptop --base "$(BASE)" --source "$(SOURCE)"

.PHONY: dev-slim
dev-slim: server ## build only your changes in dev, on top of pro as it was last built (state/)
	@$(RUN) orchestration.slim_ci.build --target dev

# The steps of .github/workflows/.
.PHONY: ci-state
ci-state: setup
	@$(RUN) orchestration.slim_ci.state dump state

.PHONY: ci-pro
ci-pro: server
	@{ test -f state/pro.dump && $(RUN) orchestration.slim_ci.state restore state; } \
		|| { echo "No state that fits: everything will be built, from $(SOURCE)"; \
			rm -f state/manifest.json; $(RUN) orchestration.loader "$(SOURCE)"; }

.PHONY: ci-build
ci-build: setup
	@$(RUN) orchestration.slim_ci.build --target ci

.PHONY: ci-drop
ci-drop: setup
	@$(RUN) orchestration.slim_ci.schemas drop "$${CI_SCHEMA_PREFIX:-}"

.PHONY: dsn
dsn: ## print a libpq connection string of DB=data_lake|dev|pro
	@test -x .venv/bin/python || { echo "error: nothing is installed yet; run: make run" >&2; exit 2; }
	@$(RUN) orchestration.warehouse.dsn "$(DB)"

.PHONY: lint
lint: setup ## ruff, mypy, sqlfluff, workflows, dbt parse with warnings as errors
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --quiet --check .
	@.venv/bin/mypy --no-error-summary --cache-dir .cache/mypy
	@.venv/bin/zizmor --offline --quiet --no-progress --min-severity medium .github
	@.venv/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@.venv/bin/check-jsonschema --quiet --builtin-schema vendor.github-actions .github/actions/*/action.yml
	@.venv/bin/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	@.venv/bin/dbt --quiet --warn-error parse --target ci
	@$(RUN) orchestration.warehouse.scratch .venv/bin/python -c '$(SQLFLUFF)' lint --nocolor --disable-progress-bar models tests \
		| { ! grep -vE '^(==.*(PASS|dbt templater)|All Finished)' >&2; }

.PHONY: new-source
new-source: setup ## begin a source NAME=refunds from a file SAMPLE=refunds.csv with the key KEY=refund_id
	@test -f "$(SAMPLE)" || { echo "error: SAMPLE is '$(SAMPLE)', which is no file; give a CSV file with a header: make new-source NAME=refunds SAMPLE=refunds.csv KEY=refund_id" >&2; exit 2; }
	@$(RUN) orchestration.new_source "$(NAME)" --sample "$(SAMPLE)" --key "$(KEY)"

.PHONY: docs
docs: server ## build the dbt documentation: target/static_index.html
	@.venv/bin/dbt --quiet docs generate --static --target $(TARGET)
	@$(RUN) orchestration.warehouse.docs target/static_index.html
	@echo "open target/static_index.html"

.venv/browser: .venv/ready requirements/browser.txt
	@.tools/bin/uv pip install --quiet --compile-bytecode --require-hashes --python .venv/bin/python -r requirements/browser.txt >.cache/setup.log 2>&1 \
		|| { echo "error: the browser's driver could not be installed: is a Python package registry (PyPI or a mirror, see UV_INDEX_URL) reachable? Details: .cache/setup.log" >&2; exit 2; }
	@touch $@

.PHONY: screenshots
screenshots: setup .venv/browser ## take the README's pictures of the pages, in headless Chromium
	@$(RUN) orchestration.warehouse.scratch $(MAKE) run docs
	@$(RUN) orchestration.report.screenshots

.PHONY: test
test: setup .venv/browser ## everything that needs no Docker; ends with pytest's summary line
	@$(MAKE) lint
	@.venv/bin/pytest

.PHONY: test-deep
test-deep: setup ## thousands of random histories and many crashes (hours)
	@HISTORIES=3000 CRASHES=200 .venv/bin/pytest orchestration/tests/dbt/test_any_history.py orchestration/tests/dbt/test_crashes.py

.venv-bench/ready: .tools/ready requirements/bench.txt
	@echo "Installing the locked environment .venv-bench"
	@{ .tools/bin/uv venv --quiet --allow-existing --python $(PYTHON) .venv-bench \
		&& .tools/bin/uv pip sync --quiet --compile-bytecode --require-hashes --python .venv-bench/bin/python requirements/bench.txt; } >.cache/setup.log 2>&1 \
		|| { echo "error: .venv-bench could not be installed: is a Python package registry (PyPI or a mirror, see UV_INDEX_URL) reachable? Details: .cache/setup.log" >&2; exit 2; }
	@touch $@

.PHONY: bench
bench: setup .venv-bench/ready ## measure speed into docs/benchmarks: STAGES="load build words peers" ROWS="100000 1000000" REPEAT=5
	@$(RUN) orchestration.bench $(STAGES) $(if $(ROWS),--rows $(ROWS)) $(if $(REPEAT),--repeat $(REPEAT))

.PHONY: clean
clean: stop ## remove what the commands made: server, environments, caches, builds
	@rm -rf .server .tools .venv .venv-airflow .venv-bench .cache .pytest_cache .hypothesis .mypy_cache .ruff_cache \
		dbt_packages logs target

.PHONY: lock
lock: .tools/ready ## compile requirements/*.in into the hashed locks beside them
	@for name in uv dbt dev browser airflow bench; do \
		test -f requirements/$$name.in || continue; \
		.tools/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
			--no-emit-index-url --no-emit-find-links requirements/$$name.in -o requirements/$$name.txt; \
	done

include orchestration/cluster.mk
