# Each target does all its own set-up: a virtual environment in .venv with the versions in constraints.txt.
# The demo compiles no byte code ahead (--no-compile): what is used is compiled when it is first used, and .venv is smaller.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test lint bench docs figures clean help
.DEFAULT_GOAL := help

help:
	@echo 'make demo   decode a simulated night, let a network sleep, cue a sleeper, and name the pages to open'
	@echo 'make test   every test (real recordings join in where SHARPWAVE_DATA points)'
	@echo 'make lint   style, types, which room may import which, how many files an idea takes, figures as in their files'
	@echo 'make docs   the site, into site/; every printed snippet is run first'
	@echo 'make bench  every benchmark, into benchmarks/results, and the figures of the pages'
	@echo 'make figures  rewrite the figures of the pages from benchmarks/results; say which code has changed since'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.brain: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[brain]'
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
	$(BIN)/python tools/public_names.py --check
	$(BIN)/python tools/figures.py --check
	$(BIN)/python tools/snippets.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

docs: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python tools/snippets.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Name and seeds of every file of results that a page shows. mammoth.json needs another program first: see benchmarks/mammoth.py;
# language-*.json and private-text.json need the folder of a model: see docs/language-benchmark.md.
BENCH := forecast:5 staging:5 rodent:6 cohorts:1 spindles:5 coupling:60 multimodal:1 subsets:1 labels:1 transfer:1 ablations:1 explanations:5 \
  decode-speed:3 decode-memory:1 scale:2 training-cost:1 reactivation:4 reactivation-worlds:2 run-decoding:5 replay-speed:5 replay-null:5 causality:5 causality-worlds:2 continual:5 \
  continual-cifar10:5 continual-step-sizes:2 sleep-cost:5 sleep-budget:2 resilience:5 dynamics:5 criticality:5 \
  live-proof:5 live-latency:3 live-page:1 live-phase:1 live-gate:3 distributed:5 external:1 staging-use:1 jax:3 private-audit:20 private:3 agents:5 off-peak:1 finetune:1 hearts:1 pretraining:3 pretraining-nights:3 forecast-eeg:1 rodent-recovery:1
bench: $(VENV)/.dev
	for one in $(BENCH); do \
	  $(BIN)/sharpwave benchmark $${one%:*} --seeds $${one#*:} --output benchmarks/results/$${one%:*}.json || exit 1; done
	$(BIN)/python benchmarks/real_files.py
	$(BIN)/python benchmarks/latency_rules.py
	$(BIN)/python benchmarks/clarity_halves.py
	$(BIN)/python benchmarks/live_soak.py
	$(BIN)/python -m benchmarks.fuzz_readers
	$(BIN)/python tools/figures.py

figures: $(VENV)/.dev
	$(BIN)/python tools/figures.py
	$(BIN)/python tools/figures.py --stale

clean:
	rm -rf $(VENV) demo site .pytest_cache .ruff_cache .mypy_cache .hypothesis
