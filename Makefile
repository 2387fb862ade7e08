# Two commands: `make quickstart` and `make test`. Each creates .venv when it is missing.
# ARGS are options of the pipeline: make quickstart ARGS="seed=1 run.name=second"
PYTHON ?= python3
BIN := .venv/bin
export HF_HUB_DISABLE_TELEMETRY ?= 1

.PHONY: quickstart test verify

quickstart: .venv/ready
	$(BIN)/python scripts/pipeline.py experiment=quickstart $(ARGS)

test: .venv/ready
	$(BIN)/ruff check
	$(BIN)/mypy
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/pytest -m "not slow" -n 2 --durations=20

# What is too long for every day: full-size learning on three seeds, two-process runs.
verify: .venv/ready
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/pytest -m slow --durations=20

# torch comes first and alone: the CPU build satisfies the range and spares gigabytes of CUDA packages
# (on a GPU machine, install the torch build for your driver into .venv before or instead).
.venv/ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -c "import torch" 2>/dev/null || $(BIN)/pip install --quiet -c constraints.txt torch
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@
