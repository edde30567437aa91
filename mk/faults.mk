# SPDX-License-Identifier: GPL-3.0-or-later
# Faults injected into real runs on the rehearsal fleet; see tests/faults and docs/operating/when-things-go-wrong.md.
APP ?= mysql
FAULTS ?= full
FAULTS_SEED ?=
# The subjects of tests/faults/subjects.py, but for mysql-9, of which mysql has the engine's part in the short form; those that run side by
# side have labs and ports of their own.
FAULT_SUBJECTS := mysql mysql-pitr files powershare oracle
faults-short-mysql: export BACKSTAY_LAB_PORT := 47000
faults-short-mysql-pitr: export BACKSTAY_LAB_PORT := 47200
faults-short-files: export BACKSTAY_LAB_PORT := 47400
faults-short-powershare: export BACKSTAY_LAB_PORT := 47600
faults-short-oracle: export BACKSTAY_LAB_PORT := 47800

.PHONY: faults faults-short

# The seed is fixed here so that a run can be compared with the one before; `make faults` draws new offsets every time.
faults-short: venv ## One or two faults of each kind, for every subject, two subjects at a time
	@$(MAKE) --no-print-directory -j2 --output-sync=target $(addprefix faults-short-,$(FAULT_SUBJECTS))

faults-short-%:
	@BACKSTAY_LAB=backstay-faults-$* $(MAKE) --no-print-directory faults APP=$* FAULTS=short FAULTS_SEED=1

# A full run works in two labs at once.
faults: venv ## Kill, cut and fill everything during real runs (APP=mysql, FAULTS=short|full, FAULTS_SEED=n)
	@FAULTS_APP=$(APP) FAULTS=$(FAULTS) FAULTS_SEED=$(FAULTS_SEED) LAB_ONLY=offsite1 $(WITH_LAB) \
	  $(BIN)/pytest -v --durations=5 $(if $(filter full,$(FAULTS)),-n 2 --dist loadfile) tests/faults
