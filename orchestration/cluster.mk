# The cluster's commands; part of the Makefile.
# OBSERVE adds metrics and dashboards (1), the metrics alone (metrics), or logs as well (all).
OBSERVED_1 := metrics dashboards
OBSERVED_metrics := metrics
OBSERVED_all := metrics dashboards logs
compose = docker compose -f orchestration/docker-compose.yml \
	$(foreach part,$(1),-f orchestration/observability/$(part).yml)
COMPOSE := $(call compose,$(OBSERVED_$(OBSERVE)))
AIRFLOW_PORT ?= 8080
export AIRFLOW_PORT

# CITUS=1: the warehouse is a cluster of databases, with as many workers as Airflow has.
ifdef CITUS
CITUS_WORKERS := .cache/docker-compose.citus-workers.json
CITUS_FILES := -f orchestration/docker-compose.citus.yml -f $(CITUS_WORKERS)
COMPOSE += $(CITUS_FILES)
export WORKERS ?= 3
# The lake is a schema of it, there (docs/decisions/0011).
export LAKE_DATABASE := pro

up down state rebalance: $(CITUS_WORKERS)
.PHONY: $(CITUS_WORKERS)
$(CITUS_WORKERS):
	@mkdir -p $(@D)
	@$(PYTHON) -m orchestration.cluster.citus_workers "$(WORKERS)" >$@

.PHONY: rebalance
rebalance: ## with CITUS=1: spread the shards evenly, after workers were added
	@$(COMPOSE) run --rm provision 'install -m 600 /run/secrets/pgpass_provision /run/forex/pgpass \
		&& exec python -m orchestration.warehouse.citus'

rotate: refuse-to-rotate
.PHONY: refuse-to-rotate
refuse-to-rotate:
	@echo "error: the passwords of a Citus cluster's worker nodes are not rotated by this command" >&2; exit 2
endif

.PHONY: secrets
secrets: ## make the cluster's passwords and keys, where there are none yet
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11, 3.12 or 3.13 found; install one, or name it: PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PYTHON) -m orchestration.cluster.make_secrets

.PHONY: up
up: secrets ## start the cluster and wait until it is healthy (WORKERS=3, AIRFLOW_PORT=8080, OBSERVE=1)
	@test -z "$(OBSERVE)" -o -n "$(OBSERVED_$(OBSERVE))" || { echo "error: OBSERVE is '$(OBSERVE)'; give 1, metrics or all" >&2; exit 2; }
	@docker compose version >/dev/null 2>&1 || { echo "error: no container engine with Compose v2 answers; install Docker, or use 'make airflow' without it" >&2; exit 2; }
	@mkdir -p landing
	@DOCKER_BUILDKIT=1 $(COMPOSE) build --quiet dbt airflow-init
	@$(COMPOSE) up --detach --wait --wait-timeout 600 --quiet-pull \
		|| { echo "error: the cluster did not become healthy; see: $(COMPOSE) ps --all; $(COMPOSE) logs" >&2; exit 1; }
	@echo "Airflow: http://127.0.0.1:$(AIRFLOW_PORT), user admin, password in orchestration/secrets/airflow_admin_password"
	@test -z "$(OBSERVE)" || echo "Metrics and dashboards: docs/operations/observability.md"
	@echo "Put CSV files into landing/; the DAG forex__customer_transactions__hourly takes them."

.PHONY: down
down: ## stop the cluster; what it stored stays (down VOLUMES=1 deletes that too)
	@$(call compose,$(OBSERVED_all)) $(CITUS_FILES) down --remove-orphans $(if $(VOLUMES),--volumes)

.PHONY: rotate
rotate: ## make all of the running cluster's passwords and keys anew
	@$(PYTHON) -m orchestration.cluster.make_secrets --rotate
	@$(COMPOSE) up --detach --wait --force-recreate

.PHONY: state
state: ## fetch the state of pro that the cluster published for Slim CI: state/
	@mkdir -p state
	@for name in manifest.json dbt_project.yml landing.sql; do $(COMPOSE) cp "dbt:/srv/published/$$name" state/; done

.PHONY: test-cluster
test-cluster: setup ## the cluster's end-to-end test, on a real container engine
	@orchestration/cluster/test.sh

.venv-airflow/ready: .tools/ready requirements/airflow.txt
	@echo "Installing the locked environment .venv-airflow"
	@mkdir -p .cache
	@{ .tools/bin/uv venv --quiet --allow-existing --python $(PYTHON) .venv-airflow \
		&& .tools/bin/uv pip sync --quiet --compile-bytecode --require-hashes --python .venv-airflow/bin/python requirements/airflow.txt; } >.cache/setup.log 2>&1 \
		|| { echo "error: .venv-airflow could not be installed: is a Python package registry (PyPI or a mirror, see UV_INDEX_URL) reachable? Details: .cache/setup.log" >&2; exit 2; }
	@touch $@

# The tests run the DAGs.
test: .venv-airflow/ready

.PHONY: airflow
airflow: .venv-airflow/ready server ## the same DAGs without containers, for development (ends with Ctrl-C)
	@$(RUN) orchestration.cluster.standalone
