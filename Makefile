# What can be done here, with Python >= 3.11 and make. `make help` lists it.

VENV := .venv
BIN := $(VENV)/bin
BENCH_VENV := .venv-bench
FUZZ_VENV := .venv-fuzz
NEWEST_VENV := .venv-newest

# How many test files run at once: many wait for something most of the time.
JOBS ?= 3

# How long `make soak` goes on: 20 million steps are about two hours on one core, 10,000 simulated
# hours about ten minutes.
STEPS ?= 20000000
SIM_HOURS ?= 10000
KILLS ?= 200
POWER_CUTS ?= 1000

# For how many seconds `make fuzz` goes on with each group of parsers.
FUZZ_SECONDS ?= 1800

# The first Python that is new enough; `make PYTHON=/path/to/python3 demo` takes another.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)

PIP := -m pip --disable-pip-version-check install --quiet --editable
# The versions that the tests passed with: a release of somebody else's breaks nothing here until
# `make constraints` takes it in.
CONSTRAINTS := constraints.txt

# What tests need from the distribution's packages: each is a script in .ci that looks for it.
PARTS := gromacs environment-modules fault-tools postgresql openmpi slurm crate-validator \
	shells chromium

# The stories that servers go through on a PostgreSQL, too.
ALSO_ON_POSTGRESQL := $(addprefix tests/e2e/test_,server_truth.py gromacs_stories.py \
	worker_endings.py evaluators.py \
	how_to_disk.py::test_a_file_that_went_is_told_from_one_that_is_lost)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-fast soak fuzz mutations lint format docs constraints bench clean $(PARTS)

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo  ## Run a whole project here, in 4 minutes (make demo DEMO=pi: in 20 seconds)
	@$(BIN)/cpc demo $(DEMO)

test: $(VENV)/.dev $(PARTS) lint  ## Check everything: style, types, layers, all tests
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --postgresql $(ALSO_ON_POSTGRESQL)

test-fast: $(VENV)/.dev  ## Run the quick tests (less than a minute)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --quick tests/architecture tests/unit tests/property

soak: $(VENV)/.dev fault-tools  ## Simulate servers for 10,000 hours, drive the engine through storms, kill, cut power, fail disks
	$(BIN)/python -m pytest -n $(JOBS) tests/property/test_simulation.py --sim-hours $(SIM_HOURS)
	$(BIN)/python -m pytest -n $(JOBS) tests/property/test_engine_storm.py \
		tests/property/test_engine_storm_alone.py --dist loadfile --storm-steps $(STEPS)
	CPC_GROWTH_MB=500 $(BIN)/python -m pytest -s tests/integration/test_checkpoint_growth.py
	$(BIN)/python -m pytest tests/property/test_parsers_fuzzed.py tests/integration/test_api_fuzzed.py \
		--fuzz-inputs 20000 --timeout 14400
	$(BIN)/python -m pytest --timeout 7200 tests/faults/test_faults_kills.py \
		tests/faults/test_faults_power.py tests/faults/test_faults_failing_disk.py \
		--kills $(KILLS) --power-cuts $(POWER_CUTS) --every-failure

	$(MAKE) fuzz

fuzz: $(FUZZ_VENV)/.fuzz  ## Feed every parser what its own branches ask for (Python 3.11; FUZZ_SECONDS each group)
	cd tests && ../$(FUZZ_VENV)/bin/python -m fuzz.run --seconds $(FUZZ_SECONDS)

mutations: $(VENV)/.dev fault-tools  ## Take safety rules out of a copy: their tests must fail
	cd tests && ../$(BIN)/python -m mutations.run

lint: $(VENV)/.dev  ## Check style, types and layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev  ## Bring the source into its form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.dev  ## Write the reference pages that follow from the code
	$(BIN)/python docs/reference/generate.py

constraints:  ## Take the newest versions of what tests and demo install (then: make test)
	$(call make_venv,$(NEWEST_VENV))
	@$(NEWEST_VENV)/bin/python $(PIP) '.[dev]'
	@$(NEWEST_VENV)/bin/python -m pip freeze --exclude-editable >$(CONSTRAINTS)
	@rm -rf $(NEWEST_VENV)

bench: $(BENCH_VENV)/.bench gromacs  ## Measure it beside Dask, Parsl, Ray and HyperQueue; see bench/results
	$(BENCH_VENV)/bin/python -m benchmarks $(BENCH)

$(PARTS):
	@.ci/$@

clean:  ## Remove the environments and caches
	rm -rf $(VENV) $(BENCH_VENV) $(FUZZ_VENV) $(NEWEST_VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(VENV)/.demo: pyproject.toml $(CONSTRAINTS)
	$(call make_venv,$(VENV))
	@echo "Installing Copernicus with OpenMM into $(VENV) ..."
	@$(BIN)/python $(PIP) '.[openmm]' --constraint $(CONSTRAINTS)
	@touch $@

$(VENV)/.dev: pyproject.toml $(CONSTRAINTS)
	$(call make_venv,$(VENV))
	@$(BIN)/python $(PIP) '.[dev]' --constraint $(CONSTRAINTS)
	@touch $@

$(BENCH_VENV)/.bench: pyproject.toml
	$(call make_venv,$(BENCH_VENV))
	@$(BENCH_VENV)/bin/python $(PIP) '.[bench]'
	@touch $@

$(FUZZ_VENV)/.fuzz: pyproject.toml
	$(call make_venv,$(FUZZ_VENV))
	@$(FUZZ_VENV)/bin/python $(PIP) '.[fuzz]'
	@touch $@

define make_venv
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed: install it, or name it:" \
		"make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@[ -x $(1)/bin/pip ] || $(PYTHON) -m venv $(1) || { echo "Python cannot make an environment:" \
		"on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }
endef
