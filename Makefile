# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow lint format clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

# The stamp is newer than what it was installed from, so a second `make` installs nothing.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade -c constraints.txt -e '.[dev]'
	@touch $@

install: $(VENV)/installed ## create .venv and install dml-study with its development tools

demo: install ## run a small study on the embedded dataset, print its table, write its plots
	$(BIN)/dml-study run demo
	$(BIN)/dml-study table results/demo
	$(BIN)/dml-study plot results/demo

# Launches have both cores of a small machine to themselves: Ray's processes take them all.
test: install ## the test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --ignore tests/study/launch
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/study/launch

test-slow: install ## the long tests: whole installations, real sizes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

lint: install ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install ## put the code into the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what was built, but not results
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
