# Every target sets up .venv first; that is repeated only when pyproject.toml changes.
# Another interpreter: make PYTHON=python3.12 test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DOCS_INSTALLED := $(VENV)/.installed-docs
HARNESS_INSTALLED := $(VENV)/.installed-harness
# Processes that share the tests, each and what it starts with one thread, so that they do not wait for each other:
# make WORKERS=8 test
WORKERS ?= 2
# Bytecode is kept: without it every process of the tests compiles all files anew
SHARED := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help install quickstart lint test test-all docs
.DELETE_ON_ERROR:

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: $(INSTALLED) ## Set up .venv with the package and its development tools

quickstart: $(INSTALLED) ## The main job on a real 135M model: fit, prune, evaluate, report
	$(BIN)/semprune study --config configs/study/quickstart.yaml

lint: $(INSTALLED) ## ruff (rules and format) and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint ## Lint, then all tests but the slow ones, on two cores
	$(SHARED) -m "not slow"

test-all: lint $(DOCS_INSTALLED) $(HARNESS_INSTALLED) ## Lint, then all tests: the slow ones, the harness, the site
	$(BIN)/pytest

docs: $(DOCS_INSTALLED) ## The documentation as a site, in site/index.html; broken links are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

$(DOCS_INSTALLED): $(INSTALLED)
	@echo "Installing what builds the documentation"
	@$(BIN)/python -m pip install --disable-pip-version-check --editable ".[docs]"
	@touch $@

$(HARNESS_INSTALLED): $(INSTALLED)
	@echo "Installing lm-evaluation-harness, which the slow tests compare with"
	@$(BIN)/python -m pip install --disable-pip-version-check --editable ".[dev,bench]"
	@touch $@

# An interrupted set-up leaves no stamp, and perhaps a .venv without pip: that one is made anew.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("semprune needs Python 3.11 or newer, this is %d.%d: make PYTHON=python3.12" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || { echo "[1/2] Creating $(VENV)"; $(PYTHON) -m venv --clear $(VENV); }
	@echo "[2/2] Installing semprune and what it needs into $(VENV) (some minutes the first time)"
	@$(BIN)/python -m pip install --disable-pip-version-check --editable ".[dev]"
	@touch $@
