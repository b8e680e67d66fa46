# One command from a fresh machine: `make train`. Needs Python 3.11 and make, nothing else.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
ARGS ?=
DATA ?= omniglot
SCALE ?= 1
SEEDS ?= $(if $(filter 1 1.0,$(SCALE)),0$(comma)1$(comma)2,0)
comma := ,

BIN := .venv/bin
NATIVE := src/firstorder/engines/native
CPP := $(wildcard $(NATIVE)/*.cpp $(NATIVE)/*.h tests/engines/*.cpp benchmarks/*.cpp)
INSTALL := $(BIN)/pip install --disable-pip-version-check
RUN_STAMP := .venv/.installed
SWEEP_STAMP := .venv/.installed-sweep
DEV_STAMP := .venv/.installed-dev
NOTEBOOK_STAMP := .venv/.installed-notebooks
L2L_STAMP := .venv/.installed-learn2learn
DOCS_STAMP := .venv/.installed-docs

.PHONY: help train test lint paper results sanitize bench notebooks data wheel docs pages linkcheck learn2learn clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

train: $(RUN_STAMP) ## set up and run the main job; make train ARGS="algo=reptile data=omniglot"
	$(BIN)/python src/train.py $(ARGS)

test: lint $(L2L_STAMP) ## set up, then check style, types and tests; ARGS go to pytest
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 $(ARGS)

lint: $(DEV_STAMP) ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/clang-format --style=file:$(NATIVE)/.clang-format --dry-run -Werror $(CPP)
	for source in $(filter %.cpp,$(CPP)); do \
		$(CXX) -std=c++17 -O2 -fopenmp -Wall -Wextra -Werror -I$(NATIVE) -c -o /dev/null $$source || exit 1; \
	done

sanitize: $(DEV_STAMP) ## test the C++ under g++'s address and undefined-behaviour sanitizers
	LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libstdc++.so.6)" \
	ASAN_OPTIONS=detect_leaks=0 OMP_NUM_THREADS=1 CXX=g++ \
	FIRSTORDER_NATIVE_FLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all" \
	$(BIN)/python -m pytest -s --timeout 600 tests/engines/test_native.py $(ARGS)

bench: $(L2L_STAMP) ## measure speed beside its goals, and memory; ARGS=--keep writes docs/results/speed.md
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python -m benchmarks.speed $(ARGS)

paper: $(SWEEP_STAMP) ## reproduce the paper and report it; make paper SCALE=0.01 takes a hundredth of each run
	$(BIN)/python src/paper.py scale=$(SCALE) seeds=[$(SEEDS)] $(ARGS)

results: $(RUN_STAMP) ## make docs/results' tables and figures again from its run records
	$(BIN)/python src/report.py runs=[docs/results/runs] out=docs/results/report

notebooks: $(NOTEBOOK_STAMP) ## run the notebooks and keep what they show
	cd docs/notebooks && for book in *.ipynb; do \
		../../$(BIN)/jupyter execute --timeout=7200 --inplace $$book || exit 1; \
	done

data: $(RUN_STAMP) ## fetch and prepare a data set; make data DATA=omniglot
	$(BIN)/python src/prepare.py data=$(DATA) $(ARGS)

wheel: $(RUN_STAMP) ## build dist/firstorder-*.whl, which carries the configs and the commands
	rm -rf build
	$(BIN)/pip wheel --disable-pip-version-check --quiet --no-deps --wheel-dir dist .

docs: $(DOCS_STAMP) ## make a site of the pages, docs/_build/html, offline; any warning is an error
	$(BIN)/sphinx-build -W --keep-going -q docs docs/_build/html

pages: $(L2L_STAMP) $(DEV_STAMP) ## run every command of the pages at a tiny scale (half an hour); ARGS go to pytest
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m pages -v -rfEs --tb=short tests/test_pages.py $(ARGS)

linkcheck: $(DOCS_STAMP) ## try the pages' links to other sites (needs the internet)
	$(BIN)/sphinx-build -q -b linkcheck docs docs/_build/linkcheck

learn2learn: $(L2L_STAMP) ## build and install learn2learn (needs a C compiler)

clean: ## remove the environment and the tools' caches; outputs/ stays
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache build dist docs/_build src/firstorder.egg-info
	find src tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

$(RUN_STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(INSTALL) --constraint constraints.txt --editable .
	touch $@

$(SWEEP_STAMP): $(RUN_STAMP)
	$(INSTALL) --quiet --constraint constraints.txt --editable '.[sweep]'
	touch $@

$(DEV_STAMP): $(RUN_STAMP)
	$(INSTALL) --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

$(NOTEBOOK_STAMP): $(RUN_STAMP)
	$(INSTALL) --quiet --constraint constraints.txt --editable '.[notebooks]'
	touch $@

$(DOCS_STAMP): $(RUN_STAMP)
	$(INSTALL) --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

$(L2L_STAMP): requirements/learn2learn.txt $(RUN_STAMP)
	$(INSTALL) --quiet 'pip>=23.1'
	$(INSTALL) --quiet --no-deps --use-pep517 --requirement requirements/learn2learn.txt
	touch $@
