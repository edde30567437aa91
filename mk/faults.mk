# SPDX-License-Identifier: GPL-3.0-or-later
# Faults injected into real runs on the rehearsal fleet; see tests/faults and docs/operating/when-things-go-wrong.md.
APP ?= mysql
FAULTS ?= full
FAULTS_SEED ?=

.PHONY: faults faults-short

faults-short: ## One or two faults of each kind, for every subject
	@$(MAKE) --no-print-directory faults APP=mysql FAULTS=short FAULTS_SEED=1
	@$(MAKE) --no-print-directory faults APP=mysql-pitr FAULTS=short FAULTS_SEED=1

faults: venv ## Kill, cut and fill everything during real runs (APP=mysql, FAULTS=short|full, FAULTS_SEED=n)
	@FAULTS_APP=$(APP) FAULTS=$(FAULTS) FAULTS_SEED=$(FAULTS_SEED) $(WITH_LAB) $(BIN)/pytest -v --durations=5 tests/faults
