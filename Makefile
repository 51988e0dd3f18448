# Two commands matter: `make serve` and `make test`. Both set themselves up in .venv, and need no network the second time.

PORT ?= 8000
PYTHON = .venv/bin/python
READY = .venv/ready
LOCK = --quiet --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate

.PHONY: help serve test setup check lint types contracts suite coverage coverage-own interop autobahn bench lock clean

help:
	@echo 'make serve         run the reference server with examples/calculator.py on 127.0.0.1:$(PORT)'
	@echo 'make test          everything that must pass: ruff, mypy, import-linter, the suite with its coverage'
	@echo 'make coverage-own  each module of core and transports, covered by its own test file alone'
	@echo 'make interop       clients from npm against the server (needs node)'
	@echo 'make autobahn      the Autobahn WebSocket suite against our codec (needs a Python 2.7)'
	@echo 'make bench         the measurements of docs/performance.md'

serve: $(READY)
	@cd examples && exec ../$(PYTHON) -m posthouse.adapters serve calculator:service --host 127.0.0.1 --port $(PORT) --dev

test: lint types contracts coverage

setup: $(READY)

$(READY): pyproject.toml requirements-dev.lock tools/setup
	@tools/setup

lint: $(READY)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types: $(READY)
	$(PYTHON) -m mypy

contracts: $(READY)
	.venv/bin/python -c 'from importlinter.cli import lint_imports_command as main; main()' --no-cache

suite: $(READY)
	$(PYTHON) -m pytest -q

coverage: $(READY)
	$(PYTHON) -m coverage run -m pytest -q
	$(PYTHON) -m coverage report --fail-under=100

coverage-own: $(READY)
	$(PYTHON) tools/coverage_own.py

interop: $(READY)
	@tests/interop/run

autobahn: $(READY)
	@tests/conformance/autobahn/run

bench: $(READY)
	$(PYTHON) -m benchmarks

lock:
	uv pip compile $(LOCK) --extra dev --upgrade pyproject.toml --output-file requirements-dev.lock
	uv pip compile $(LOCK) --extra bench --constraint requirements-dev.lock --upgrade pyproject.toml \
		--output-file requirements-bench.lock

clean:
	rm -rf .venv .setup .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
