# `make run` starts the vault with all it needs, `make test` checks all of it, `make package` readies it for AWS.

SHELL := /bin/sh
BIN := .venv/bin
STAGE ?= prod
SECONDS ?= 1800
ROUNDS ?= 1000
# They pass again and again where others have been: measuring them would take as long as they do and find no line more
UNMEASURED := tests/attacks tests/faults

.PHONY: help run test check bench static secure fuzz mutate format package deploy lock prove soak clean setup
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
	$(BIN)/coverage run -m pytest -n auto -m "not browser and not integration" $(UNMEASURED:%=--ignore=%)
	$(BIN)/python -m pytest -n auto $(UNMEASURED)
	$(BIN)/coverage run -m pytest -n auto --dist loadgroup -m "browser or integration"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

check: setup static ## The fast part of it, without browser and integration tests
	$(BIN)/python -m pytest -n auto -m "not browser and not integration"

bench: setup ## Measure the vault beside its floor and its peers, with up to GRANTS=10000; writes docs/benchmarks
	@$(if $(GRANTS),GRANTS="$(GRANTS)") $(BIN)/python -m benchmarks.bench

static: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

secure: setup ## Static analysis: bandit, own rules, secrets, advisories (OFFLINE=1 where no advisory service can be asked)
	@sh dev/secure.sh
	@.venv-secure/bin/python -m secure

fuzz: SECONDS = 60
fuzz: setup ## Fuzz every reader of text from outside, SECONDS=60 each, and the API
	@sh dev/secure.sh
	.venv-secure/bin/python -m fuzz --seconds $(SECONDS)
	.venv-secure/bin/python -m pytest -q fuzz/test_api.py

mutate: setup ## Change the code that decides, one change at a time, and count which ones the tests notice (a quarter of an hour)
	$(BIN)/python -m mutation $(MODULES)

format: setup ## Format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

package: setup ## Make bundle and CloudFormation template of STAGE=prod in build/prod, without AWS credentials
	@$(BIN)/python -m deploy.package --stage "$(STAGE)"

deploy: setup ## Bring the package of STAGE=prod into the AWS account of the AWS CLI; DRY_RUN=1 only says what it would do, REVIEW=1 shows the changes, ADOPT=1 takes over kept tables
	@$(BIN)/python -m deploy.deploy --stage "$(STAGE)" $(if $(STACK),--stack "$(STACK)") \
		$(if $(DRY_RUN),--dry-run) $(if $(REVIEW),--review) $(if $(ADOPT),--adopt)

lock: setup ## Write requirements.lock anew from requirements.txt
	@$(BIN)/python -m deploy.lock

soak: setup ## Mixed requests with faults for SECONDS=1800: nothing piles up, nothing fails that was not made to
	SECONDS="$(SECONDS)" $(BIN)/python -m pytest -q -s -p no:logging tests/faults/test_soak.py

prove: setup ## The long forms of the tests (an hour and a half), and docs/proof.md with their numbers; SECONDS=... and ROUNDS=... shorten it, STEPS="soak ..." chooses
	@sh dev/secure.sh
	@SECONDS="$(SECONDS)" ROUNDS="$(ROUNDS)" $(BIN)/python -m dev.prove $(STEPS)

clean: ## Remove the virtual environment and everything generated
	rm -rf .venv .run .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* htmlcov build

setup:
	@sh dev/setup.sh
