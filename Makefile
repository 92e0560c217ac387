# The only door: every target makes what it needs, from Python 3.10+ and make alone.
PYTHON ?= python3
VENV ?= $(if $(filter python3,$(PYTHON)),.venv,.venv-$(notdir $(PYTHON)))
PY := $(VENV)/bin/python
SECONDS ?= 60

.DEFAULT_GOAL := help
.PHONY: help demo demo-fleet test test-fast tools matrix lint format types bench bench-detection bench-evidence bench-routes bench-pauses bench-fleet chart dashboards dashboards-picture clean

help:  ## Show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-19s %s\n", $$1, $$2}'

$(VENV)/.installed: pyproject.toml src/opentelemetry/instrumentation/memory/version.py
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed, this is %s; try: make PYTHON=python3.12" % sys.version.split()[0] if sys.version_info < (3, 10) else 0)'
	@echo "Making $(VENV) with all that is needed; this takes a minute or less, once"
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(VENV)/.installed  ## Watch a sample service's memory live in the terminal (SECONDS=60)
	@$(VENV)/bin/opentelemetry-memory demo --seconds $(SECONDS)

demo-fleet: SECONDS = 300
demo-fleet: $(VENV)/.installed  ## Run one service in six languages, healthy and leaking, side by side (SECONDS=300)
	@$(PY) examples/mixed_languages/run.py --seconds $(SECONDS)

tools: $(VENV)/.installed  ## Build or install what the pipeline tests need into .cache/
	$(PY) scripts/tools.py

test: $(VENV)/.installed  ## Run every test (REQUIRE_ALL=1 makes a skip a failure)
	-$(PY) scripts/tools.py
	$(PY) -m pytest

test-fast: $(VENV)/.installed  ## Run the unit tests only
	$(PY) -m pytest tests/unit

matrix:  ## Run unit and fork tests on Python 3.10 to 3.13
	set -e; for python in python3.10 python3.11 python3.12 python3.13; do \
		$(MAKE) PYTHON=$$python .venv-$$python/.installed; \
		.venv-$$python/bin/python -m pytest tests/unit tests/fork; done

lint: $(VENV)/.installed  ## Check style and formatting
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

format: $(VENV)/.installed  ## Apply the formatter and safe fixes
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

types: $(VENV)/.installed  ## Check types strictly
	$(VENV)/bin/mypy src tests/typing

bench: $(VENV)/.installed  ## Measure costs and rewrite benchmarks/README.md
	$(PY) benchmarks/run.py

bench-detection: $(VENV)/.installed  ## Score the leak detector and its rivals on the catalogue
	$(PY) benchmarks/detection/evaluate.py --robustness --write

bench-evidence: $(VENV)/.installed  ## See whether the evidence names what leaks, 35 programs, half an hour
	$(PY) benchmarks/evidence/run.py

bench-routes: $(VENV)/.installed  ## Compare the bytes per request told with the true ones, a quarter of an hour
	$(PY) benchmarks/evidence/routes.py --repeat 4

bench-pauses: $(VENV)/.installed  ## See how long an investigation stops a program, beside a twin, half an hour
	$(PY) benchmarks/evidence/pauses.py

bench-fleet: $(VENV)/.installed  ## Measure the watch with 10,000 processes, and write it down
	$(PY) -m benchmarks.fleet.run

chart: $(VENV)/.installed  ## Redraw the README's picture from a real run
	$(PY) scripts/draw_chart.py

dashboards: $(VENV)/.installed  ## Write the Grafana dashboards again, from code
	$(PY) -m dashboards.generate

dashboards-picture: $(VENV)/.installed  ## Redraw the pictures of the dashboards from a real fleet
	$(PY) -m scripts.draw_dashboards

clean:  ## Remove virtual environments and the tool cache
	rm -rf .venv .venv-* .cache dist
