# `make run` starts the vault with all it needs, `make test` checks all of it, `make package` readies it for AWS.

SHELL := /bin/sh
BIN := .venv/bin
STAGE ?= prod

.PHONY: help run test check bench static format package deploy lock clean setup
.DEFAULT_GOAL := help

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

run: setup ## Start the vault and its stand-ins at http://localhost:8381/ (or PORT=...)
	@exec $(BIN)/python -m dev.run

test: setup ## Format, lint, types, import contract and all tests, with coverage
	@$(BIN)/python -m dev.chromium
	@$(BIN)/python -m tests.directories.packages
	@$(MAKE) --no-print-directory static
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto -m "not browser and not integration"
	$(BIN)/coverage run -m pytest -m "browser or integration"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

check: setup static ## The fast part of it, without browser and integration tests
	$(BIN)/python -m pytest -n auto -m "not browser and not integration"

bench: setup ## Measure the vault beside its floor and its peers; writes docs/benchmarks
	@$(BIN)/python -m benchmarks.bench

static: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: setup ## Format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

package: setup ## Make bundle and CloudFormation template of STAGE=prod in build/prod, without AWS credentials
	@$(BIN)/python -m deploy.package --stage "$(STAGE)"

deploy: setup ## Bring the package of STAGE=prod into the AWS account of the AWS CLI; DRY_RUN=1 only says what it would do
	@$(BIN)/python -m deploy.deploy --stage "$(STAGE)" $(if $(DRY_RUN),--dry-run)

lock: setup ## Write requirements.lock anew from requirements.txt
	@$(BIN)/python -m deploy.lock

clean: ## Remove the virtual environment and everything generated
	rm -rf .venv .run .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* htmlcov build

setup:
	@sh dev/setup.sh
