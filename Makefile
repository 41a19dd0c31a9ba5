# `make demo` and `make test` do all of their own set-up; the second time it is skipped.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
READY := $(VENV)/.ready
LOWEST := .venv-lowest
RUN ?= runs/demo
# Test processes side by side. Each of them that runs jobs starts a Ray of its own.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadgroup --no-loadscope-reorder

# Two threads of arithmetic in each of several processes on a few cores are many times slower than one.
export OMP_NUM_THREADS ?= 1

.PHONY: help demo test test-lowest test-slow bench bench-scale check format clean

help:  ## What there is
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

demo: $(READY)  ## The whole story on a drawn world: offline, in minutes
	$(BIN)/amia demo --run $(RUN)

test: $(READY)  ## The tests, on real Ray
	$(PYTEST) -m 'not slow'

test-lowest: $(LOWEST)/.ready  ## The tests with the lowest versions that pyproject.toml allows
	$(LOWEST)/bin/python -m pytest --numprocesses $(WORKERS) --dist loadgroup --no-loadscope-reorder -m 'not slow' \
		-W default -p no:cacheprovider

test-slow: $(READY)  ## Everything that takes minutes each
	$(BIN)/python -m pytest -m slow

bench: $(READY)  ## How fast, as ratios of two sides: tests/benchmarks/README.md
	$(BIN)/python -m tests.benchmarks $(BENCH)

bench-scale: $(READY)  ## The job at 20,000 posts, and its memory; a quarter of an hour
	$(BIN)/python -m tests.benchmarks --scale $(BENCH)

check: $(READY)  ## Lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## Put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Everything that was made here, the environment too
	rm -rf $(VENV) $(LOWEST) build runs *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
