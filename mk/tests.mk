# SPDX-License-Identifier: GPL-3.0-or-later
# Tests that need the rehearsal fleet. They use a lab of their own, so a lab made by `make lab` is never touched.
APPS := $(filter-out __init__,$(patsubst tests/integration/apps/%.py,%,$(wildcard tests/integration/apps/*.py)))
WITH_LAB := tests/lab_tools/with-lab.sh

.PHONY: e2e integration

e2e: venv ## Round trip of one app: make e2e APP=mysql
	@if [ -z "$(filter $(APPS),$(APP))" ]; then \
		echo "make e2e needs the name of an app: there is no '$(APP)', known: $(APPS)" >&2; exit 2; fi
	@$(WITH_LAB) $(BIN)/pytest -q tests/integration/test_round_trip.py --app $(APP)

integration: venv ## All tests of the whole product on the rehearsal fleet
	@$(WITH_LAB) $(BIN)/pytest -q tests/integration

# The seed is fixed here so that a run can be compared with the one before; `make faults` draws new offsets every time.
test: venv ## Everything: unit and contract, integration, faults in short (needs root for the lab)
	@$(MAKE) --no-print-directory unit
	@$(WITH_LAB) $(MAKE) --no-print-directory integration faults APP=mysql FAULTS=short FAULTS_SEED=1
