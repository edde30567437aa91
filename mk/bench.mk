# SPDX-License-Identifier: GPL-3.0-or-later
# Benchmarks against what people use instead; docs/benchmarks.md explains and shows them. A lab of their own unless one is named.
BENCH_MIB ?= 1100
BENCH_PRODUCT_MIB ?= 300
BENCH_ROUNDS ?= 3
BENCH_SLOW_ROUNDS ?= 2
BENCH_RESTORES ?= 2
BENCH_LOAD_SECONDS ?= 240
BENCH_MINUTES ?= 15
BENCH_SIZES ?= 1,2,4,8
BENCH_OUT ?= docs/benchmarks
BENCH := BACKSTAY_LAB="$${BACKSTAY_LAB:-bench}" BACKSTAY_LAB_PORT="$${BACKSTAY_LAB_PORT:-46200}" PYTHONPATH=collections $(BIN)/python

.PHONY: bench-mysql bench-engine bench-outage

bench-mysql: venv ## MariaDB: backup and restore against what people use instead; MySQL, dumps
	@$(BENCH) bench/mysql.py --mib $(BENCH_MIB) --product-mib $(BENCH_PRODUCT_MIB) --rounds $(BENCH_ROUNDS) --slow-rounds $(BENCH_SLOW_ROUNDS) --restores $(BENCH_RESTORES) \
	  --load-seconds $(BENCH_LOAD_SECONDS) --minutes $(BENCH_MINUTES) --out $(BENCH_OUT)

bench-engine: venv ## Meter, worker start, control-node CPU, remote executions
	@$(BENCH) bench/engine.py --out $(BENCH_OUT)

bench-outage: venv ## Outage of a stopped application against stop - copy - start, needs root
	@$(BENCH) bench/outage.py --sizes $(BENCH_SIZES) --out $(BENCH_OUT)
