# Two commands do everything: `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check -q

comma  := ,
# What `make test` installs besides ppc; `make test EXTRAS=test,spark,postgres` runs the tests of those too.
EXTRAS ?= test
STAMP  := $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))

# What is run with pandas 3, in an environment of its own: lifelines, which other tests compare with, asks for pandas below 3.
PANDAS3 ?= tests/joint/statistics tests/dataset tests/conformance/test_analysable.py tests/desensitize/test_engines.py \
	tests/desensitize/test_stream.py

.PHONY: demo test test-pandas3 check lint types layers proto peers bench docs clean

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

.venv-pandas3/.installed: pyproject.toml
	@test -x .venv-pandas3/bin/python || $(PYTHON) -m venv .venv-pandas3
	@echo "Installing ppc with pandas 3 (the first time only) ..."
	@.venv-pandas3/bin/python -m pip --disable-pip-version-check -q install -e . 'pandas>=3' 'pytest>=8.2' \
		'pytest-xdist>=3.6' 'pytest-timeout>=2.3' 'hypothesis>=6.100' 'polars>=1.0' 'statsmodels>=0.14.2' 'scikit-learn>=1.4'
	@touch $@

test-pandas3: .venv-pandas3/.installed
	@.venv-pandas3/bin/python -m pytest -n 2 --dist loadgroup --max-worker-restart=0 -m 'not spark and not postgres' $(PANDAS3)

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
	rm -rf $(VENV) .venv-pandas3 .peers build dist site *.egg-info
