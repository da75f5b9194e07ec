# make demo    recordings to a speaking, gated voice on the embedded sample speaker
# make test    all tests, after installing what is missing
# make ui      the Dagster UI on http://127.0.0.1:3000
# make check   lint, format and types
VENV ?= .venv
BIN := $(VENV)/bin
SOURCES := pyproject.toml scripts/install.sh requirements/constraints.txt requirements/models.txt
export DAGSTER_HOME ?= $(CURDIR)/store/dagster

.PHONY: demo test ui check install install-dev clean
demo: $(VENV)/.installed
	$(BIN)/voice-pipeline demo

test: $(VENV)/.installed-dev
	$(BIN)/pytest -n 2 --dist loadfile

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

ui: $(VENV)/.installed
	$(BIN)/voice-pipeline ui

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/.installed: $(SOURCES)
	scripts/install.sh nemo recordings demo evaluation
	@touch $@

$(VENV)/.installed-dev: $(SOURCES)
	scripts/install.sh nemo recordings demo evaluation dev
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build *.egg-info
