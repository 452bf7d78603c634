# Every target sets up what it needs, asks nothing, and can be run again.
#   make run     set up, then camera (or the demo portrait) → expressions → a page on this machine
#   make test    set up, then every test, with a real broker and a real browser
#   make check   ruff, mypy and the fast tests, before each commit
#   make bare    `make run` and `make test` in a Debian that has nothing else (as root, with debootstrap)
#   make lock    newer versions of what is installed (requirements/); LOCK=--keep moves nothing that need not move
#   make notice  the packages of the box and their licences into NOTICE
#   make bench   what is fast and what it costs, as a table and bench/results.json
#   make founding DATA=fer_dev.npz  the founding documents' experiments again, short, into docs/founding.md
#   make translations  the page's sentences into messages.po, and what is translated there compiled
#   make release KEY=FILE [ARCH=aarch64] [PY=3.11]  a signed release for boxes without a network; make release-key makes KEY
#   make workshop  set up what trains and quantises a network, in a virtual environment of its own
#   make home-assistant  set up Home Assistant itself, for the tests that ask it; make test does so, too

# Python 3.11, 3.12 or 3.13; left empty, the one that the environment has, or one that is found.
PYTHON ?=
VENV ?= .venv
BIN := $(VENV)/bin
# TensorFlow has its own ideas about NumPy, and half a gigabyte: not in the box's environment.
WORKSHOP ?= $(VENV)-convert
HOME_ASSISTANT ?= $(VENV)-homeassistant

# Where it is set, pytest and each of the tests' child processes compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: release release-key help setup setup-dev workshop home-assistant run test quick check bare lock notice bench founding translations format clean

help:
	@sed -n 's/^#   //p' Makefile

# Each does nothing when its environment is there as its lock says (requirements/environment.sh).
setup:
	@sh requirements/environment.sh "$(VENV)" run $(PYTHON)
	@$(BIN)/python -m mien models fetch

setup-dev:
	@sh requirements/environment.sh "$(VENV)" dev $(PYTHON)
	@$(BIN)/python -m mien models fetch

workshop:
	@sh requirements/environment.sh "$(WORKSHOP)" workshop $(PYTHON)

# It needs Python 3.13. Where that is not (3), the tests that ask it are skipped.
home-assistant:
	@sh requirements/environment.sh "$(HOME_ASSISTANT)" home-assistant || test $$? = 3

run: setup
	@$(BIN)/python -m mien demo

test: setup-dev
	@sh tests/system.sh
	@HOME_ASSISTANT="$(HOME_ASSISTANT)" WORKSHOP="$(WORKSHOP)" $(BIN)/python tests/suite.py quick slow workshop

quick: setup-dev
	@sh tests/system.sh
	@$(BIN)/python tests/suite.py quick

check: setup-dev
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(MAKE) --no-print-directory quick

# A Debian that has git, make and Python and nothing else: README's two commands, in trixie and in bookworm.
bare: setup-dev
	@$(BIN)/python tests/bare.py trixie bookworm

# Newer versions of what is installed, as far as pyproject.toml allows, and what moved.
lock:
	@sh requirements/environment.sh "$(VENV)-lock" lock $(PYTHON)
	@$(VENV)-lock/bin/python requirements/lock.py $(LOCK)

bench: setup-dev
	@sh tests/system.sh
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

# The list of packages and licences in NOTICE, from the box's lock and what is installed.
notice: setup-dev
	@$(BIN)/python requirements/notice.py

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
