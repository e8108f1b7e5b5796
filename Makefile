# make demo    drive a photograph, the mini model and the simulator; a video, a contact sheet and a plot under outputs/demo
# make test    all tests, file by file: a process that is done takes tests over from another
# make check   lint, format and types
# make docs    the documentation site in build/site, strictly: a dead link or a docstring that is not found ends it
# make audit   known vulnerabilities of what is installed; without the network it says that nothing was audited
# Each makes the virtual environment it needs in .venv first. Another Python: make test PYTHON=python3.12

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# One thread a process: two test processes on two cores then do not fight over them.
export OMP_NUM_THREADS ?= 1

.PHONY: demo test check docs audit format clean
.DELETE_ON_ERROR:

demo: $(VENV)/.core
	$(BIN)/longdwm demo --out outputs/demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build/types && $(PIP) --no-deps --target build/types .
	cd build/types && $(abspath $(BIN))/mypy --config-file $(CURDIR)/pyproject.toml -p longdwm_env
	@echo "check: not asked is what is known of the pins' vulnerabilities, which needs the network and changes daily: make audit"

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "build/site/index.html"

audit: $(VENV)/.dev
	.ci/audit $(BIN)/python

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build outputs

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "LongDWM needs Python 3.11 to 3.13; name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing into $(VENV) (a few minutes the first time)"
	$(PIP) --editable .
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing into $(VENV) (a few minutes the first time)"
	$(PIP) --editable '.[dev]'
	touch $@ $(VENV)/.core

$(VENV)/.docs: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing into $(VENV) (a few minutes the first time)"
	$(PIP) --editable '.[docs]'
	touch $@ $(VENV)/.core
