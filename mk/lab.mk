# SPDX-License-Identifier: GPL-3.0-or-later
# The rehearsal fleet; BACKSTAY_LAB and BACKSTAY_LAB_PORT choose which one.
LAB := /usr/bin/python3 lab/lab.py

.PHONY: lab lab-down lab-status

lab: ## Bring the rehearsal fleet up (containers with systemd and sshd)
	@$(LAB) up

lab-down: ## Remove the rehearsal fleet, images stay
	@$(LAB) down

lab-status: ## Show the hosts of the rehearsal fleet
	@$(LAB) status
