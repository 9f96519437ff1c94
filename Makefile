# `make setup` prepares .venv/ and is the only step before the others; each of them calls it.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
DEMO_CLOUD ?= data/flange.ply

# Idle OpenMP threads that spin on shared cores turn a tenth of a second into many.
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint style types imports format wheel constraints clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## prepare .venv/ (seconds when nothing changed)

$(READY): pyproject.toml constraints.txt tools/setup.sh
	bash tools/setup.sh $(PYTHON)
	@touch $@

demo: $(READY) ## clean a small noisy cloud and draw it before and after
	@mkdir -p demo
	$(BIN)/pcdenoise denoise $(DEMO_CLOUD) -o demo/$(notdir $(DEMO_CLOUD)) --render demo/before_after.png --overwrite
	@echo "The cleaned cloud is demo/$(notdir $(DEMO_CLOUD)), the picture demo/before_after.png"

test: $(READY) ## run the tests
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: style types imports ## style, types, import directions

style: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

format: $(READY) ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(READY) ## build the wheel and check what is in it
	rm -rf build/wheel
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir build/wheel .
	$(BIN)/python tools/check_wheel.py build/wheel

constraints: $(READY) ## pin the versions that are installed now
	@{ echo "# The versions the tests pass with. Renew: pip install -U -e '.[dev]', make test, make constraints"; \
	  $(BIN)/python -m pip freeze --all --exclude pip --exclude-editable | sed 's/+cpu$$//' | LC_ALL=C sort -f; } > constraints.new
	mv constraints.new constraints.txt

clean: ## remove what was built, keep .venv/
	rm -rf build dist demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
