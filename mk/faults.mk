# SPDX-License-Identifier: GPL-3.0-or-later
# Faults injected into real runs on the rehearsal fleet; see tests/faults and docs/operating/when-things-go-wrong.md.
APP ?= mysql
FAULTS ?= full
FAULTS_SEED ?=

.PHONY: faults

faults: venv ## Kill, cut and fill everything during real runs (APP=mysql, FAULTS=short|full, FAULTS_SEED=n)
	FAULTS_APP=$(APP) FAULTS=$(FAULTS) FAULTS_SEED=$(FAULTS_SEED) $(BIN)/pytest -v --durations=5 tests/faults
