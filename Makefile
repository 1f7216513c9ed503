# Two commands do everything, set-up included: make test, make reproduce-table2.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin

# make reproduce-table2 SCALE=auto|mini|small|paper SETTINGS="A_64-128 C_32-32"|all METHODS="sn sr" SEEDS="1 2 3" JOBS=2 GPUS=8 DRY_RUN=1
# ... on a cluster: CLUSTER=slurm PARTITION=gpu NODES=1 GPUS=8 CPUS=8 HOURS=24 SBATCH="account=gan mem=64G" WAIT=1
# What was typed reaches the commands by the environment as it is: no make function, no shell reads it.
VARIABLES := SCALE SETTINGS METHODS SEEDS IMAGES JOBS GPUS DRY_RUN RUNS OVERRIDES CLUSTER PARTITION NODES CPUS HOURS SBATCH \
	WAIT FIGURES AXES FORMATS SEED ENTITY PROJECT TABLE ONLY MINUTES COUNTS EXISTING SHAPE PERSISTENCE
$(foreach name,$(VARIABLES),$(eval override export $(name) := $$(value $(name))))

.DEFAULT_GOAL := help
.PHONY: help install test test-wheel lint reproduce-table2 reproduce-collapse reproduce-scale null-model reproduce-baselines reproduce-resume reproduce-sweep reproduce-figures fault-injection smoke dashboard readme docs bench gpu-check

help: ## this text
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 24

install: .venv/installed ## create .venv and install srgan into it (the other commands do so automatically; then: source .venv/bin/activate)

.venv/installed: pyproject.toml
	@echo "Setting up .venv, once: some minutes, 7 GB of disk."
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable ".[dev]"
	@touch $@

lint: .venv/installed ## ruff and mypy
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint ## lint, types and tests, on all cores
	$(BIN)/pytest --numprocesses auto --dist worksteal

test-wheel: .venv/installed ## the built wheel alone, outside of the clone (part of make test)
	$(BIN)/pytest tests/test_wheel.py

reproduce-table2: .venv/installed ## Table II beside our numbers (SCALE, SETTINGS, METHODS, SEEDS, JOBS, GPUS, DRY_RUN=1; CLUSTER=slurm PARTITION, NODES, HOURS, WAIT=1)
	@$(BIN)/python -m reproduce table2

reproduce-collapse: .venv/installed ## group C on real images: SN, SR-s, SR-d, variants and controls in pairs, and what the seeds say (SETTINGS, SEEDS, IMAGES; an hour or more a run and core)
	@$(BIN)/python -m reproduce collapse

reproduce-scale: .venv/installed ## scale or spectrum: {no, static, dynamic} compensation x {kept, unit} scale (SCALE=mini|small, SEEDS, IMAGES; EXISTING=folder reads runs; mini: 120 runs of a minute or two)
	@$(BIN)/python -m reproduce scale

null-model: .venv/installed ## SR's projections on a matrix updated by noise alone, compared with the runs (SHAPE="8 8 3 3", PERSISTENCE="0 0.9", SEEDS; a minute)
	@$(BIN)/python -m reproduce null-model

reproduce-baselines: .venv/installed ## DCGAN, WGAN, WGAN-GP, SN-GAN x loss x networks: which of them train? And D's loss going to 0 (SCALE, SEEDS; mini: 20 minutes on two cores)
	@$(BIN)/python -m reproduce baselines

reproduce-resume: .venv/installed ## Section IV-A: E_2048-64 under SN, then SN and SR-d from its checkpoint (SCALE, GPUS; mini: 5 minutes)
	@$(BIN)/python -m reproduce resume

reproduce-sweep: .venv/installed ## the runs of Fig. 8, 11, 12: i = 0.25N ... N, and SR-d (SCALE, SETTINGS, SEEDS, JOBS, GPUS, DRY_RUN=1; mini: 8 runs)
	@$(BIN)/python -m reproduce sweep

reproduce-figures: .venv/installed ## the paper's figures from the finished runs (SCALE, FIGURES="2 4 8", AXES=linear|log, FORMATS="png pdf", SEED, IMAGES)
	@$(BIN)/python -m reproduce figures

fault-injection: .venv/installed ## kills, flipped bits, bad inputs, full disks, power cuts, into docs/explanation/reliability.md (SEED, MINUTES=20, JOBS; ONLY="killed power", COUNTS=0.1 to try)
	@PYTHONPATH=tests $(BIN)/python -W ignore -m faults

smoke: .venv/installed ## two iterations of each of the 52 runs of scale paper at true width, on a CPU (SETTINGS, JOBS; 10 to 20 minutes)
	$(BIN)/pytest -m slow tests/reproduce/test_smoke.py --numprocesses "$${JOBS:-auto}"

dashboard: .venv/installed ## Weights & Biases workspace and report (ENTITY, PROJECT; TABLE=table2.csv; DRY_RUN=1); without a login: what they would hold
	@$(BIN)/srgan dashboard --project "$${PROJECT:-srgan}" $${ENTITY:+--entity "$$ENTITY"} \
		$${TABLE:+--table "$$TABLE"} $${DRY_RUN:+--dry-run}

readme: .venv/installed ## put the findings into README.md, the evidence and the mini table into docs/evidence
	@$(BIN)/python -m reproduce readme

docs: .venv/docs-installed ## the documentation as a site, into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.venv/docs-installed: .venv/installed
	$(BIN)/pip install --quiet --editable ".[docs]"
	@touch $@

bench: .venv/bench-installed ## all measurements of speed, then docs/speed.md (ONLY="step limit")
	@$(BIN)/python -W ignore -m bench --only "$$ONLY"

# The peer asks for TensorFlow, for its scores: a training step has no use for it.
.venv/bench-installed: .venv/installed
	$(BIN)/pip install --quiet --no-deps "torch-mimicry>=0.1.16"
	@touch $@

gpu-check: .venv/installed ## is it right, and how fast, on this GPU? Some minutes, no download; writes build/gpu-check/gpu-check.md (ONLY="scores, speed")
	@$(BIN)/python -W ignore -m bench.gpu_check --only "$$ONLY"
