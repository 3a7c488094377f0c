# The two commands are `make run` and `make test`; `make help` lists the rest.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run test check format campaign campaign-staking invariants mutants bench docs clean lock

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv with what the product needs
	@PYTHON=$(PYTHON) sh tools/setup.sh run

setup-dev: ## Make .venv with what the tests need too, system packages included
	@PYTHON=$(PYTHON) sh tools/setup.sh dev

run: setup ## Start devchain, pool, API, page and a gentle miner on 127.0.0.1
	@$(BIN)/millpond up

test: setup-dev check ## Run every test, two at a time
	@$(BIN)/python -m pytest -n 2 --dist loadfile

check: setup-dev ## Formatting, lint, types, arrows between the rooms
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup-dev ## Format the sources
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

campaign: setup-dev ## Two hundred kills over mining, reward and payout (half an hour)
	@MILLPOND_CAMPAIGN_KILLS=$${KILLS:-200} $(BIN)/python -m pytest -q tests/campaigns/test_kills.py

campaign-staking: setup-dev ## The same over stakes, on both databases, and every reorg (an hour)
	@for seed in $${SEEDS:-1 2 3 4}; do \
		MILLPOND_CAMPAIGN_SEED=$$seed MILLPOND_CAMPAIGN_KILLS=$${KILLS:-50} \
			$(BIN)/python -m pytest -q tests/campaigns/test_staking_kills.py || exit 1; \
	done
	@MILLPOND_CAMPAIGN=long $(BIN)/python -m pytest -q tests/campaigns/test_staking_end_to_end.py

invariants: setup-dev ## The contracts in forge, at length (some minutes)
	@$(BIN)/python tools/forge.py --long

mutants: setup-dev ## Plant every bug in the contracts and see what the tests catch (an hour)
	@$(BIN)/python tools/mutants.py

bench: setup-dev ## Measure the hot paths; one JSON line a figure
	@$(BIN)/python -m bench

docs: setup-dev ## Make the generated pages anew and check links, index and register
	@$(BIN)/python tools/docs.py --write

lock: ## Resolve the dependencies anew into the hashed lock files
	@sh tools/lock.sh

clean: ## Remove what was built, keep the data
	@rm -rf $(VENV) build dist .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache src/*.egg-info
	@find src tests bench -name '__pycache__' -prune -exec rm -rf {} + ; find src -name '*.so' -delete
