# Every target sets up what it needs; on a fresh Debian machine `make demo` and `make test` are the two to know.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

.PHONY: help venv venv-bench unit lint test clean

help: ## Show the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(VENV)/.installed: pyproject.toml
	@if ! python3 -c 'import ensurepip' 2>/dev/null; then apt-get update -q && apt-get install -y --no-install-recommends python3-venv; fi
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check '.[dev]'
	touch $@

venv: $(VENV)/.installed ## Create the virtual environment

unit: venv ## Fast tests, no lab needed (under 60 s)
	$(BIN)/pytest -q -n 2 tests/unit

local: venv ## Whole workers, an sshd, roles through ansible-playbook: processes on this machine, no lab needed (SHORT=--short leaves out the long ones)
	$(BIN)/pytest -q -n 2 --dist loadgroup $(SHORT) tests/local

lint: venv ## ruff, mypy, ansible-lint (production), changelog fragments
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy plugins/module_utils plugins/plugin_utils
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/ansible-lint --offline -q
	$(BIN)/antsibull-changelog lint

include mk/*.mk
