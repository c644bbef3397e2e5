# Everything starts from a bare machine: git, make, python3 (3.11 or newer) and a package index.
PYTHON ?= python3
SHELL := /bin/bash
READY := .venv/.ready
NOTEBOOKS := $(sort $(wildcard notebooks/*.ipynb))
STUDY := $(addprefix notebooks/,$(addsuffix .ipynb,00_toy 01_zoo 02_diffusion 03_evaluation))
STYLES := notebooks/00_base_images.ipynb $(filter notebooks/06_% notebooks/10_unseen_styles%,$(NOTEBOOKS))
ANALYSES := $(filter-out $(STUDY) $(STYLES),$(NOTEBOOKS))
run = set -e; for notebook in $(1); do echo "== $$notebook"; papermill $$notebook -p preset $(2); done
export PATH := $(CURDIR)/.venv/bin:$(PATH)
unexport PYTHONDONTWRITEBYTECODE  # some images set it: every process would compile torch and transformers anew

.PHONY: help study styles analyses test browser gpu full gate figures book lock
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

study: $(READY)  ## environment, notebooks on the laptop preset, the book of that run, the headline numbers
	@$(call run,$(STUDY),laptop)
	@python -m cpd.study.book laptop

styles: $(READY)  ## the notebooks on pictures, on the laptop preset, and the book of everything that was run so far
	@$(call run,$(STYLES),laptop)
	@python -m cpd.study.book laptop

analyses: $(READY)  ## weight space, novelty, ablations, ranks, cost and your own adapters, on the laptop preset, and the book
	@$(call run,$(ANALYSES),laptop)
	@python -m cpd.study.book laptop

test: $(READY) browser  ## every check; the tests come last
	ruff check .
	ruff format --check .
	mypy cpd
	codespell
	deptry .
	nbstripout --keep-id --verify $(NOTEBOOKS)
	pytest

browser:
	@command -v chromium || command -v chromium-browser || command -v google-chrome || { \
	  test "$$(id -u)" = 0 && command -v apt-get && echo "installing Chromium, for the tests of the book" && \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; \
	} > /dev/null || { echo "the tests of the book need a browser: install Chromium (Debian: apt-get install chromium)"; exit 1; }

gpu: $(READY)  ## the checks of devices, and adapters and pictures a second, on this machine's GPU
	pytest -n0 tests/runtime/test_devices.py tests/adapters/test_grouped.py
	python -m cpd.study.speed

full: $(READY)  ## the committed run: GLUE, preset full, into book/notebooks and results (hours)
	@$(call run,$(NOTEBOOKS),full)
	@python -m cpd.study.book full --publish

gate: $(READY)  ## what is published, checked: executed copies, numbers, quotations; part of make test
	pytest tests/book/test_book.py tests/book/test_book_results.py tests/study/test_results.py

figures: $(READY)  ## the committed pages, drawn again from results/ without their runs
	@python -m cpd.study.redraw

book: $(READY)  ## the book of the committed run, in _build/html
	jupyter-book build book/ -n -W --keep-going --all

lock: $(READY)  ## renew requirements.txt from pyproject.toml
	uv pip compile pyproject.toml --universal --extra dev --generate-hashes --no-header --no-emit-index-url \
	  --no-emit-find-links --upgrade --quiet --output-file requirements.txt

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("python 3.11 or newer is needed, this is %s; set PYTHON=" % sys.version if sys.version_info < (3, 11) else 0)'
	test -x .venv/bin/pip || $(PYTHON) -m venv .venv
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.txt > .venv/uv.txt
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
	.venv/bin/uv pip sync --python .venv/bin/python --require-hashes requirements.txt || { \
	  echo "uv could not (it reads neither pip's configuration nor the system's certificates): pip does it, slower"; \
	  .venv/bin/python -m pip install --disable-pip-version-check --require-hashes -r requirements.txt; }
	.venv/bin/uv pip install --python .venv/bin/python --quiet --no-deps --no-build-isolation -e .
	@touch $(READY)
