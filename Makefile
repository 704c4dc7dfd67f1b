# Deep Regression with PyTorch. Each target sets up .venv by itself, once.
PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
READY := .venv/.ready
PAGE := _build/html/index.html
PEERS := .venv-bench
COURSE ?= coursework
GRADING = PYTHONPATH=coursework $(BIN)/python -m grading --course $(COURSE)

.PHONY: help book pdf serve test lab notebooks release grade accuracy speed grading-speed lint lock clean
help:            ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1  \t/p' $(MAKEFILE_LIST)

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@touch $@

book: $(READY)   ## build the book; warnings are errors
	$(BIN)/jupyter-book build . -W -n --keep-going -q
	@echo "The book is built: file://$(CURDIR)/$(PAGE)   (or: make serve; as a zip in _build)"

pdf: $(READY)    ## print the whole book to a PDF; needs Chromium or Chrome
	$(BIN)/python tools/make_pdf.py

serve: book      ## serve the built book on this machine alone
	@echo "http://127.0.0.1:$(PORT)/   (Ctrl-C ends it)"
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

test: $(READY)   ## unit tests, every notebook, the built book in a browser
	$(BIN)/python -m pytest

lab: $(READY)    ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab book

notebooks: $(READY)  ## run every notebook and save its outputs, the same bytes each time
	$(BIN)/python tools/save_notebooks.py

release: $(READY)  ## make the students' versions of the problem sets, as folders and zips
	$(GRADING) release $(SETS)

grade: $(READY)  ## collect SUBMISSIONS=folder-or-zip, grade in a sandbox, write feedback and reports
	$(GRADING) grade $(if $(SUBMISSIONS),--submissions "$(SUBMISSIONS)") $(OPTIONS) $(SETS)

accuracy: $(READY)   ## measure the accuracy table anew (minutes)
	$(BIN)/python benchmarks/accuracy.py

$(PEERS)/.ready: benchmarks/requirements.txt pyproject.toml
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

speed: $(PEERS)/.ready  ## measure speed and memory beside peers, in their own environment
	OMP_NUM_THREADS=1 $(PEERS)/bin/python benchmarks/speed.py

grading-speed: $(READY)  ## measure the grading beside nbgrader's own (minutes)
	$(BIN)/python benchmarks/grading.py

lint: $(READY)   ## style
	$(BIN)/ruff check . && $(BIN)/ruff format --check regression_lib tests benchmarks tools book/_ext coursework --exclude "*.ipynb"

lock:            ## pin the newest environment that pyproject.toml allows
	$(PYTHON) tools/lock.py

clean:           ## remove what was built
	rm -rf _build .pytest_cache $(PEERS)
