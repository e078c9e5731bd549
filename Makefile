# Everything a newcomer needs. `make` alone says what there is.

# The first interpreter that runs and is new enough: a name on the PATH may be a shim for nothing.
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
BIN := .venv/bin

help:
	@echo "make serve            install, then serve the demo model (ARGS=\"MODEL --port 8080\" for others)"
	@echo "make install          what developers need, too, in .venv"
	@echo "make test             all tests (ARGS=\"tests/worker -k pages\" for some)"
	@echo "make check            ruff and mypy"
	@echo "make bench            speed and memory of the engine, and a start (ARGS are for bench/engine.py)"
	@echo "make gpu-bundle       what a machine with a GPU needs to check our kernels there, in dist (ARGS=\"--chip sm_90\")"
	@echo "make docs             the documentation as a site, in site"
	@echo "make dist             the wheel and the sdist, in dist"
	@echo "make wheel            the same for a release: with the kernels for GPUs that all models share"
	@echo "make proto            regenerate the gRPC code"
	@echo "make reference        regenerate the tables of docs/configuration.md"

install: .venv/developed

.venv/installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "raylax needs Python 3.11 or newer on the PATH; or set PYTHON=…"; exit 1; }
	@"$(PYTHON)" scripts/install.py .venv
	@touch $@

# Apart from the above, so that serving after testing, or testing after serving, installs nothing again.
.venv/developed: .venv/installed
	@"$(PYTHON)" scripts/install.py .venv --group dev
	@touch $@

serve: .venv/installed
	@exec $(BIN)/raylax serve $(ARGS)

# Where Python is told to write no bytecode, each of the hundreds of processes of the tests would
# compile our sources again.
test: install
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/installed
	$(BIN)/python bench/engine.py $(ARGS)
	$(BIN)/python bench/memory.py
	$(BIN)/python bench/start.py

gpu-bundle: install
	$(BIN)/python bench/gpu/bundle.py $(ARGS)

docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "the documentation lies in site/index.html"

dist: install
	scripts/dist

wheel: install
	scripts/wheel

proto: install
	scripts/proto

reference: install
	scripts/reference

.PHONY: help install serve test check bench gpu-bundle docs dist wheel proto reference
