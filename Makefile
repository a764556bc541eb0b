# Two commands do everything: `make demo` and `make test`.
# Python, Java and Maven are the only needs of a fresh machine; `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Test processes, each with a stack of its own: most tests wait for a tier or a timeout.
WORKERS ?= 3
# Holds the path that the environment was built for: its scripts name it, so a moved checkout needs a new one.
STAMP := $(VENV)/.built

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: build ## real payments through a real Kafka and PostgreSQL, with failures, and a ledger at the end
	@$(BIN)/coursepay demo

test: build ## every test, against a real Kafka and a real PostgreSQL
	$(BIN)/pytest -m "not docker and not tools" --numprocesses $(WORKERS) --dist loadfile

chaos: build ## kill, pause and cut everything over many seeds (SEEDS=20), or over one again (SEED=7)
	$(BIN)/pytest tests/chaos $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),20))

fuzz: build ## mutants of all that comes from outside (MUTANTS=10000000), generated requests (CASES=50000); an hour
	$(BIN)/python -m tests.fuzz --mutants $(or $(MUTANTS),10000000)
	COURSEPAY_TEST_REQUESTS=$(or $(CASES),50000) $(BIN)/pytest --timeout 7200 -k generated_requests \
		tests/contract/http/test_the_document_is_the_api.py

outage: build ## Kafka away for long while payments go on, and everything in order afterwards (MINUTES=10)
	COURSEPAY_TEST_OUTAGE_S=$$((60 * $(or $(MINUTES),10))) $(BIN)/pytest -k published_in_order_after_an_outage \
		tests/integration/gateway/test_kafka_away_and_back_keeps_each_order_in_order.py

bench-engine: build ## how fast Kafka is drained, beside a bare loop (RECORDS=100000 ROUNDS=5); some minutes
	$(BIN)/python -m bench.bench_engine --records $(or $(RECORDS),100000) --rounds $(or $(ROUNDS),5)

bench-assignment: build ## how fast and how well trainers are assigned, at 10,000 and 100,000 trainers; some minutes
	$(BIN)/python -m bench.bench_assignment --seeds $(or $(SEEDS),3) --decisions $(or $(DECISIONS),2000)

bench-gateway: build ## confirmations in a second, beside a hello-world and a naive build (ROUNDS=5)
	$(BIN)/python -m bench.bench_gateway --rounds $(or $(ROUNDS),5)

bench-outbox: build ## from commit to Kafka's acknowledgement at 500 payments a second (ROUNDS=3); some minutes
	$(BIN)/python -m bench.bench_outbox --rounds $(or $(ROUNDS),3)

bench-memory: build ## whether memory stays flat, of a worker alone and of the whole system (MINUTES=60): twice that
	$(BIN)/python -m bench.bench_memory --minutes $(or $(MINUTES),60)

up: build ## the whole system in the foreground, with URLs and curl lines
	@$(BIN)/coursepay up

down: build ## stop what `make up` or `coursepay stack up` started
	@$(BIN)/coursepay stack down

build: $(STAMP) ## the environment only: .venv with the coursepay script, from hashed lock files

check: build ## lint, types, tidy and schema compatibility, without any server
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/coursepay schemas check
	$(BIN)/pytest -q tests/test_tidy.py

test-tools: build ## what needs promtool and prometheus (deploy/apt-packages.sh installs them)
	$(BIN)/pytest -m tools

test-docker: build ## the local stack on Docker through testcontainers, and the SQL tests on its PostgreSQL
	COURSEPAY_STACK=docker COURSEPAY_KAFKA_BOOTSTRAP_SERVERS= COURSEPAY_DATABASE_URL= \
		$(BIN)/pytest tests/docker tests/integration/sql tests/integration/assignment

image: ## the container image coursepay:local (needs Docker)
	docker build --file deploy/Dockerfile --tag coursepay:local .

compose-up: image ## the whole system in containers, with a catalogue to buy from (needs Docker)
	docker compose --file deploy/compose.yaml up --detach --wait
	docker compose --file deploy/compose.yaml ps

docker-up: compose-up ## compose-up, and then a paid order with its trainer and its trace
	docker compose --file deploy/compose.yaml exec -T sandbox coursepay sandbox buy \
		--gateway-url http://gateway:8080 --sandbox-url http://127.0.0.1:8080

compose-down: ## stop those containers; their data stays (to remove it: docker compose -f deploy/compose.yaml down -v)
	docker compose --file deploy/compose.yaml down

sbom: build ## build/sbom.cdx.json: what the image holds besides our code, as CycloneDX (for a scanner of your choice)
	@mkdir -p build
	$(BIN)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible \
		--output-format JSON --validate --output-file build/sbom.cdx.json

dashboards: build ## renew the dashboards of deploy/grafana/
	$(BIN)/python -m deploy.grafana.generate

pictures: build ## renew docs/pictures/, drawn from the panels' queries on a real run (needs prometheus); four minutes
	$(BIN)/python -m tests.pictures docs/pictures

kubernetes: build ## renew the manifests of deploy/kubernetes/ that follow from the code
	$(BIN)/python -m deploy.kubernetes.generate

pages: build ## renew the pages of docs/ that are made from the code
	$(BIN)/python -m services.operations.pages docs

lock: ## renew both lock files (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q --extra dev pyproject.toml -o requirements-dev.lock

clean: ## remove the environment and the local state
	rm -rf $(VENV) .coursepay build ./*.egg-info

# A path of another checkout in the stamp means that this directory was moved or copied.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

$(STAMP): requirements-dev.lock pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { echo "coursepay needs Python 3.11 or newer; there is no $(PYTHON)" >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "coursepay needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 2; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) lacks venv or ensurepip; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@echo "building $(VENV) (about half a minute; once, and whenever the lock changes)"
	@if test "$$(cat $(STAMP) 2>/dev/null)" = "$(CURDIR)" && $(BIN)/python -c '' 2>/dev/null; then :; else "$(PYTHON)" -m venv --clear $(VENV); fi
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@printf '%s' "$(CURDIR)" > $(STAMP)

.PHONY: help demo test chaos fuzz outage bench-engine bench-assignment bench-gateway bench-outbox bench-memory up down build check test-tools test-docker image compose-up docker-up compose-down sbom dashboards pictures kubernetes pages lock clean
