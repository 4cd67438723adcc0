# Each target does all its own set-up: a virtual environment in .venv with the versions in constraints.txt.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test lint bench clean help
.DEFAULT_GOAL := help

help:
	@echo 'make demo   decode a simulated night, let a network sleep, and name the pages to open'
	@echo 'make test   every test (real recordings join in where SHARPWAVE_DATA points)'
	@echo 'make lint   style, types, which room may import which, and how many files an idea takes'
	@echo 'make bench  every benchmark, into benchmarks/results'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.brain: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[brain]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[brain,dev]'
	@touch $@ $(VENV)/.brain

demo: $(VENV)/.brain
	$(BIN)/sharpwave demo --output demo

test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests tools benchmarks examples
	$(BIN)/ruff format --check src tests tools benchmarks examples
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/house.py --check

bench: $(VENV)/.dev
	for name in forecast staging spindles multimodal subsets labels transfer ablations explanations decode-speed \
	  decode-memory training-cost reactivation run-decoding replay-speed causality continual continual-cifar10 sleep-cost \
	  resilience dynamics; do \
	  $(BIN)/sharpwave benchmark $$name --output benchmarks/results/$$name.json || exit 1; done

clean:
	rm -rf $(VENV) demo .pytest_cache .ruff_cache .mypy_cache .hypothesis
