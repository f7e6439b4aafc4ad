# `make demo` and `make test` do everything on a new machine; `make help` lists the rest.
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev
# Two workers with two threads each fight for two cores; one thread each is twenty times faster.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS)

.DELETE_ON_ERROR:
.PHONY: help demo test test-slow fuzz soak kill regression notebooks lint types contracts format readme clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' Makefile

demo: $(RUN) ## simulate a scan, reconstruct it by all methods, compare them
	@$(BIN)/medrecon demo

test: $(DEV) lint types contracts ## every check, and every test that is not slow
	$(PYTEST) -m "not slow" --durations=5

test-slow: $(DEV) ## the tests that take longer than 20 seconds
	$(PYTEST) -m slow

kill: $(DEV) ## kill commands at a thousand random moments, seeded by the date, and look at what they leave (an hour)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.kills 1000

fuzz: $(DEV) ## damage 10,000 files by today's date, and count how the commands end with them
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz

soak: $(DEV) ## reconstruct 10,000 slices, and see that memory and open files stay as they are
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.soak

regression: $(DEV) ## measure the scores of tests/regression/numbers.yaml anew, and print what moved
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.regression

notebooks: $(DEV) ## run the notebooks anew, with what they print and draw
	OMP_NUM_THREADS=1 $(BIN)/python notebooks/build.py

lint: $(DEV) ## ruff: faults and format; codespell: American spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

types: $(DEV) ## mypy, strict
	$(BIN)/mypy

contracts: $(DEV) ## import-linter: imports run only downward
	$(BIN)/lint-imports

format: $(DEV) ## format the code, and mend what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

readme: $(DEV) ## write anew what README.md holds of figures: tables and picture
	$(BIN)/medrecon demo
	$(BIN)/python performance/update_picture.py
	$(BIN)/python performance/update_readme.py

clean: ## remove what these targets made
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "medrecon takes Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

# Stamps: nothing is installed again until what is to be installed changes.
$(RUN): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing medrecon into $(VENV): about a minute, and longer on a slow line."
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing medrecon and the tools of its tests into $(VENV): a minute or two, and longer on a slow line."
	$(PIP) install -c constraints.txt -e ".[dev]"
	@touch $(RUN) $@
