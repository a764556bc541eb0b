# Two commands do everything: `make demo` and `make test`.
# Python, Java and Maven are the only needs of a fresh machine; `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.built

.DEFAULT_GOAL := help

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 16

build: $(STAMP) ## the environment only: .venv with the coursepay script, from hashed lock files

$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "coursepay needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: build ## real payments through a real Kafka and PostgreSQL, with failures, and a ledger at the end
	$(BIN)/coursepay demo

up: build ## the whole system in the foreground, with URLs and curl lines
	$(BIN)/coursepay up

down: build ## stops what `make up` or `coursepay stack up` started
	$(BIN)/coursepay stack down

check: build ## lint, types, tidy and schema compatibility, without any server
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/coursepay schemas check
	$(BIN)/pytest -q tests/test_tidy.py

test: build ## every test, against a real Kafka and a real PostgreSQL
	$(BIN)/pytest -m "not docker and not tools"

test-docker: build ## the local stack on Docker through testcontainers, and the SQL tests on its PostgreSQL
	COURSEPAY_STACK=docker $(BIN)/pytest -m docker

test-tools: build ## what needs promtool (deploy/apt-packages.sh installs it)
	$(BIN)/pytest -m tools

lock: ## renews both lock files (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q --extra dev pyproject.toml -o requirements-dev.lock

clean: ## removes the environment and the local state
	rm -rf $(VENV) .coursepay build ./*.egg-info

.PHONY: help build demo up down check test test-docker test-tools lock clean
