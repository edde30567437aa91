# SPDX-License-Identifier: GPL-3.0-or-later
# Faults injected into real runs on the rehearsal fleet; see tests/faults and docs/operating/when-things-go-wrong.md.
APP ?= mysql
FAULTS ?= full
FAULTS_SEED ?=
# Those of tests/faults/subjects.py. APP names one of them, or an app: all of its subjects, one after the other.
FAULT_SUBJECTS := mariadb mariadb-pitr mysql-9 mysql-9-pitr files powershare oracle domino
FAULTS_OF_mysql := mariadb mariadb-pitr mysql-9 mysql-9-pitr
# What the short form says of MySQL 9 it would say of MariaDB again: the engine's part. Subjects that run side by side have labs and
# ports of their own.
FAULTS_SHORT := $(filter-out mysql-9 mysql-9-pitr,$(FAULT_SUBJECTS))
faults-short-mariadb: export BACKSTAY_LAB_PORT := 47000
faults-short-mariadb-pitr: export BACKSTAY_LAB_PORT := 47200
faults-short-files: export BACKSTAY_LAB_PORT := 47400
faults-short-powershare: export BACKSTAY_LAB_PORT := 47600
faults-short-oracle: export BACKSTAY_LAB_PORT := 47800
faults-short-domino: export BACKSTAY_LAB_PORT := 46800

.PHONY: faults faults-short

# The seed is fixed here so that a run can be compared with the one before; `make faults` draws new offsets every time.
faults-short: venv ## One or two faults of each kind, for every subject, two subjects at a time
	@$(MAKE) --no-print-directory -j2 --output-sync=target $(addprefix faults-short-,$(FAULTS_SHORT))

faults-short-%:
	@BACKSTAY_LAB=backstay-faults-$* $(MAKE) --no-print-directory faults APP=$* FAULTS=short FAULTS_SEED=1

# A full run works in two labs at once. One subject's failure does not keep the others from being tried.
faults: venv ## Kill, cut and fill everything during real runs (APP=mysql, APP=mysql-9, FAULTS=short|full, FAULTS_SEED=n)
	@failed=; for subject in $(or $(FAULTS_OF_$(APP)),$(APP)); do \
		FAULTS_APP=$$subject FAULTS=$(FAULTS) FAULTS_SEED=$(FAULTS_SEED) LAB_ONLY=offsite1 $(WITH_LAB) \
		$(BIN)/pytest -v --durations=5 $(if $(filter full,$(FAULTS)),-n 2 --dist loadfile) tests/faults || failed="$$failed $$subject"; \
	done; [ -z "$$failed" ] || { echo "make faults: failed for$$failed" >&2; exit 1; }
