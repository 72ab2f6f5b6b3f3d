# `make` lists the targets. What they do is done by dask-bake and by the tools of pyproject.toml; here is no logic.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PYTEST := AWS_EC2_METADATA_DISABLED=true $(BIN)/python -m pytest
PROWLER := .venv-security/.installed
SCRIPTS := $(wildcard packer/scripts/*.sh) $(addprefix packer/rootfs/usr/libexec/dask-bake/,as-login-user hand-over host-key jupyter-token) setup.sh examples/demo.sh .ci/run
# Where setup.sh puts Packer on a Debian that has no package of it.
export PATH := $(PATH):$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/dask-bake/packer/bin

.DEFAULT_GOAL := help
.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: debian $(INSTALLED) ## install what is missing: Debian packages, a virtual environment, this project

.PHONY: debian
debian:
	@./setup.sh

$(INSTALLED): pyproject.toml $(wildcard packer/*.pip.lock) | debian
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@# The laptop's Dask is the image's Dask: the versions of this Python's lock, or else of the newest, bind here too.
	@{ cat packer/py$$($(BIN)/python -c 'import sys; print(*sys.version_info[:2], sep="")').pip.lock 2>/dev/null || \
		cat $(lastword $(sort $(wildcard packer/py*.pip.lock))); } | \
		sed -n '/^pip==/!s/^\([A-Za-z0-9._-]*==[^ ]*\) .*/\1/p' > $(VENV)/constraints.txt
	@echo "installing dask-bake and its tools into $(VENV)"
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint $(VENV)/constraints.txt --editable '.[local,examples,dev]'
	@touch $@

.PHONY: demo
demo: setup ## try it all here: bake, launch 2 × 2 workers, compute, no AWS account needed
	@./examples/demo.sh $(BIN)/dask-bake

.PHONY: ami
ami: $(INSTALLED) ## bake the image, from conda's packages where they can be reached
	@$(BIN)/dask-bake bake --installer auto

.PHONY: test
test: setup ## run every test that this machine can run; says which it cannot
	@# Half the time a test waits, for a pause to pass or for a process.
	@$(PYTEST) --ignore tests/integration --dist worksteal --numprocesses $$(($$(nproc) * 3 / 2))
	@$(PYTEST) tests/integration

.PHONY: test-fast
test-fast: $(INSTALLED) ## run the tests that need no root and take seconds
	@$(PYTEST) --ignore tests/integration --dist worksteal --numprocesses auto

.PHONY: soak
soak: $(INSTALLED) ## launch and end 10 000 clusters while a fifth of the requests fail; an hour or two
	@PYTHONPATH=tests:tests/support $(BIN)/python -m soak --cycles 10000

.PHONY: faults
faults: $(INSTALLED) ## write docs/faults.md from what the tests last saw
	@PYTHONPATH=tests/support $(BIN)/python -m fault_table

.PHONY: security
security: $(INSTALLED) $(PROWLER) ## hold launched clusters to prowler's checks of EC2; ENDPOINT=… looks at others
	@PYTHONPATH=tests:tests/support $(BIN)/python -m security $(ENDPOINT)

$(PROWLER): tests/security/requirements.txt
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@echo "installing prowler into $(@D): 2.3 GB"
	@$(@D)/bin/python -m pip install --quiet --quiet --disable-pip-version-check --requirement $<
	@touch $@

.PHONY: lint
lint: setup ## check the style of everything
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@shellcheck $(SCRIPTS)
	@packer fmt -check packer
	@AWS_EC2_METADATA_DISABLED=true $(BIN)/python -m pytest -q tests/unit/bake/packer/test_packer.py -k template_as_it_is_staged
	@$(BIN)/codespell

.PHONY: format
format: $(INSTALLED) ## rewrite the code in the project's format
	@$(BIN)/ruff check --fix --quiet; $(BIN)/ruff format --quiet
	@packer fmt packer

.PHONY: lock
lock: $(INSTALLED) ## resolve packer/environment.yml anew into the lock of its Python
	@$(BIN)/dask-bake lock --installer pip

.PHONY: clean
clean: ## stop the local cloud and remove what the targets above made here
	@test ! -x $(BIN)/dask-bake || $(BIN)/dask-bake local down
	@rm -rf $(VENV) $(dir $(PROWLER)) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
