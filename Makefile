# factorymon: sensor data from Kafka into PostgreSQL, exactly once.
# `make help` lists the targets.  PG_CONFIG=... chooses the PostgreSQL.

MODULE_big = factorymon
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
EXTENSION = factorymon
DATA = $(wildcard sql/factorymon--*.sql)
PGFILEDESC = "factorymon - sensor data from Kafka into PostgreSQL"

# Tests of the SQL surface; `make installcheck` runs them against a running
# server, with or without shared_preload_libraries: what needs background
# workers is in REGRESS_PRELOADED and joins in when the server has them.
REGRESS_ALWAYS = decode rebuild classify format
REGRESS_PRELOADED = options threshold detector kpi pipeline privileges seek \
	ledger retention status plant sensor rollup queries
REGRESS = $(REGRESS_ALWAYS) $(REGRESS_PRELOADED)
REGRESS_OPTS = --inputdir=test --encoding=UTF8

PG_CPPFLAGS = $(shell pkg-config --cflags rdkafka json-c)
PG_CFLAGS = -Wshadow=compatible-local
SHLIB_LINK = $(shell pkg-config --libs rdkafka json-c) -lz -lpthread

# No bitcode for JIT: it would double the build and inline nothing that matters.
override with_llvm = no

# From PostgreSQL 16 on only what is marked for export would be exported, and
# nothing is: test/modules call our functions by their names, all fm_*.
override CFLAGS_SL_MODULE =

# The stack in containers has its commands in docker/Makefile; they need Docker
# and nothing of what building here does.
STACK = stack stack-clean setup start stop status health full-start \
	infrastructure-only with-consumers with-monitoring start-monitoring \
	build-all build-sensors build-producers build-consumers \
	start-sensors start-producers stop-sensors stop-producers \
	start-consumers stop-consumers logs-sensors logs-producers logs-consumers \
	monitor monitor-sensors monitor-alerts test-external test-topics \
	verify-cluster kill-consumer kill-producer

ifneq (,$(filter-out help $(STACK),$(or $(MAKECMDGOALS),all)))
PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)
endif

# Headers are few and shared: a change of one rebuilds everything.
$(OBJS): $(wildcard src/*.h)

.PHONY: help producer dashboard export demo test test-long bench bench-full deps \
	$(STACK)

##@ Build
help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^help:/ && FNR < NR {next} \
		/^[a-z][a-z-]*:.*## / {printf "  make %-20s %s\n", $$1, $$2}' \
		$(firstword $(MAKEFILE_LIST)) docker/Makefile
	@printf '\nOf PGXS\n'
	@printf '  make %-20s %s\n' all 'build the extension (the default)' \
		install 'install it into the PostgreSQL of PG_CONFIG' \
		uninstall 'remove it from there' \
		installcheck 'run the SQL tests against the running server' \
		clean 'remove what was built'

deps: ## install the packages that build, test and demo need (apt)
	tools/install-deps --test

producer: ## build the sensor simulator and the embedded broker
	$(MAKE) -C producer

dashboard: ## build the monitoring service (REST, events, metrics)
	$(MAKE) -C dashboard

export: ## build the client that exports to CSV and XLSX
	$(MAKE) -C export

##@ Use and test
demo: ## the whole way, live in the terminal (DEMO_SECONDS=30 ends by itself)
	tools/demo

test: ## everything that CI runs; ends with totals
	tools/test

test-long: ## what takes longer; prints its budget first
	tools/test --long

bench: ## rows/s beside the limits and the fastest other tools, in half an hour
	bench/bench quick

bench-full: ## everything that bench/README.md lists; takes hours
	bench/bench full

$(STACK):
	@$(MAKE) --no-print-directory -C docker $@

clean: clean-programs
.PHONY: clean-programs
clean-programs:
	$(MAKE) -C producer clean
	$(MAKE) -C dashboard clean
	$(MAKE) -C export clean
