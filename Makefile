# `make demo` and `make test` create the virtual environment if it does not exist.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
READY := $(VENV)/.ready
LOWEST := .venv-lowest
RUN ?= runs/demo
# Test processes side by side. Each of them that runs jobs starts a Ray of its own.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder

# On few cores, several processes with two threads each are many times slower than with one.
export OMP_NUM_THREADS ?= 1

.PHONY: help demo test test-lowest test-slow bench bench-scale check format clean

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

$(LOWEST)/.ready: pyproject.toml constraints-lowest.txt
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-lowest.txt torch
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-lowest.txt \
		--editable '.[dev]'
	touch $(LOWEST)/.ready

demo: $(READY)  ## Run the whole method on a drawn world: offline, in minutes
	$(BIN)/amia demo --run $(RUN)

test: $(READY)  ## Run the tests, on a real Ray
	$(PYTEST) -m 'not slow'

test-lowest: $(LOWEST)/.ready  ## The tests with the lowest versions that pyproject.toml allows
	$(LOWEST)/bin/python -m pytest --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder -m 'not slow' \
		-W default -p no:cacheprovider

test-slow: $(READY)  ## Run the tests that take minutes each
	$(BIN)/python -m pytest -m slow

bench: $(READY)  ## Run the benchmarks: tests/benchmarks/README.md
	$(BIN)/python -m tests.benchmarks $(BENCH)

bench-scale: $(READY)  ## Measure the job at 20,000 posts and its memory; takes 15 minutes
	$(BIN)/python -m tests.benchmarks --scale $(BENCH)

check: $(READY)  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove all generated files, including the environment
	rm -rf $(VENV) $(LOWEST) build runs *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
