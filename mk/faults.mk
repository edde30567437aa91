# SPDX-License-Identifier: GPL-3.0-or-later
# Faults injected into real runs on the rehearsal fleet; see tests/faults and docs/operating/when-things-go-wrong.md.
APP ?= mysql
FAULTS ?= full
FAULTS_SEED ?=
# APP names a subject, or an app: all of its subjects, one after the other.
FAULT_SUBJECTS := $(subst _,-,$(filter-out __init__,$(patsubst tests/faults/subjects/%.py,%,$(sort $(wildcard tests/faults/subjects/*.py)))))
FAULTS_OF_mysql := mariadb mariadb-pitr mysql-9 mysql-9-pitr
# What the short form says of MySQL 9 it would say of MariaDB again: the engine's part.
FAULTS_SHORT := $(filter-out mysql-9 mysql-9-pitr,$(FAULT_SUBJECTS))

.PHONY: faults faults-short

# The seed is fixed here so that a run can be compared with the one before; `make faults` draws new offsets every time.
faults-short: venv ## One or two faults of each kind, for every subject, two subjects at a time
	@$(MAKE) --no-print-directory -j2 --output-sync=target $(addprefix faults-short-,$(FAULTS_SHORT))

# Subjects that run side by side have labs and ports of their own, counted from 43200; from 46200 on ports belong to others.
faults-short-%:
	@number=$$(printf '%s\n' $(FAULT_SUBJECTS) | grep -nx -e '$*' | cut -d : -f 1); \
		BACKSTAY_LAB=backstay-faults-$* BACKSTAY_LAB_PORT=$$((43000 + 200 * number)) \
		$(MAKE) --no-print-directory faults APP=$* FAULTS=short FAULTS_SEED=1

# A full run works in two labs at once. One subject's failure does not keep the others from being tried.
faults: venv ## Kill, cut and fill everything during real runs (APP=mysql, APP=mysql-9, FAULTS=short|full, FAULTS_SEED=n)
	@failed=; for subject in $(or $(FAULTS_OF_$(APP)),$(APP)); do \
		FAULTS_APP=$$subject FAULTS=$(FAULTS) FAULTS_SEED=$(FAULTS_SEED) LAB_ONLY=offsite1 $(WITH_LAB) \
		$(BIN)/pytest -v --durations=5 $(if $(filter full,$(FAULTS)),-n 2 --dist loadfile) tests/faults || failed="$$failed $$subject"; \
	done; [ -z "$$failed" ] || { echo "make faults: failed for$$failed" >&2; exit 1; }
