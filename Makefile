# Two commands do everything: `make demo` and `make test`. Each makes .venv first, once.
# No rule names a folder outside this one, so the tree may lie under a path with spaces.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PY := .venv/bin/python
UV := .venv/bin/uv
READY := .venv/.ready
# SYSTEM=1: over the torch that is on this machine. PYTHON=...: this interpreter and no other.
SYSTEM ?=
PYTHON ?=
# More processes than this only wait for each other's memory; every test runs torch on one thread.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 8 ? n : 8)))
PYTEST := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(PY) -m pytest -q -rs --durations=10

# A .venv holds absolute paths: in a tree that was moved or copied it is not ready.
$(shell [ "$$(cat $(READY) 2>/dev/null)" = "$$PWD" ] || rm -f $(READY))
# Asked for another kind than the one that is there: .ci/setup answers.
ifneq ($(PYTHON),)
$(shell rm -f $(READY))
endif
ifneq ($(SYSTEM),)
$(shell grep -qs '^include-system-site-packages = true' .venv/pyvenv.cfg || rm -f $(READY))
endif

.PHONY: help setup demo test test-slow test-cluster test-browser test-lowest latex mutants lint types notebooks docs bench lock lock-check wheel-test clean

help: ## list the targets (the default)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  make setup SYSTEM=1 uses the torch that is installed on this machine; PYTHON=python3.12 names the interpreter."

setup: $(READY) ## make .venv: the pinned packages and this package, editable

demo: $(READY) ## how to fuse, and when: streams and fusions trained, two tables (two to three minutes)
	@$(PY) -m fusionlab.sweep experiment=demo
	@$(PY) -m fusionlab.sweep experiment=demo_order

test: $(READY) ## the fast tests
	@$(PYTEST) -n $(WORKERS) -m "not slow and not notebook and not cluster"

test-slow: $(READY) ## the slow tests: whole commands, kills and continuations, the README
	@$(PYTEST) -n $(WORKERS) -m slow

test-cluster: $(READY) ## a real SLURM in a network of its own; skipped without SLURM or root, in CI it fails then
	@FUSIONLAB_CLUSTER=$(if $(CI),1) $(PYTEST) -n $(WORKERS) tests/cluster

test-lowest: $(READY) ## the fast tests with the lowest versions that pyproject.toml allows (downloads them)
	@WORKERS=$(WORKERS) .ci/lowest

latex: $(READY) ## the tables compile with texlive; skipped without pdflatex, in CI it fails then
	@FUSIONLAB_LATEX=$(if $(CI),1) $(PYTEST) tests/results/test_latex_compiles.py

mutants: $(READY) ## the mutation check: changes of the source that some fast test must notice (half an hour)
	@$(PY) tests/house/mutate.py

lint: $(READY) ## ruff: the rules and the format
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types: $(READY) ## mypy --strict
	@$(PY) -m mypy

notebooks: demo ## check the numbers of the demo (which is only made once), and execute every notebook on its records
	@$(PYTEST) -p no:xdist tests/house -m notebook

docs: $(READY) ## the pages as a site in build/site, to open from disk
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet

bench: $(READY) ## measure what the project promises to reach
	@$(PY) -m fusionlab.bench

lock: $(READY) ## resolve requirements.lock anew, with the newest versions
	@.ci/lock --upgrade

lock-check: $(READY) ## is requirements.lock what pyproject.toml asks for?
	@.ci/lock --check

wheel-test: $(READY) ## build the wheel, install it elsewhere, run a small sweep there
	@.ci/wheel

clean: ## remove .venv, caches and what was built (never runs/ or data/)
	rm -rf .venv .venv-lowest build dist .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

$(READY): pyproject.toml requirements.lock requirements-uv.txt
	@SYSTEM="$(SYSTEM)" PYTHON="$(PYTHON)" .ci/setup
	@pwd > $@
