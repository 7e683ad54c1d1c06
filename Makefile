# Needs make and Python 3.11 or newer. Everything is made inside the checkout: the
# environment in .venv, caches in .cache, results in out.

# Asked for only when .venv may have to be made. PYTHON=... picks another.
PYTHON ?= $(shell for python in python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; \
	done)
# Arguments for pytest, the demo or the benchmark: make test ARGS="-k gram"
ARGS ?=

CACHE := $(CURDIR)/.cache

# Each of these would otherwise write to (or read the settings in) the home directory.
export DASK_CONFIG := $(CACHE)/dask
export HYPOTHESIS_STORAGE_DIRECTORY := $(CACHE)/hypothesis
export MPLCONFIGDIR := $(CACHE)/matplotlib
export XDG_CACHE_HOME := $(CACHE)
# Each of these would otherwise write to the system's directory for temporary files.
export DASK_TEMPORARY_DIRECTORY := $(CACHE)/tmp
export PYTEST_DEBUG_TEMPROOT := $(CACHE)/tmp
# Tests start many interpreters: each would compile the packages anew where this is set. (make clean
# removes what they write.)
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup test test-faults test-spark test-stores soak lint demo bench bench-linear bench-mlp \
	bench-storage clean

help:
	@echo 'make setup   make .venv, or do nothing when it is current'
	@echo 'make test    run the tests               (ARGS="-k gram" picks some)'
	@echo 'make test-faults  kill, stop and disturb processes in the middle of fits (some minutes)'
	@echo 'make soak    fit in a loop while workers are killed  (ARGS="--seconds 600": for longer)'
	@echo 'make test-spark   install pyspark (500 MB), exchange Parquet with Spark (needs Java 17)'
	@echo 'make test-stores  install azurite (190 MB), test data sets at az:// and gs:// (needs npm)'
	@echo 'make lint    check style, types and public docstrings'
	@echo 'make demo    from raw flights to models and plots, in out/'
	@echo 'make bench   measure, and compare with the figures to reach (ARGS=--quick: small sizes)'
	@echo '             make bench-linear, bench-mlp, bench-storage: one part (ARGS="--only memory": one line)'
	@echo 'make clean   remove all that was made, .venv included'

setup:
	@python="$(PYTHON)"; \
	if [ -z "$$python" ]; then \
		echo 'No Python 3.11 or newer found as python3.11 or python3 (try make PYTHON=...)' >&2; \
		exit 1; \
	fi; \
	"$$python" .ci/make_venv.py
	@mkdir -p .cache/tmp

test: setup
	.venv/bin/python -m pytest $(ARGS)

# These tests mostly wait, so there are more processes than cores. One that has nothing left to do
# takes tests from the others, also of the same file.
test-faults: setup
	.venv/bin/python -m pytest -m slow_fault --numprocesses=6 --maxprocesses=6 --dist=worksteal \
		tests/faults $(ARGS)

soak: setup
	.venv/bin/python benchmarks/soak.py $(ARGS)

test-spark: setup
	.venv/bin/python -m pip install --quiet --editable '.[spark]'
	.venv/bin/python -m pytest -m spark -n 0 tests/storage/ingestion/test_spark.py $(ARGS)

# The tests of object stores, which `make test` runs on an S3 server, on two others.
test-stores: setup
	npm install --silent --no-audit --no-fund --ignore-scripts \
		--cache .cache/npm --prefix .cache/azurite azurite@3.37.0
	@for store in azure google; do \
		echo "DLBD_OBJECT_STORE=$$store"; \
		DLBD_OBJECT_STORE=$$store .venv/bin/python -m pytest -n 1 tests/storage/cloud $(ARGS) || exit 1; \
	done

lint: setup
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy --strict dlbd_estimators storage
	.venv/bin/python .ci/check_docstrings.py

demo: setup
	.venv/bin/python examples/flights.py $(ARGS)

# All run, also where one misses a target; ARGS are for all.
bench: setup
	@failed=0; \
	for name in out_of_core mlp stored_data monitoring; do \
		echo ".venv/bin/python benchmarks/$$name.py $(ARGS)"; \
		.venv/bin/python benchmarks/$$name.py $(ARGS) || failed=1; \
	done; \
	exit $$failed

bench-linear: setup
	.venv/bin/python benchmarks/out_of_core.py $(ARGS)

bench-mlp: setup
	.venv/bin/python benchmarks/mlp.py $(ARGS)

bench-storage: setup
	.venv/bin/python benchmarks/stored_data.py $(ARGS)

clean:
	rm -rf .venv .cache .hypothesis .pytest_cache .mypy_cache .ruff_cache build dist out
	find dlbd_estimators storage tests examples benchmarks .ci -name __pycache__ -prune \
		-exec rm -rf {} + 2>/dev/null || true
