# Every target sets up what it needs, asks nothing, and can be run again.
#   make run     set up, then camera (or the demo portrait) → expressions → a page on this machine
#   make test    set up, then every test, with a real broker and a real browser
#   make check   ruff, mypy and the fast tests, before each commit
#   make bench   what is fast and what it costs, as a table and bench/results.json
#   make founding DATA=fer_dev.npz  the founding documents' experiments again, short, into docs/founding.md
#   make translations  the page's sentences into messages.po, and what is translated there compiled
#   make release KEY=FILE [ARCH=aarch64] [PY=3.11]  a signed release for boxes without a network; make release-key makes KEY
#   make workshop  set up what trains and quantises a network, in a virtual environment of its own
#   make home-assistant  set up Home Assistant itself, for the tests that ask it; make test does so, too

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# TensorFlow has its own ideas about NumPy, and half a gigabyte: not in the box's environment.
WORKSHOP ?= $(VENV)-convert
HOME_ASSISTANT ?= $(VENV)-homeassistant

# Where it is set, pytest and each of the tests' child processes compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: release release-key help setup setup-dev workshop home-assistant run test quick check bench founding translations format clean

help:
	@sed -n 's/^#   //p' Makefile

# A stamp each, newer than pyproject.toml, so that a second run costs nothing.
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev

setup: $(RUN_STAMP)
	@$(BIN)/python -m mien models fetch

setup-dev: setup $(DEV_STAMP)

$(BIN)/python:
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh tests/setup.sh venv

$(RUN_STAMP): pyproject.toml | $(BIN)/python
	@echo "mien: installing the box and its demo into $(VENV); with the face model about 170 MB the first time"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(DEV_STAMP): pyproject.toml $(RUN_STAMP)
	@echo "mien: installing the development tools into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(WORKSHOP)/.installed: pyproject.toml
	@PYTHON="$(PYTHON)" VENV="$(WORKSHOP)" sh tests/setup.sh venv
	@echo "mien: installing TensorFlow and Keras into $(WORKSHOP), about half a gigabyte"
	@$(WORKSHOP)/bin/python -m pip install --quiet --disable-pip-version-check \
		--editable '.[convert]' pytest pytest-timeout pytest-xdist hypothesis
	@touch $@

workshop: $(WORKSHOP)/.installed

# Its own environment, for it pins everything; without the Python it needs, its tests are skipped.
home-assistant:
	@test -e $(HOME_ASSISTANT)/.installed || \
		PYTHON="$(PYTHON)" VENV="$(HOME_ASSISTANT)" sh tests/setup.sh home-assistant

run: setup
	@$(BIN)/python -m mien demo

# The quick tests wait for the disk more than for the processor; in memory they need not, where 1 GB is
# free and programs may be run (in Docker they may not).
MEMORY := $(shell test -w /dev/shm && ! grep -q ' /dev/shm .*noexec' /proc/mounts && df -Pk /dev/shm | awk 'NR == 2 && $$4 > 1000000 { print "/dev/shm" }')
QUICK := $(if $(MEMORY),TMPDIR=$(MEMORY) )$(BIN)/python -m pytest -q -m "not slow" -n auto

# What needs TensorFlow; beside these the workshop's tests run in the box's environment.
WORKSHOP_TESTS := $(addprefix tests/test_convert_, path.py quantize.py sides.py tune.py)
LEFT_OUT := $(addprefix --ignore=, $(WORKSHOP_TESTS))

# Setting up waits for the network, mostly, and the slow tests for clocks: so there is more at once than processors.
# A module's tests stay together, for they share a box, a broker or a browser.
test: setup-dev
	@sh tests/setup.sh system
	@$(MAKE) --no-print-directory --jobs 3 quick workshop home-assistant
	@HOME_ASSISTANT=$(HOME_ASSISTANT) $(BIN)/python -m pytest -q -rs -m slow -n 3 --dist loadfile $(LEFT_OUT)
	@$(WORKSHOP)/bin/python -m pytest -q -n 2 --dist loadfile $(WORKSHOP_TESTS) tests/test_convert_presets.py

quick: setup-dev
	@$(QUICK) $(LEFT_OUT)

check: setup-dev
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(QUICK)

bench: setup-dev
	@sh tests/setup.sh system
	@$(BIN)/python -m bench

DATA ?= fer_dev.npz
founding: workshop
	@$(WORKSHOP)/bin/python -m bench.founding --data "$(DATA)" --out build/founding --write docs/founding.md

WEB := web/mien_web
translations: setup-dev
	@$(BIN)/pybabel -q extract -F $(WEB)/translations/babel.cfg -k lazy_gettext --no-location \
		--omit-header -o $(WEB)/translations/messages.pot $(WEB)
	@$(BIN)/pybabel -q update -i $(WEB)/translations/messages.pot -d $(WEB)/translations \
		--no-fuzzy-matching --ignore-obsolete
	@rm $(WEB)/translations/messages.pot
	@$(BIN)/pybabel -q compile -d $(WEB)/translations

KEY ?= $(HOME)/.config/mien/release-key
ARCH ?= aarch64
PY ?= 3.11
release: setup
	@MIEN="$(BIN)/python -m mien" ./release.sh "$(KEY)" "$(ARCH)" "$(PY)"

# Once, by the maintainers: the private half stays with them, the public half goes to every box.
release-key:
	@test ! -e "$(KEY)" || { echo "mien: $(KEY) is there already"; exit 1; }
	@mkdir -p "$(dir $(KEY))" && ssh-keygen -q -t ed25519 -N '' -C mien-release -f "$(KEY)"
	@sed -i '/^mien /d' firmware_config/allowed_signers
	@printf 'mien namespaces="mien-release" %s\n' "$$(cat $(KEY).pub)" >> firmware_config/allowed_signers
	@echo "mien: made $(KEY); keep it safe, and commit firmware_config/allowed_signers"

format: setup-dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(WORKSHOP) $(HOME_ASSISTANT) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
