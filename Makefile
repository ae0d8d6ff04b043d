# Two commands do everything: `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check -q

comma  := ,
# What `make test` installs besides ppc; `make test EXTRAS=test,spark,postgres` runs the tests of those too.
EXTRAS ?= test
STAMP  := $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))

.PHONY: demo test check lint types layers proto peers bench docs clean

$(VENV)/.demo: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing ppc and the demo's data (the first time only) ..."
	@$(PIP) install -e '.[demo]'
	@touch $@

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing ppc and what its tests need (the first time only) ..."
	@$(PIP) install -e '.[$(EXTRAS)]'
	@touch $@

demo: $(VENV)/.demo
	@$(BIN)/ppc demo credit

test: $(STAMP)
	@$(BIN)/python -m pytest -n 2 --dist loadgroup --max-worker-restart=0

lint: $(STAMP)
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports --no-cache

check: lint types layers test

# The gRPC code from its .proto; the result is committed.
proto: $(STAMP)
	$(BIN)/python -m ppc.coordinator.proto.generate

# Programs that the benchmarks compare with, each in an environment of its own (their pins conflict).
peers: $(patsubst benchmarks/peers/%.txt,.peers/%/.done,$(wildcard benchmarks/peers/*.txt))

.peers/%/.done: benchmarks/peers/%.txt
	@echo "Installing $* ..."
	@$(PYTHON) -m venv .peers/$* && .peers/$*/bin/python -m pip --disable-pip-version-check -q install -r $< && touch $@ \
		|| echo "$* could not be installed here: its lines will say so."

# The reference, built from docstrings, in site/.
docs: $(STAMP)
	@$(PIP) install -e '.[docs]'
	@$(BIN)/pdoc -o site --docformat google ppc '!ppc.coordinator.proto'
	@echo "Open site/index.html"

bench: $(STAMP)
	@for b in benchmarks/*.py; do echo "== $$b"; $(BIN)/python $$b; done

clean:
	rm -rf $(VENV) .peers build dist site *.egg-info
