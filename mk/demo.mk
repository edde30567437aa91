# SPDX-License-Identifier: GPL-3.0-or-later
.PHONY: demo

demo: venv ## Lose a database and get it back, proved, on the rehearsal fleet
	@PYTHONPATH=tests $(BIN)/python lab/demo/demo.py
