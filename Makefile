# `make run` and `make test` need Python 3.11 or newer, make and the package index; nothing else has to be installed.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

# A stamp carries its lock file's checksum, so that an unchanged lock installs nothing.
checksum = $(firstword $(shell cksum < $(1)))
RUN_STAMP := $(VENV)/.run-$(call checksum,requirements/base.txt)
TEST_STAMP := $(VENV)/.test-$(call checksum,requirements/dev.txt)

.PHONY: run test lint format lock chaos bench clean

## Start the service: console, gateway, worker and sandbox. HOST, PORT and the rest come from the environment.
run: export TIKHUB_SANDBOX ?= 1
run: $(RUN_STAMP)
	@exec $(BIN)/python -m project.supervisor

## Everything that has to hold: the checkers, then the suite on SQLite, then its in-process part on PostgreSQL.
# Browser tests go apart: Playwright keeps an event loop running in its process.
test: lint
	$(BIN)/python -m pytest -m "not browser"
	$(BIN)/python -m pytest -m browser
	$(BIN)/python -m tests.on_postgres

lint: $(TEST_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run --settings tests.settings

format: $(TEST_STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

## Thousands of calls with faults and killed processes; compares the sandbox's bill with the ledger.
chaos: $(TEST_STAMP)
	$(BIN)/python -m tests.chaos

## Side by side with other gateways, in an environment of its own; see bench/README.md.
bench: $(RUN_STAMP)
	PYTHON="$(PYTHON)" bench/run

## Resolve requirements/*.in anew (needs uv).
lock:
	uv pip compile $(LOCK_OPTIONS) requirements/base.in -o requirements/base.txt
	uv pip compile $(LOCK_OPTIONS) requirements/dev.in -c requirements/base.txt -o requirements/dev.txt

LOCK_OPTIONS := --upgrade --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer was not found; name it: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name it: make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/base.txt
	@rm -f $(VENV)/.run-*
	@touch $@

$(TEST_STAMP): $(RUN_STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@rm -f $(VENV)/.test-*
	@touch $@
