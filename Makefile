# The two commands of the README, `make demo` and `make test`, do all the set-up themselves.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN := runs/demo-$(shell date +%Y%m%d-%H%M%S)

.PHONY: demo test test-slow bench lint docs dist clean

$(BIN)/.installed: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable .
	touch $@

$(BIN)/.installed-test: $(BIN)/.installed
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

demo: $(BIN)/.installed
	$(BIN)/nas rediscover --out $(RUN)-imagenet
	$(BIN)/nas search --data digits --trials 20 --concurrent 2 --full-resolution 32 --target 2M --exponent auto --out $(RUN)
	$(BIN)/nas train $(RUN) --data digits --recipe sgd --epochs 30 --out $(RUN)-winner.pt
	$(BIN)/nas scale $(RUN) --phi 0..7 --out $(RUN)-family
	@echo
	@echo "the trained winner:   $(RUN)-winner.pt"
	@echo "curves of the search: $(BIN)/nas tensorboard $(RUN)"
	@echo "now your own images:  $(BIN)/nas start FOLDER --plan"

# Two processes: half of the time the tests wait for Ray to start (tests/conftest.py says who has which).
test: $(BIN)/.installed-test
	$(BIN)/python -m pytest -n 2 --no-loadscope-reorder

test-slow: $(BIN)/.installed-test $(BIN)/.installed-docs
	$(BIN)/pip install --quiet --editable '.[botorch]'
	$(BIN)/python -m pytest -m slow --timeout 3600

lint: $(BIN)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(BIN)/.installed-test
	$(BIN)/python benchmarks/cost_speed.py
	$(BIN)/python benchmarks/tune_overhead.py
	$(BIN)/python benchmarks/proxy_spread.py
	$(BIN)/python benchmarks/controllers.py
	$(BIN)/python benchmarks/many_pending.py
	$(BIN)/python benchmarks/report_cost.py
	$(BIN)/nas latency --space mnasnet --out $(VENV)/latency.json
	$(BIN)/python benchmarks/train_throughput.py
	$(BIN)/python benchmarks/start_up.py
	$(BIN)/python benchmarks/shared_data.py

$(BIN)/.installed-docs: setup.cfg
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[docs]'
	touch $@

# a broken link or a page outside the menu is an error
docs: $(BIN)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "the site: build/site/index.html"

# the wheel and the source distribution, as a package index takes them
dist: $(BIN)/.installed
	$(BIN)/pip install --quiet build
	rm -rf build dist
	$(BIN)/python -m build --outdir dist .

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
