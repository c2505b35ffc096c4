# `make demo` and `make test` set everything up by themselves: .venv is made when missing or stale.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp

.DEFAULT_GOAL := help
.PHONY: help setup demo test check coverage bench proofs course-weights reliability fuzz clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: $(STAMP) ## install convscope and its tools into .venv

# torch first and pinned; then the rest, which then finds torch in place and pulls no other build.
$(STAMP): pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (once; a few minutes)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "convscope needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch' constraints.txt)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

demo: $(STAMP) ## train LeNet-5 on the built-in digits and show what it made
	@$(BIN)/convscope demo

# One process per core, and one thread per process: more threads than cores wait for each other. Tests that are about
# threads set their number themselves.
test: check ## check, then every test of the ordinary run
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

check: $(STAMP) ## format, lint, types, the floor contract, the examples in docstrings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --doctest-modules src

coverage: $(STAMP) ## the branch coverage of the ordinary tests; fails below the limit in pyproject.toml
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal --cov --cov-report=term

proofs: $(STAMP) ## the longer proofs (minutes); their tables are committed under docs/
	$(BIN)/python -m pytest -m long

# Where one fails, for a library or a limit that it misses, the others are measured all the same.
bench: $(STAMP) ## the measurements (hours), each a script that prints a table (CONVSCOPE_DATASETS=folder with the data)
	@failed=; for script in bench/*.py; do echo "== $$script"; $(BIN)/python $$script || failed="$$failed $$script"; done; \
		$(BIN)/python docs/generate_benchmarks.py && { test -z "$$failed" || { echo "failed:$$failed" >&2; exit 1; }; }

course-weights: $(STAMP) ## train the built-in networks and what the course shows of trainings (some ten minutes)
	$(BIN)/python docs/generate_course_weights.py

reliability: $(STAMP) ## the reliability scorecard (an hour; docs/reliability.md); ROWS=5,12 for some of its rows
	cd bench && OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive ../$(BIN)/python -m reliability $(if $(ROWS),--rows $(ROWS))

FUZZ_INPUTS ?= 1000000

fuzz: $(STAMP) ## read FUZZ_INPUTS (1000000) changed files of every kind; only our own errors may come out
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python tests/fuzzing.py --inputs $(FUZZ_INPUTS)

clean: ## remove .venv and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.*
