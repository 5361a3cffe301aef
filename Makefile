# `make demo` and `make test` do all the set-up: a .venv of their own, every version pinned by constraints.txt.
# They need Python 3.11 or newer and nothing else; the second time they start at once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: help demo test gate lint picture clean

help:
	@echo "make demo      the whole loop on the bundled suite, with a report at the end"
	@echo "make test      the tests (those that load a model included)"
	@echo "make gate      this repository's own gate on the bundled suite"
	@echo "make lint      formatting, types, import rules"
	@echo "make picture   the README's picture of the report, from the committed example"
	@echo "make clean     remove what the other targets made"

# A stamp per set of extras: made again when what is to be installed changes.
$(VENV)/.demo: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet -c constraints.txt -e '.[demo]'
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet -c constraints.txt -e '.[all,test,lint]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	$(BIN)/bench demo

test: $(VENV)/.test
	$(BIN)/python -m pytest
	$(BIN)/python -m pytest -m model

gate: $(VENV)/.demo
	$(BIN)/bench run --gated
	$(BIN)/bench gate

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The first screen of the committed example, 1280 by 900, light; the same bytes for the same page and fonts.
CHROMIUM ?= chromium
picture:
	$(CHROMIUM) --headless --no-sandbox --disable-gpu --disable-background-networking --hide-scrollbars \
	  --force-color-profile=srgb --window-size=1280,900 --screenshot=$(CURDIR)/docs/report.png \
	  file://$(CURDIR)/reports/example/clinic.html

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
