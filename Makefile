# Each target works in a fresh clone: .venv is made and filled under constraints.txt when needed.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
TEST_DEPS := $(shell sed -n 's/^test = \[\(.*\)\]/\1/p;s/^lint = \[\(.*\)\]/\1/p;s/^notebooks = \[\(.*\)\]/\1/p' pyproject.toml | tr -d ',')
BENCH_DEPS := $(shell sed -n 's/^bench = \[\(.*\)\]/\1/p' pyproject.toml | tr -d ',')
# One worker a core; work stealing keeps the long property tests from ending last.
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal --durations=15

.PHONY: venv demo test test-full explore check bench bench-full clean help

help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/demo-installed: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) -e '.[demo]'
	@touch $@

.venv/test-installed: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) -e '.[all]' $(TEST_DEPS)
	@touch $@

venv: .venv/test-installed ## everything a developer needs, in .venv

demo: .venv/demo-installed ## train on real digits with 100 parties, plain, secure and private, and write a report
	$(BIN)/securefl demo

check: .venv/test-installed ## lint, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check ## what continuous integration runs first
	HYPOTHESIS_PROFILE=ci $(PYTEST) -m "not heavy"

test-full: .venv/test-installed ## the heavy scenarios
	HYPOTHESIS_PROFILE=nightly $(PYTEST) -m heavy

explore: .venv/test-installed ## the laws on other examples than continuous integration tries (long)
	HYPOTHESIS_PROFILE=explore $(PYTEST) --timeout 3600 tests/properties

.venv/bench-installed: .venv/test-installed
	$(PIP) $(BENCH_DEPS)
	@touch $@

bench: .venv/bench-installed ## every benchmark, ours beside its peers (hours; `securefl bench NAME --quick` for one in short)
	for script in benchmarks/*/*.py; do $(BIN)/securefl bench "$$(basename "$$script" .py)" || exit 1; done

bench-full: .venv/bench-installed ## the long round and the sweeps of secure aggregation, with a plot (long)
	$(BIN)/securefl bench secagg --long --sweep --json secagg.json --plot secagg.png

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
