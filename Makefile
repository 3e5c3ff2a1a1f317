# The names people guess. `make` alone lists them.
# Needed beforehand: make, and Python 3.10 or newer as python3; `make test PYTHON=python3.12` takes another.

SHELL   := /bin/sh
PYTHON  ?= python3
VENV    ?= .venv
WORKERS ?= 8
ARGS    ?=
# `make installed` builds the wheel unless it is given one.
WHEEL   ?=

# Always used inside quotes: the checkout's path may have spaces in it.
venv    := $(if $(filter /%,$(VENV)),$(VENV),$(CURDIR)/$(VENV))
python  := "$(venv)/bin/python"

# A machine may forbid it, and then every process compiles the package and all tests.
export PYTHONDONTWRITEBYTECODE :=

workflows := $(wildcard .github/workflows/*.yml) examples/gated_deployment/workflow.yml

# A Python that was asked for by name is taken at its word: an environment made with another is made again.
exact   := $(if $(filter file,$(origin PYTHON)),,--exact)

# The venv goes first, because an engine that was found on PATH may have another Python beside it.
# An engine that was built here ignores Pulumi.yaml's `virtualenv` and relies on these two.
# $(call with_engine,--python) does not build the language host for YAML.
with_engine = engine=$$($(python) tools/engine/ensure.py $(1)) || exit 1; \
	PATH="$(venv)/bin:$$engine:$$PATH" VIRTUAL_ENV="$(venv)"

.DEFAULT_GOAL := help
.PHONY: help python setup engine languages demo test test-extra test-granted test-all multi-cloud unit prove bench acceptance sweep sdk lock wheel plugin installed lines lint format docs site docs-serve clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | awk -F '\t' '{ printf "make %-11s %s\n", $$1, $$2 }'

python:
	@"$(PYTHON)" -c '' 2>/dev/null || { \
		echo "$(PYTHON) does not run: install Python 3.10 or newer, or name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "$(PYTHON) is older than Python 3.10: name a newer one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) lacks its venv module: install it (Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }

setup: python ## make the environment .venv from tools/locks/dev.txt; quick when nothing changed
	@"$(PYTHON)" tools/venv.py "$(venv)" $(exact)

engine: python ## find a Pulumi engine for Python and YAML, or install or build one (once; about 7 minutes)
	@"$(PYTHON)" tools/engine/ensure.py

languages: python ## the same with TypeScript, Go and code generation; prints what belongs on PATH (once; about 6 minutes more)
	@"$(PYTHON)" tools/engine/hosts.py

demo: setup ## the tour: a stack, its policies and its prices, on this machine, without an account
	@$(call with_engine,--python) $(python) tools/demo $(ARGS)

# A file stays with one worker, because some have a fixture that takes minutes. tests/conftest.py sorts the files by
# their recorded durations, longest first, so that no worker ends with a long one.
in_parallel = $(with_engine) $(python) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder \
	--durations=10 --durations-min=1

test: setup ## what every change has to pass, on a real engine; ARGS="-k backup" goes to pytest, WORKERS=0: one by one
	@$(in_parallel) -m "not extra" $(ARGS)

test-extra: setup ## the rest: other languages, installation, the site, what pages and examples show; needs Go, Node.js, Java
	@$(in_parallel) -m extra $(ARGS)

test-granted: setup ## the stories of the engine once more, each change through a broker with a grant of its own preview
	@$(in_parallel) --granted -m "not extra" tests/engine $(ARGS)

test-all: setup ## every test: `make test` and `make test-extra` in one run
	@$(in_parallel) $(ARGS)

multi-cloud: setup ## stacks of two clouds, with Kubernetes in files and on an API server (built once; about 15 minutes)
	@$(python) tools/engine/kubernetes.py >/dev/null
	@$(with_engine) $(python) -m pytest -n 2 -m multi_cloud tests/multi_cloud $(ARGS)

fast := not engine and not chaos and not slow and not extra

unit: setup ## the fast tests, without the engine
	@$(python) -m pytest -m "$(fast)" \
		--ignore=tests/engine --ignore=tests/chaos --ignore=tests/bench $(ARGS)

prove: setup ## list the long proofs; ARGS="chaos --seed 42" or "mutants --minutes 60" runs one on random cases
	@$(python) tests/prove $(ARGS)

bench: setup ## measure calls, seconds and memory beside other providers, and write docs/bench.md and docs/bench*.csv (half an hour, on an idle machine)
	@$(with_engine) $(python) tests/bench $(ARGS)

acceptance: setup ## check what the guide leaves open against the account of STACKS_API_KEY (costs at most a dollar)
	@$(python) tools/acceptance run $(ARGS)

sweep: setup ## list, and then delete, the containers that an interrupted `make acceptance` has left
	@$(python) tools/acceptance sweep $(ARGS)

sdk: setup ## generate the SDKs for Python, TypeScript, Go and C# into build/sdk, to publish them
	@$(python) tools/sdk/generate.py

lock: setup ## pin what is installed, with hashes, into tools/locks; ARGS=--upgrade takes the newest
	@$(python) tools/lock.py $(ARGS)

wheel: setup ## build the wheel into dist
	@rm -f dist/*.whl
	@$(python) -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

plugin: setup ## build the native plugin for machines without Python, with its checksum, into dist
	@$(python) tools/plugin.py

# The tests are copied away from the checkout, whose package would be imported instead of the installed one.
installed: setup $(if $(WHEEL),,wheel) ## the fast tests against the installed wheel; ARGS="tests/engine -k backup" runs others
	@rm -rf build/installed && mkdir -p build/installed
	@git ls-files -z -- . ':!stacks_pulumi' | tar --null -T - -cf - | tar -xf - -C build/installed
	@"$(PYTHON)" -m venv build/installed/.venv
	@build/installed/.venv/bin/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes --requirement tools/locks/dev.txt
	@build/installed/.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		"$(or $(WHEEL),$$(ls dist/*.whl))"
	@engine=$$($(python) tools/engine/ensure.py) || exit 1; cd build/installed && \
		PATH="$$PWD/.venv/bin:$$engine:$$PATH" VIRTUAL_ENV="$$PWD/.venv" .venv/bin/python -m pytest -n $(WORKERS) \
		$(if $(ARGS),$(ARGS),-m "$(fast)" tests/unit tests/host tests/emulator tests/policy)

lines: setup ## print the lines of code of each part; ARGS="--since COMMIT" compares
	@$(python) tools/lines.py $(ARGS)

lint: setup ## style, types and the layers of the package; shows every problem
	@status=0; \
	echo "Checking style." >&2; \
	$(python) -m ruff check --quiet . || status=1; \
	$(python) -m ruff format --quiet --check . || status=1; \
	echo "Checking types." >&2; \
	$(python) -m mypy || status=1; \
	echo "Checking layers." >&2; \
	"$(venv)/bin/lint-imports" --no-logo || status=1; \
	echo "Checking workflows." >&2; \
	"$(venv)/bin/zizmor" --offline --quiet --persona=auditor $(workflows) || status=1; \
	$(python) tools/actionlint $(workflows) || status=1; \
	exit $$status

format: setup ## put the code into its style
	@$(python) -m ruff check --quiet --fix .
	@$(python) -m ruff format .

docs: setup ## write the generated tables of the documentation again
	@$(python) tools/docs $(ARGS)

site: setup ## build the documentation as a site, strictly, into build/site/html
	@$(python) tools/site $(ARGS)

docs-serve: setup ## build the site and serve it on this machine; ARGS="--port 8001"
	@$(python) tools/site --serve $(ARGS)

clean: ## remove what was made here; the engine stays in its cache
	@rm -rf .venv .venv.lock build dist .coverage .coverage.* htmlcov
	@rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
