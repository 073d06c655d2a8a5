# Targets for people. `make help` lists them; `make demo` and `make test` do all the set-up.
PYTHON ?= $(shell for p in python3.13 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.13*/bin/python3.13 "$$(uv python find 3.13 2>/dev/null)" python3; do "$$p" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null && { echo "$$p"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TOOLS := node_modules/.installed
CHROMIUM := /usr/bin/chromium
JSON ?=
BENCH ?=
WORKERS ?= 4

.DEFAULT_GOAL := help
.PHONY: help setup demo up test test-all check check-infra bench conformance conformance-az package clean

help: ## Lists the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 20

setup: $(STAMP) $(TOOLS) ## Creates .venv (Python 3.13) and the storage emulator

$(STAMP): requirements.txt requirements/ops.txt requirements/dev.txt
	@test -n "$(PYTHON)" || { echo "Python 3.13 is missing: install it (pyenv install 3.13, or uv python install 3.13) or run make PYTHON=/path/to/python3.13"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing Python packages (about a minute the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt -r requirements/ops.txt -r requirements/dev.txt
	@touch $@

$(TOOLS): package-lock.json
	@command -v node >/dev/null || { echo "Node 20 is missing (it runs Azurite, the storage emulator): install it, e.g. apt-get install nodejs npm"; exit 1; }
	@echo "installing the storage emulator"
	@npm ci --no-audit --no-fund --silent
	@touch $@

$(CHROMIUM):
	@echo "installing Chromium for the browser tests"
	@{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || { echo "Chromium is missing (the browser tests drive it): apt-get install chromium"; exit 1; }

demo: setup ## Plays the main job: VMs are created, enrolled, or their owners told why not
	@$(BIN)/python -m demo $(if $(JSON),--json $(JSON)) $(ARGS)

up: setup ## Keeps the demo's Azure running with the app in it, to play with
	@mkdir -p build/up && $(BIN)/python -m demo.scenario > build/up/seed.json
	@$(BIN)/python -m simulator up --seed build/up/seed.json --rules demo/rules.yaml --speed 10 --ready build/up/ready.json --env build/up/env --set LOCAL_SIGN_IN=simulated $(ARGS)

test: setup $(CHROMIUM) ## Runs the tests (under five minutes)
	@COLUMNS=400 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile $(ARGS)

test-all: setup $(CHROMIUM) ## Runs the tests with every cell of the big matrices
	@COLUMNS=400 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --all-cells $(ARGS)

check-infra: setup ## Scans infra/ with checkov (in an environment of its own)
	@$(BIN)/python -m tests.infra.scan

check: setup ## Lint, format, types, import contracts, requirements
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup ## Runs the benchmarks, or one: make bench BENCH=burst JSON=FILE
	@$(BIN)/python -m bench $(BENCH) $(if $(JSON),--json $(JSON)) $(ARGS)

conformance: setup ## Holds simulator and adapters against recorded reality
	@$(BIN)/python -m pytest -q tests/conformance tests/contract/test_azure_ports.py $(ARGS)

conformance-az: setup ## Drives the simulator with the real az (installs it in .venv-az)
	@$(BIN)/python -m tests.conformance.az $(ARGS)
	@$(BIN)/python -m pytest -q --az -m real_az tests/e2e

package: setup ## Builds the deployment package; its path is the last line
	@$(BIN)/python -m packaging_tools.build $(ARGS)

clean: ## Removes what setup and tests made
	rm -rf $(VENV) .venv-* node_modules build .mypy_cache .ruff_cache .hypothesis
