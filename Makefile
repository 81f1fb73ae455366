# Every developer command. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
export PREFECT_HOME := $(CURDIR)/.prefect
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1

.PHONY: help install label serve drill faults test quick check lint format types bench device device-wheels device-page fieldguide measure evaluation tree cookbook pictures docs clean

help: ## list these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: $(VENV)/.installed ## create the environment and install lazsl with its development tools

$(VENV)/.installed: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "lazsl needs $(PYTHON); set PYTHON=/path/to/python3.11 or newer" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

label: install ## label the embedded sample archive with the embedded model, through Prefect, into DuckDB
	$(BIN)/lazsl label --sample

serve: install ## run the service on this machine: Prefect's UI, workers, deployments
	$(BIN)/lazsl serve

faults: install ## damage, kill and disturb a small archive a thousand times; write docs/faults.md
	PYTHONPATH=tests/support OMP_NUM_THREADS=1 $(BIN)/python tests/faults/campaign.py --page docs/faults.md

drill: install ## kill a worker in the middle of a job on a whole topology, and see it finish (5 min)
	$(BIN)/python infra/drill.py

measure: install ## print how right each method was in the last `make label`, and how far to trust it
	$(BIN)/lazsl evaluate

# One of the three mostly waits for the service's processes.
test: install ## run the whole suite, in three processes (WORKERS=6: in six)
	$(BIN)/python -m pytest -n $(or $(WORKERS),3)

quick: install ## run the tests that start no server, browser or process of their own
	$(BIN)/python -m pytest -n $(or $(WORKERS),2) -m "not starts"

check: lint types test ## what CI runs

lint: install ## check style, which way imports point, and that what is imported is declared
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=.:flows $(BIN)/lint-imports
	$(BIN)/deptry lazsl flows/lazsl_flows

format: install ## put style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: install ## check types
	$(BIN)/mypy

bench: install ## run all benchmarks, keep their figures, draw them; fails when one misses its target
	$(BIN)/python -m benchmarks $(BENCH)

device: ## measure the GPU of this machine, right first and then fast (8 min; needs torch and torchvision)
	$(or $(wildcard $(BIN)/python),python3) -m benchmarks.device $(DEVICE)

device-wheels: ## what `make device` needs on a machine without a network, into device-wheels/
	$(or $(wildcard $(BIN)/python),python3) -m benchmarks.device.wheels device-wheels

device-page: ## keep the figures of the last `make device`, and make docs/research/device.md anew
	$(or $(wildcard $(BIN)/python),python3) -m benchmarks.device.keep device-figures/device.json

fieldguide: install ## draw the sample archive anew, and train the embedded model on from the first one (35 min of a core)
	$(BIN)/python -m studies.plates.sample
	$(BIN)/python -m studies.plates.training workspace/pool --checkpoint workspace/checkpoint.pt

cookbook: install ## label the sample twice and write docs/sql.md with every query's answer (2 min)
	$(BIN)/python -m studies.pages.cookbook

pictures: install ## make the pictures of the README and docs from the sample (needs Chromium; 2 min)
	$(BIN)/python -m studies.pages.pictures

evaluation: install ## measure the field guide anew and write docs/research/evaluation (an hour)
	$(BIN)/python -m studies.pages.evidence_page workspace/evidence docs/research/evaluation
	$(BIN)/python -m studies.pages.methods_page workspace/evidence docs/research/evaluation
	@for page in trust localisation controls; do $(BIN)/python -m studies.pages.$${page}_page workspace/evidence > docs/research/evaluation/$$page.new && mv docs/research/evaluation/$$page.new docs/research/evaluation/$$page.md || exit 1; done
	$(MAKE) tree
	$(BIN)/python -m studies.pages.ten_explanations workspace/pictures docs/research/evaluation

tree: install ## measure what parents, presence and the floor are worth; write docs/research/evaluation/tree.md (15 min)
	$(BIN)/lazsl label --sample -w workspace/parts
	$(BIN)/python -m studies.pages.tree_page workspace/parts workspace/worlds > docs/research/evaluation/tree.new && mv docs/research/evaluation/tree.new docs/research/evaluation/tree.md

docs: install ## write docs/commands.md, the reference of commands and settings, anew
	$(BIN)/python -m studies.pages.commands_page

clean: ## remove the environment and what runs left behind
	rm -rf $(VENV) .prefect workspace
