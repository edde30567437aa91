# SPDX-License-Identifier: GPL-3.0-or-later
# Molecule scenarios for users of single roles, on hosts of the rehearsal fleet. Not part of `make test`, which runs the same roles and more.
SCENARIO ?=

.PHONY: molecule

molecule: venv ## Molecule scenarios, one after the other (SCENARIO=app_mysql: one of them); needs root for the lab
	@for scenario in $(or $(SCENARIO),$(notdir $(patsubst %/molecule.yml,%,$(wildcard molecule/*/molecule.yml)))); do \
		PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/molecule test --scenario-name "$$scenario"; done
