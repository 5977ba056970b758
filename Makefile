# make demo    install and show the whole way with real payloads
# make test    install and pass every check (TESTERS=)
# make faults  200 seeded runs of the crash matrix (RUNS=, SEED=, ENGINE=both|sqlite|postgresql, JOBS=)
# make bench-smoke  every benchmark once, at a size at which only its books say something
PYTHON ?= python3
# a test starts hundreds of processes, each of which would compile every module anew
unexport PYTHONDONTWRITEBYTECODE
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: help demo test check lint types structure unit browser faults bench-smoke install lock clean

help:
	@sed -n 's/^# //p' Makefile

demo: $(VENV)/.installed
	$(BIN)/crm-bridge demo

# mypy takes a core to itself for a while, so the tests begin meanwhile; what it found is said last.
test: lint structure
	@$(BIN)/mypy > $(VENV)/types.txt 2>&1 & types=$$!; \
	$(MAKE) --no-print-directory unit; tests=$$?; \
	wait $$types; found=$$?; cat $(VENV)/types.txt; exit $$((tests | found))

check: lint types structure

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

structure: $(VENV)/.installed-dev
	$(BIN)/lint-imports

# Two for each core: a test that runs processes waits for nearly half of its time.
TESTERS ?= $(shell $(PYTHON) -c 'import os; print(min(8, os.cpu_count() * 2))')
unit: $(VENV)/.compiled browser
	$(BIN)/crm-bridge mapping check --strict
	$(BIN)/crm-bridge mapping test
	$(BIN)/pytest -q -n $(TESTERS) --dist worksteal

# The console is tested in a Chromium of the system; without one those tests are skipped, loudly.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	  { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium; } >/dev/null; } || \
	  echo "!!! There is no chromium, so the console will not be tested in a browser. Install it: apt-get install chromium"

RUNS ?= 200
SEED ?= 1
ENGINE ?= both
JOBS ?= 2
faults: $(VENV)/.installed-dev
	PYTHONPATH=tests $(BIN)/python -m faults.matrix --runs $(RUNS) --seed $(SEED) --engine $(ENGINE) --jobs $(JOBS)

bench-smoke: $(VENV)/.installed-dev
	BRIDGE_TEST_BENCHMARKS=all $(BIN)/pytest -q tests/benchmarks

install: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "crm-bridge needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	touch $@

# Of other people's clients the tests use a few modules of thousands, so what is used is compiled then.
$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	$(BIN)/python -m pip install -q --no-compile --disable-pip-version-check --require-hashes -r requirements-dev.lock
	touch $@

LOCK = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
       --no-emit-index-url --no-annotate -q
lock:
	$(BIN)/python -m pip install -q uv
	$(LOCK) pyproject.toml -o requirements.lock
	$(LOCK) --extra dev pyproject.toml -o requirements-dev.lock

# Testers that find nothing compiled all compile everything; what is wrong is told by the tests.
$(VENV)/.compiled: $(VENV)/.installed-dev
	$(BIN)/pytest -q --collect-only > /dev/null || true
	touch $@

clean:
	rm -rf $(VENV) demo-data .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
