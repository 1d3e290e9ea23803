# Needs Python 3.11 or newer with venv, and make. Everything is put into this folder:
# .bootstrap (uv and its cache), .venv (the workspace), .bench (what `make bench` measures against),
# .fuzz (for `make fuzz`).
PYTHON ?= python3
UV_VERSION := 0.13.8

BIN := .venv/bin
PROJECTS := pyproject.toml $(wildcard plugins/*/pyproject.toml)
PYTEST_ARGS ?=
# processes that share the test files; most tests wait for others, such as servers
WORKERS ?= 2
# seconds for one test: a safety net, no test may need that long
export PYTEST_TIMEOUT ?= 60

unexport PYTHONPATH PYTHONHOME
# would double every start-up that is measured
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint bench fuzz pins clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

setup: .venv/.ready ## install the kernel and every plugin into .venv

demo: setup ## a real conversation with the model inside the process
	$(BIN)/python docs/examples/demo.py

test: setup ## run every test
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile $(PYTEST_ARGS)

check: setup lint ## lint, types, import rules, tests with coverage, wheels in a fresh venv
	$(MAKE) --no-print-directory test PYTEST_ARGS="--cov --cov-report=term:skip-covered --cov-fail-under=90"
	$(BIN)/python scripts/try_wheels.py

lint: setup ## the quick part of `make check`
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python scripts/pins.py --check
	$(BIN)/python scripts/options_table.py --check
	$(BIN)/python scripts/events_table.py --check

bench: .bench/.ready ## measure, print a table and write docs/benchmarks.md
	.bench/bin/python tests/benchmarks/run.py

fuzz: .fuzz/.ready ## a million cases over the decoders of streams, each with every cut (Linux, 15 min)
	.fuzz/bin/python tests/fuzz/decoders.py

pins: ## pin exactly, in pyproject.toml, the packages that were resolved
	scripts/uv lock
	$(PYTHON) scripts/pins.py

clean: ## remove everything that make made
	rm -rf .bootstrap .venv .bench .fuzz dist uv.lock
	rm -rf .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.bootstrap/uv-$(UV_VERSION):
	@$(PYTHON) -c 'import sys; sys.exit("dovetail needs Python 3.11 or newer, $(PYTHON) is %d.%d: try make PYTHON=python3.12" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .bootstrap
	.bootstrap/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

.venv/.ready: $(PROJECTS) scripts/uv | .bootstrap/uv-$(UV_VERSION)
	UV_PROJECT_ENVIRONMENT=.venv scripts/uv sync --quiet --all-packages --all-extras
	@touch $@

.bench/.ready: $(PROJECTS) scripts/uv | .bootstrap/uv-$(UV_VERSION)
	UV_PROJECT_ENVIRONMENT=.bench scripts/uv sync --quiet --all-packages --all-extras --no-dev --group bench
	@touch $@

.fuzz/.ready: $(PROJECTS) scripts/uv | .bootstrap/uv-$(UV_VERSION)
	UV_PROJECT_ENVIRONMENT=.fuzz scripts/uv sync --quiet --no-dev --group fuzz
	@touch $@
