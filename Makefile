# Two commands matter: `make serve` and `make test`. Both set themselves up in .venv, and need no network the second time.
# `make serve` installs what serving needs, and `make test` adds the test tools.

PORT ?= 8000
WORKERS ?= auto
PYTHON = .venv/bin/python
SUITE = $(PYTHON) -m pytest -q -n $(WORKERS) --maxprocesses 8
SERVING = .venv/serving
READY = .venv/ready
UV = $(or $(shell command -v uv),.setup/bin/uv)
LOCK = --quiet --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate

.PHONY: help serve test setup lint types contracts suite coverage coverage-own states limits simulate planted hunt fuzz conformance attack crash restarts mutate \
	interop autobahn lives bench timing calls lock clean

help:
	@echo 'make serve         run the reference server with examples/calculator.py on 127.0.0.1:$(PORT)'
	@echo 'make test          everything that must pass: ruff, mypy, import-linter, the suite with its coverage'
	@echo 'make suite         the suite alone, on all cores; WORKERS=0 runs it in one process'
	@echo 'make coverage      the suite, and the coverage of core, transports and the server by their own tests'
	@echo 'make coverage-own  each module of core and transports, covered by its own test file alone'
	@echo 'make states        draws docs/internals/states.md from the state tables'
	@echo 'make limits        draws the help text about each limit from docs/limits.md'
	@echo 'make simulate      storms over the whole system on a virtual clock: SEEDS=… SECONDS=… FIRST=…'
	@echo 'make planted       does the simulator find the bugs that are planted for it?'
	@echo 'make hunt          do storms find mutants that are drawn at random? SAMPLE=… SECONDS=… SEED=… (docs/internals/simulation.md)'
	@echo 'make fuzz          coverage-guided fuzzing: TARGET=… SECONDS=… or MINIMISE=1 (python -m tests.fuzz --list)'
	@echo 'make conformance   every table over every transport and event loop; writes docs/internals/conformance.md'
	@echo 'make attack        the abuses of docs/limits.md against a running server; writes docs/internals/attack.md'
	@echo 'make crash         kill a process that writes to a store, again and again: is everything there? ROUNDS=…'
	@echo 'make restarts      replace and kill workers under load: has every call an outcome? RESTARTS=… KILLS=…'
	@echo 'make lives         every sequence of six steps in the life of connections with credentials, and of a session: ten minutes of one core'
	@echo 'make mutate        mutation testing of core, transports and the server: MODULES=…'
	@echo 'make interop       clients from npm against the server (needs node)'
	@echo 'make autobahn      the Autobahn WebSocket suite against our codec (needs a Python 2.7)'
	@echo 'make bench         the measurements of docs/performance.md, beside other servers (node for some): 10 minutes'
	@echo 'make lock          the newest versions of all packages that are used (requirements*.lock)'
	@echo 'make timing        does the time of a refused log-in tell who exists? 20 seconds'
	@echo 'make calls         accepts how many Python calls an echo makes now: tests/benchmarks/python_calls.toml'

serve: $(SERVING)
	@echo 'serving examples/calculator.py; to end it, press Ctrl-C'
	@cd examples && exec ../$(PYTHON) -m posthouse serve calculator:service --host 127.0.0.1 --port $(PORT) --dev

test: lint types contracts coverage

setup: $(READY)

$(SERVING): pyproject.toml requirements.lock tools/setup
	@tools/setup serve

$(READY): $(SERVING) requirements-dev.lock
	@tools/setup test

lint: $(READY)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types: $(READY)
	$(PYTHON) -m mypy

contracts: $(READY)
	.venv/bin/python -c 'from importlinter.cli import lint_imports_command as main; main()' --no-cache

suite: $(READY)
	$(SUITE)

coverage: $(READY)
	$(PYTHON) -m coverage erase
	$(SUITE) --coverage
	$(PYTHON) -m coverage combine --quiet
	$(PYTHON) -m coverage report --include='core/*,transports/*' --fail-under=100
	$(PYTHON) -m coverage report --include='adapters/*' --fail-under=97

coverage-own: $(READY)
	$(PYTHON) tools/coverage_own.py

states: $(READY)
	$(PYTHON) tools/states.py

limits: $(READY)
	$(PYTHON) tools/limits.py

simulate: $(READY)
	$(PYTHON) -m posthouse.adapters.simulation --seeds $(or $(SEEDS),1000) --seconds $(or $(SECONDS),20) $(if $(FIRST),--first $(FIRST))

planted: $(READY)
	$(PYTHON) -m tests.simulation.planted

hunt: $(READY)
	$(PYTHON) -m tools.hunt --sample $(or $(SAMPLE),200) --seconds $(or $(SECONDS),20) $(if $(SEED),--seed $(SEED))

fuzz: $(READY)
	$(PYTHON) -m tests.fuzz $(TARGET) $(if $(MINIMISE),--minimise,--seconds $(or $(SECONDS),60))

conformance: $(READY)
	$(PYTHON) -m tests.conformance

crash: $(READY)
	$(PYTHON) -m tests.crash $(or $(ROUNDS),300)

restarts: $(READY)
	$(PYTHON) -m tests.restarts $(or $(RESTARTS),20) $(or $(KILLS),20)

attack: $(READY)
	$(PYTHON) -m tests.attack

lives: $(READY)
	$(PYTHON) -m tests.core.identity.lives $(DEPTH)
	$(PYTHON) -m tests.core.sessions.lives $(DEPTH)

mutate: $(READY)
	$(PYTHON) -m tools.mutate $(MODULES)

interop: $(READY)
	@tests/interop/run

autobahn: $(READY)
	@tests/conformance/autobahn/run

bench: $(READY)
	$(PYTHON) -m benchmarks

timing: $(READY)
	$(PYTHON) tools/timing.py $(TRIES)

calls: $(READY)
	$(PYTHON) -m tests.benchmarks.python_calls

.setup/bin/uv:
	$(PYTHON) -m venv .setup
	.setup/bin/python -m pip --disable-pip-version-check install --quiet uv

lock: $(SERVING) $(UV)
	$(UV) pip compile $(LOCK) --extra dev --upgrade pyproject.toml --output-file requirements-dev.lock
	echo 'hatchling>=1.26' | $(UV) pip compile $(LOCK) --constraint requirements-dev.lock pyproject.toml - \
		--output-file requirements.lock
	$(UV) pip compile $(LOCK) --extra bench --constraint requirements-dev.lock --upgrade pyproject.toml \
		--output-file requirements-bench.lock

clean:
	rm -rf .venv .setup journals .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.*
