# SPDX-License-Identifier: GPL-3.0-or-later
# Tests that need the rehearsal fleet. They use a lab of their own, so a lab made by `make lab` is never touched.
APPS := $(filter-out __init__,$(patsubst tests/integration/apps/%.py,%,$(wildcard tests/integration/apps/*.py)))
TEST_LAB := BACKSTAY_LAB=$${BACKSTAY_LAB:-backstay-test} BACKSTAY_LAB_PORT=$${BACKSTAY_LAB_PORT:-42400}

.PHONY: e2e integration with-test-lab

e2e: venv ## Round trip of one app: make e2e APP=mysql
	@if [ -z "$(filter $(APPS),$(APP))" ]; then \
		echo "make e2e needs APP=<app>; there is no '$(APP)', known: $(APPS)" >&2; exit 2; fi
	$(BIN)/pytest -q tests/integration/test_round_trip.py --app $(APP)

integration: venv ## All tests of the whole product on the rehearsal fleet
	$(BIN)/pytest -q tests/integration

test: venv ## Everything: unit, contract, integration, faults in short
	@bash tests/run-all.sh $(MAKE)
