# What there is to do, in one word each. Everything runs in .venv, which `install` makes.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo up down status logs test coverage test-pooler test-gateway simulate state-machine bench bench-wallet bench-webhooks bench-reconciliation rolling-restart load faults faults-controls crash-points monitoring-check lint secrets image-check compose-check chart-check restore-drill upgrade-check rolling-upgrade reference proto audit lock environment install

BIN := .venv/bin
# What runs compose.yaml.
COMPOSE ?= docker compose
# What `coverage` measures, and runs the tests of.
MEASURED := libs services sandbox ops loadtests
# What the wire is compared with: it may only be added to.
BASE ?= HEAD

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F '\t' '{printf "  make %-16s %s\n", $$1, $$2}'
	@echo
	@echo "  Several stacks side by side: RUN_DIR=/tmp/two PORT_BASE=22000 make up"

ifeq ($(STACK),compose)
demo: ## Start everything, take one real payment, show each step with its proof (GATEWAY=razorpay; STACK=compose: through compose.yaml, which is up)
	@$(COMPOSE) run --rm commdesk demo
else
demo: export DEFAULT_GATEWAY = $(GATEWAY)
demo: up
	@$(BIN)/commdesk demo
endif

up: environment ## Start the local stack and wait until it works
	@$(BIN)/commdesk up

down: ## Stop the local stack: no process and no open port is left
	@if [ -x $(BIN)/commdesk ]; then $(BIN)/commdesk down; fi

status: ## What runs, and whether it is ready
	@$(BIN)/commdesk status

logs: ## Follow the logs of all processes (one: .venv/bin/commdesk logs -f payment)
	@$(BIN)/commdesk logs --follow

test: install ## All tests, on engines of their own
	@ops/install.sh --monitoring
	@ops/install.sh --backup
	@ops/install.sh --documents
	@$(BIN)/commdesk test

coverage: install ## Measure which lines the unit and integration tests run (PATHS='libs services' for some of them)
	@ops/install.sh --backup
	@rm -rf .run/coverage && mkdir -p .run/coverage
	@COVERAGE=on $(BIN)/commdesk test $(or $(PATHS),$(MEASURED)) -q
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --skip-covered --sort=cover
	@for member in $(MEASURED); do printf '%-10s %s %%\n' $$member "$$($(BIN)/coverage report --include="$$member/*" --format=total)"; done

test-pooler: environment ## The end-to-end suite through a real PgBouncer in transaction mode, with TLS inside (INTERNAL_TLS=off without)
	@POOLER=on INTERNAL_TLS=$(or $(INTERNAL_TLS),on) $(BIN)/commdesk test tests/e2e

test-gateway: environment ## The journeys, bad days and storms of the end-to-end suite at another gateway (GATEWAY=razorpay)
	@DEFAULT_GATEWAY=$(or $(GATEWAY),razorpay) $(BIN)/commdesk test tests/e2e/test_journey.py tests/e2e/test_bad_days.py tests/e2e/test_storm.py

simulate: environment ## Thousands of simulated schedules, no engines (SEEDS=20000 FIRST=0; REPLAY=seed prints one)
	@$(BIN)/python -m tests.simulation $(if $(SEEDS),--seeds $(SEEDS)) $(if $(FIRST),--first $(FIRST)) $(if $(REPLAY),--replay $(REPLAY))

state-machine: environment ## Hundreds of histories of payments, refunds, disputes and settlements in any order, over PostgreSQL (EXAMPLES=, STEPS=)
	@EXAMPLES=$(or $(EXAMPLES),200) STEPS=$(or $(STEPS),50) $(BIN)/commdesk test -- tests/state_machine -q -k whatever

bench: environment ## Load the running stack, show what it carries and costs (PAYMENTS=, RATE=, ROUNDS=)
	@$(BIN)/python -m loadtests

bench-wallet: environment ## Millions of wallet transactions through the running stack (N=10000000, HOT=, KEEP=1)
	@$(BIN)/python -m loadtests.wallets

bench-webhooks: environment ## A storm of webhooks: what is accepted, what is turned away, and that nothing is lost (SECONDS=, RATE=)
	@$(BIN)/python -m loadtests.webhooks $(if $(SECONDS),--seconds $(SECONDS)) $(if $(RATE),--rate $(RATE))

bench-reconciliation: environment ## Reconcile 100,000 payments with planted faults, on engines of its own (PAYMENTS=)
	@$(BIN)/commdesk test -- services/reconciler/tests/bench/bench_reconciliation.py -s -q

rolling-restart: environment ## Restart every replica of a REPLICAS=2 stack in turn under payments: none may fail (RATE=100)
	@$(BIN)/python -m loadtests.restarts

load: environment ## Locust journeys against the running stack, headless (USERS=10 SECONDS=30, HOST= another edge)
	@$(BIN)/locust -f loadtests/locustfile.py --headless --only-summary --stop-timeout 40s \
	    --users $(or $(USERS),10) --spawn-rate $(or $(USERS),10) --run-time $(or $(SECONDS),30)s $(if $(HOST),--host $(HOST))

faults: environment ## Break a fleet of its own in every way, check that nothing is lost (NAMES='C* R68-*', or MINUTES=10 SEED=7; LANES=3 fleets at once)
	@ops/install.sh --clocks
	@$(BIN)/python -m tests.faults run $(foreach name,$(NAMES),'$(name)') $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(if $(LANES),--lanes $(LANES))

faults-controls: environment ## Take out one guard at a time: the checks must go red
	@$(BIN)/python -m tests.faults controls $(foreach name,$(NAMES),'$(name)')

crash-points: environment ## Kill each service after each effect that leaves it, and check (ONLY='settle consume:wallet', MINUTES=, PAIRS=20 SEED=7)
	@$(BIN)/python -m tests.faults crash-points $(foreach name,$(ONLY),--only '$(name)') $(if $(MINUTES),--minutes $(MINUTES)) $(if $(PAIRS),--pairs $(PAIRS)) $(if $(SEED),--seed $(SEED))

monitoring-check: environment ## Scrape the running stack with a real Prometheus under payments; every panel has data (SECONDS=90, CLIENTS=4; ALERTS=1 breaks the stack, sees the alerts, repairs it)
	@ops/install.sh --monitoring
	@$(BIN)/python -m ops.monitoring_check $(if $(SECONDS),--seconds $(SECONDS)) $(if $(CLIENTS),--clients $(CLIENTS)) $(if $(ALERTS),--alerts)

lint: install ## Style, types, and the contract's rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(wildcard libs/*/src services/*/src sandbox/src ops/src loadtests/src)
	MYPYPATH=ops/src:sandbox/src:loadtests/src $(BIN)/mypy --explicit-package-bases --follow-imports=silent tests/chart tests/images tests/faults tests/e2e tests/hardened tests/state_machine
	cd protos && ../$(BIN)/buf lint && ../$(BIN)/buf breaking --against '../.git#ref=$(BASE),subdir=protos'
	$(BIN)/commdesk openapi --against $(BASE)
	$(BIN)/python -m pytest -q tests/test_pipelines.py

secrets: install ## Look for credentials in the checkout (HISTORY=full: in every commit as well)
	@mkdir -p .run/cache
	@XDG_CACHE_HOME=.run/cache $(BIN)/kingfisher scan . --quiet --redact --no-validate --no-update-check \
	    --exclude .venv --exclude .run $(if $(filter full,$(HISTORY)),--git-history full --confidence high,--git-history none)

image-check: install ## Lint and build every image, run payment's confined on real engines, without a registry (SERVICES='payment wallet')
	@ops/install.sh --containers
	@$(BIN)/python -m tests.images check $(SERVICES)

chart-check: install ## Play the chart's manifests on the container runtime of this machine, with the demo's payment
	@ops/install.sh --containers
	@$(BIN)/python -m tests.images chart

compose-check: install ## Take the demo's payment through compose.yaml on the container runtime of this machine
	@ops/install.sh --containers
	@$(BIN)/python -m tests.images compose

restore-drill: environment ## Lose a stack of its own under load, restore it from its backup into another, check (SECONDS_AFTER=80: from the backup to the loss)
	@ops/install.sh --backup
	@$(BIN)/commdesk restore-drill $(if $(SECONDS_AFTER),--seconds-after $(SECONDS_AFTER))

upgrade-check: environment ## Start a released version, pay, start this one on its data, pay again, check (FROM=v1.0.0)
	@$(BIN)/python -m tests.upgrades at-rest $(FROM)

rolling-upgrade: environment ## Replace a released version by this one under payments, one replica at a time, and bring it back (FROM=v1.0.0 RATE=30)
	@$(BIN)/python -m tests.upgrades rolling $(FROM)

reference: environment ## Write docs/reference (API, OpenAPI, errors, events, metrics, permissions, settings) and monitoring/dashboards anew from the code
	$(BIN)/commdesk openapi

proto: environment ## Regenerate what is derived: protos/gen, the README's table of services, traefik/routes.yml, helm/files, compose.yaml
	PATH="$(CURDIR)/$(BIN):$$PATH" protos/generate.sh
	$(BIN)/python -m ops.service_table
	$(BIN)/python -m ops.edge_routes
	$(BIN)/python -m ops.chart_tables
	$(BIN)/python -m ops.compose_file

audit: environment ## Ask a public feed for known weaknesses of the locked libraries (OSV_URL= a mirror); says so when none can be reached
	@$(BIN)/python -m ops.audit

lock: ## Compile the three locks from the manifests
	$(BIN)/python -m ops.compile_lock

environment: ## Install what the local stack needs and lacks: system packages, then .venv
	@ops/install.sh

install: environment ## Install what all targets need: besides that, the checks of chart, image and pipelines
	@ops/install.sh --checks
