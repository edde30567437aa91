# SPDX-License-Identifier: GPL-3.0-or-later
# Tests that need the rehearsal fleet. They use a lab of their own, so a lab made by `make lab` is never touched.
APPS := $(filter-out __init__,$(patsubst tests/integration/apps/%.py,%,$(wildcard tests/integration/apps/*.py)))
# A name is an app or one of its products (an adapter takes the round trip), a story told by tests/integration/test_NAME.py (hyphens as
# underscores), or both. To an app belong all stories whose names begin with its own.
STORIES := $(subst _,-,$(patsubst tests/integration/test_%.py,%,$(wildcard tests/integration/test_*.py)))
NAMED = $(subst -,_,$(APP))
WITH_LAB := tests/lab_tools/with-lab.sh

.PHONY: conformance e2e integration

conformance: venv ## Stand-ins against their specification, raw commands in the lab (SHORT=--short leaves out the long ones)
	@LAB_ONLY=app_powershare,app_oracle,oracle-spare1,app_domino $(WITH_LAB) $(BIN)/pytest -q -n 2 --dist loadfile --durations=10 $(SHORT) tests/conformance

e2e: venv ## Round trip of one app (all its products) and its own stories, or one of them: make e2e APP=mysql, APP=mysql-9
	@if [ -z "$(filter $(APPS) $(STORIES),$(APP) $(NAMED))" ]; then \
		echo "make e2e needs a name: there is no '$(APP)', apps: $(subst _,-,$(APPS)), stories: $(STORIES)" >&2; exit 2; fi
	@$(WITH_LAB) $(BIN)/pytest -q $(if $(filter $(APPS),$(NAMED)),tests/integration/test_round_trip.py --app $(NAMED)) \
		$(wildcard tests/integration/test_$(NAMED).py tests/integration/test_$(NAMED)_*.py)

integration: venv ## All tests of the whole product on the rehearsal fleet (SHORT=--short leaves out the long ones)
	@$(WITH_LAB) $(BIN)/pytest -q -n 2 --dist loadfile --durations=20 $(SHORT) tests/integration

test: venv ## Everything in its short form: unit, local, conformance, integration, faults (needs root for the lab)
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory local conformance integration faults-short SHORT=--short
