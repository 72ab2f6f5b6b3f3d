# `make` lists the targets. They run dask-bake and the tools of pyproject.toml, and have no logic of their own.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PYTEST := AWS_EC2_METADATA_DISABLED=true $(BIN)/python -m pytest
TIERS := AWS_EC2_METADATA_DISABLED=true $(BIN)/python tests/support/tiers.py
PROWLER := .venv-security/.installed
PACKER_CURRENT := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/dask-bake/packer-current
SCRIPTS := $(wildcard packer/scripts/*.sh) $(addprefix packer/rootfs/usr/libexec/dask-bake/,as-login-user hand-over host-key jupyter-token) setup.sh examples/demo.sh .ci/run
# Where setup.sh puts Packer on a Debian that has no package of it.
export PATH := $(PATH):$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/dask-bake/packer/bin

.DEFAULT_GOAL := help
.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: debian $(INSTALLED) ## install missing Debian packages, and this project with its tools into .venv

.PHONY: debian
debian:
	@./setup.sh

$(INSTALLED): pyproject.toml $(wildcard packer/*.pip.lock) | debian
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@# Install the image's versions of Dask and the like here too: of this Python's lock, else of the newest one.
	@{ cat packer/py$$($(BIN)/python -c 'import sys; print(*sys.version_info[:2], sep="")').pip.lock 2>/dev/null || \
		cat $(lastword $(sort $(wildcard packer/py*.pip.lock))); } | \
		sed -n '/^pip==/!s/^\([A-Za-z0-9._-]*==[^ ]*\) .*/\1/p' > $(VENV)/constraints.txt
	@echo "installing dask-bake and its tools into $(VENV)"
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint $(VENV)/constraints.txt --editable '.[local,examples,dev]'
	@touch $@

.PHONY: demo
demo: setup ## bake, launch 2 × 2 workers and compute on this machine, without an AWS account
	@./examples/demo.sh $(BIN)/dask-bake

.PHONY: ami
ami: $(INSTALLED) ## bake the image, from conda packages if conda-forge can be reached, else by pip
	@$(BIN)/dask-bake bake --installer auto

.PHONY: test
test: setup ## test that it works, with nine nodes too: ten minutes; names what this machine cannot run
	@$(TIERS) quick mission nodes

.PHONY: test-all
test-all: setup ## run every test: each fault, each way in, each way to end a cluster; half an hour
	@$(TIERS) quick mission nodes slow

.PHONY: test-rest
test-rest: setup ## run the tests of test-all that test leaves out
	@$(TIERS) slow

.PHONY: test-fast
test-fast: $(INSTALLED) ## run the tests that need neither root nor a network: five minutes
	@$(TIERS) quick

.PHONY: flaky
flaky: $(INSTALLED) ## run test-fast twenty times in random order, two at a time: an hour and more
	@AWS_EC2_METADATA_DISABLED=true $(BIN)/python tests/support/flaky.py

.PHONY: soak
soak: $(INSTALLED) ## launch and end 10 000 clusters while a fifth of the requests fail; an hour or two
	@PYTHONPATH=tests:tests/support $(BIN)/python -m soak --cycles 10000

.PHONY: faults
faults: $(INSTALLED) ## write docs/faults.md from the last results of the tests
	@PYTHONPATH=tests/support $(BIN)/python -m fault_table

.PHONY: bench
bench: $(INSTALLED) ## measure bakes and launches: tables, and JSON on stdout; 15 minutes, BENCH=launch for one
	@AWS_EC2_METADATA_DISABLED=true $(BIN)/python bench $(BENCH)

.PHONY: picture
picture: $(INSTALLED) ## draw docs/launch.svg from a real launch in the local cloud
	@$(BIN)/python docs/picture.py $(BIN)/dask-bake

.PHONY: security
security: $(INSTALLED) $(PROWLER) ## check launched clusters with prowler's checks of EC2; ENDPOINT=… checks others
	@PYTHONPATH=tests:tests/support $(BIN)/python -m security $(ENDPOINT)

$(PROWLER): tests/security/requirements.txt
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@echo "installing prowler into $(@D): 2.3 GB"
	@$(@D)/bin/python -m pip install --quiet --quiet --disable-pip-version-check --requirement $<
	@touch $@

.PHONY: packer-current
packer-current: $(PACKER_CURRENT)/go.sum ## build HashiCorp's current Packer and its Amazon plugin for the tests, by Go: ten minutes

$(PACKER_CURRENT)/go.sum: tests/packer-current/go.mod tests/packer-current/go.sum
	@echo "building Packer and its Amazon plugin in $(@D)"
	@mkdir -p $(@D)
	@cd tests/packer-current && nice go build -p 1 -trimpath -ldflags '-s -w' -o $(@D)/ $$(go list -f '{{.ImportPath}}' tool)
	@PACKER_PLUGIN_PATH=$(@D)/plugins CHECKPOINT_DISABLE=1 $(@D)/packer plugins install --path $(@D)/packer-plugin-amazon \
		github.com/hashicorp/amazon
	@cp tests/packer-current/go.sum $@

.PHONY: lint
lint: setup shellcheck packer-check ## check style, types and spelling of everything
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/codespell

.PHONY: shellcheck
shellcheck:
	@shellcheck $(SCRIPTS)

.PHONY: packer-check
packer-check:
	@packer fmt -check packer
	@$(PYTEST) -q tests/unit/bake/packer/test_packer.py -k template_as_it_is_staged

.PHONY: format
format: $(INSTALLED) ## format the code
	@$(BIN)/ruff check --fix --quiet; $(BIN)/ruff format --quiet
	@packer fmt packer

.PHONY: lock
lock: $(INSTALLED) ## resolve packer/environment.yml into the lock of its Python
	@$(BIN)/dask-bake lock --installer pip

.PHONY: clean
clean: ## stop the local cloud, and remove environments, builds and caches
	@test ! -x $(BIN)/dask-bake || $(BIN)/dask-bake local down
	@rm -rf $(VENV) $(dir $(PROWLER)) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
