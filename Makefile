# Every command sets up what it needs by itself. The only things a machine must have are python3 (3.11 or newer) and make.

PYTHON ?= python3
# Installed first and by its exact version: a range may resolve to another build with several gigabytes of GPU libraries.
# Another build can be named here, for example: make install TORCH="torch==2.13.0 --index-url URL"
TORCH ?= torch==2.13.0
RECIPE ?= recipes/question-routing.yaml
RUN ?= runs/question-routing

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
INSTALLED := .venv/.installed

# Threads that wait for others would otherwise spin on the cores that the others need.
export GOMP_SPINCOUNT := 0
# Two processes run tests side by side, each with one thread.
test: export OMP_NUM_THREADS := 1
demo test test-slow: export HF_HUB_OFFLINE := 1
# The documentation theme prints advice about its own future on every build.
docs check: export NO_MKDOCS_2_WARNING := 1

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow check docs lock clean

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Make .venv with the locked versions; does nothing where that is done.

$(INSTALLED): requirements/locked.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Strop needs Python 3.11 or newer, but '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)"; \
		echo "Name a newer one, for example: make install PYTHON=python3.12"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv || { \
		echo "'$(PYTHON) -m venv .venv' failed; on Debian and Ubuntu install the package python3-venv first"; exit 1; }
	@echo "Setting up .venv: $(TORCH) (the largest part; minutes on a slow line)"
	@$(PIP) install $(TORCH)
	@echo "Setting up .venv: requirements/locked.txt"
	@$(PIP) install -r requirements/locked.txt
	@$(PIP) install --no-deps -e .
	@touch $@
	@echo "Set up: $(BIN)/strop"

demo: install ## Check, train and report on the sample; prints where the report lies.
	@$(BIN)/strop check $(RECIPE)
	@$(BIN)/strop fit $(RECIPE)
	@$(BIN)/strop report $(RUN)
	@echo "The report: $(RUN)/report.html"

test: install ## Run the quick tests.
	@$(BIN)/python -m pytest -n 2

test-slow: install ## Run the tests that take minutes.
	@code=0; $(BIN)/python -m pytest -m slow || code=$$?; \
	if [ $$code -eq 5 ]; then echo "There are no slow tests."; else exit $$code; fi

check: install ## Style, types, import rules, spelling and documentation, warnings as errors.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/mkdocs build --strict --quiet

docs: install ## Build the documentation into site/.
	@$(BIN)/mkdocs build --strict --quiet
	@echo "The documentation: site/index.html"

lock: install ## Write the versions that are installed now to requirements/locked.txt.
	@$(PIP) freeze --exclude-editable --exclude torch --exclude strop --exclude pip --exclude setuptools | sed 's/+cpu$$//' \
		> requirements/.locked.part
	@mv requirements/.locked.part requirements/locked.txt
	@echo "Wrote requirements/locked.txt: $$(wc -l < requirements/locked.txt) packages; read the difference before it is kept"

clean: ## Remove what was built here; runs and .venv stay.
	@rm -rf site dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
