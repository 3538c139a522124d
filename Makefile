# Every command sets up what it needs; nothing is installed outside .venv and ~/.cache/predictive-scaler.
PYTHON ?= $(or $(shell for p in python3.11 python3.12 python3.13 python3; do command -v $$p && break; done),python3.11)
BIN := .venv/bin
READY := .venv/.ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --fork-strategy fewest --quiet --custom-compile-command "make lock"

# Compiled files are kept, whatever the shell says: else every run of the tests compiles all of them anew.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help setup toolchain demo test check slow e2e bench docs docs-serve manifests models lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv from the lock file

$(READY): requirements.lock requirements-setup.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "predictive-scaler needs Python 3.11 or later: install it, or call make PYTHON=/path/to/python3"; exit 1; }
	@echo "setup: making .venv from requirements.lock"
	@$(PYTHON) -m venv .venv
	@$(PIP) --require-hashes -r requirements-setup.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock || \
	  { echo "setup: uv could not; pip tries, which takes about two minutes"; $(PIP) --require-hashes -r requirements.lock; }
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

toolchain: setup ## Find or build etcd, Kubernetes, kwok, helm, a registry and Prometheus (once, about 20 minutes)
	@$(BIN)/python -m sandbox build

demo: toolchain ## Scale a real workload on a real control plane; about five minutes
	@$(BIN)/python -m sandbox.demo

test: check slow e2e ## All tests

check: setup ## Lint, types, layers and the fast tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/pytest -q -n 2 --dist loadfile -m "not e2e and not slow"

slow: setup ## The tests that need no cluster but fit models, start processes or wait
	@$(BIN)/pytest -q -n 2 --dist loadfile -m "slow and not e2e"

e2e: toolchain ## The tests on a real control plane and a real Prometheus
	@$(BIN)/pytest -q -m e2e

bench: setup ## Measure cost, forecasts and decisions beside their baselines
	@$(BIN)/python -m tests.bench.ticks
	@$(BIN)/python -m tests.bench.records
	@$(BIN)/python -m tests.bench.forecasts
	@$(BIN)/python -m tests.bench.anomalies
	@$(BIN)/python -m tests.bench.logs
	@$(BIN)/python -m tests.bench.fleet
	@$(BIN)/python -m tests.bench.aws
	@$(BIN)/python -m tests.bench.keda
	@$(BIN)/python -m tests.bench.shards
	@$(BIN)/python -m tests.bench.experiments
	@$(BIN)/python -m tests.bench.image
	@$(BIN)/python -m tests.bench.decisions
	@$(BIN)/python -m tests.bench.aws_predictive
	@$(BIN)/python -m tests.bench.coverage

docs: setup ## Build the documentation's site into out/site; a broken link is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "docs: out/site/index.html"

docs-serve: setup ## Serve it at http://127.0.0.1:8000, anew at every change
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve --strict --dev-addr 127.0.0.1:8000

manifests: toolchain ## Render manifests/install.yaml and the pages of reference
	@$(BIN)/python -m manifests

models: setup ## Make the shipped models anew
	@$(BIN)/predictive-scaler-train shipped --out models

lock: setup ## Resolve the dependencies anew
	@$(COMPILE) --all-extras --upgrade -o requirements.lock
	@$(COMPILE) --constraint requirements.lock -o requirements-controller.lock
	@$(COMPILE) --extra training --extra prophet --extra deep --constraint requirements.lock -o requirements-training.lock
	@echo uv | $(subst pyproject.toml,-,$(COMPILE)) --constraint requirements.lock -o requirements-setup.lock

clean: ## Remove what the commands above made in this folder
	@rm -rf .venv out dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
