# Two commands on a fresh machine: `make demo` and `make test`. Both make the environment and install first.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test test-long test-floors goldens lint dev bench clean browser gpu gpu-wheels

demo: $(VENV)/installed
	$(BIN)/vad-pipeline demo --out demo

# Tests write and sync a great deal: into memory, where there are 8 GB of room for it.
IN_MEMORY := $(shell df -BG --output=avail /dev/shm 2>/dev/null | awk 'NR == 2 && $$1 + 0 >= 8 {print "/dev/shm"}')
test test-floors: export TMPDIR := $(or $(IN_MEMORY),$(TMPDIR),/tmp)

test: $(VENV)/installed browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# The review page's tests open it in Chromium; they skip, and say so, where there is none.
browser:
	@command -v chromium >/dev/null || (apt-get update && apt-get install -y chromium) >/dev/null 2>&1 \
		|| echo "no Chromium could be installed: the tests of the review page will skip"

# What takes minutes: whole training traces, runs of extract, train and detect killed five times, archives on Dask and
# Ray whose workers die, the demo out of a wheel and twice over, ten real videos fitted.
test-long: $(VENV)/installed
	$(BIN)/python -m pytest -m long

# The same tests with every dependency at its floor, read out of setup.cfg, in an environment of their own.
FLOORS ?= .venv-floors
test-floors: browser
	test -x $(FLOORS)/bin/python || $(PYTHON) -m venv $(FLOORS)
	sed -n 's/^ *\([A-Za-z0-9_-]*\)>=\([0-9.]*\).*/\1==\2/p' setup.cfg > $(FLOORS)/floors.txt
	$(FLOORS)/bin/pip install -q -e '.[test,tensorboard,mat]' -c $(FLOORS)/floors.txt
	OMP_NUM_THREADS=1 $(FLOORS)/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# What tests/test_goldens.py holds the code to, written anew: by a commit that does nothing else.
goldens: $(VENV)/installed
	VAD_RECORD_GOLDENS=1 $(BIN)/python -m pytest -q tests/test_goldens.py

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The rooms laid out as a package, for type checkers and editors.
dev: $(VENV)/installed
	$(BIN)/pip install -q -e '.[test]' --config-settings editable_mode=strict

# A machine with a GPU may have no internet, and of our packages only torch, torchvision, numpy and pillow: `make
# gpu-wheels` with internet, then this folder is carried there, then `make gpu` (nine minutes). GPU_PYTHON is what
# python3 is there.
GPU_PYTHON ?= 3.12
GPU_WHEELS = av decord open_clip_torch ftfy wcwidth regex safetensors pyyaml tqdm filelock fsspec \
	packaging h5py joblib click jinja2 markupsafe pytest pygments iniconfig pluggy setuptools
gpu-wheels: $(VENV)/installed
	rm -rf gpu-wheels
	$(BIN)/pip download -q --no-deps --only-binary=:all: -d gpu-wheels --python-version $(GPU_PYTHON) \
		--platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
		--platform manylinux2010_x86_64 --platform any $(GPU_WHEELS)
	du -sh gpu-wheels

gpu:
	test -d gpu-wheels || { echo "run 'make gpu-wheels' where there is internet, and carry the folder here"; exit 1; }
	test -x .venv-gpu/bin/python || python3 -m venv --system-site-packages .venv-gpu
	.venv-gpu/bin/python -m pip install -q --no-index --no-deps gpu-wheels/*.whl
	.venv-gpu/bin/python -m pip install -q --no-index --no-deps --no-build-isolation -e .
	VAD_REQUIRE_GPU=1 .venv-gpu/bin/python -m pytest -m gpu tests/extract/test_gpu.py
	.venv-gpu/bin/python tests/bench/gpu.py
	.venv-gpu/bin/python tests/bench/speed.py --device cuda --stage scoring

# Figures of docs/measured.md, as Markdown tables; hours on a CPU, never part of the tests.
bench: $(VENV)/installed
	$(BIN)/python tests/bench/speed.py
	$(BIN)/python tests/bench/whole.py
	$(BIN)/python tests/bench/startup.py
	$(BIN)/python tests/bench/growth.py --tower toy
	$(BIN)/python tests/bench/growth.py --workers 1
	$(BIN)/python tests/bench/precision.py
	$(BIN)/python tests/bench/still.py
	$(BIN)/python tests/bench/detection_map.py
	$(BIN)/python tests/bench/train_step.py
	$(BIN)/python tests/bench/kill.py
	$(BIN)/python tests/bench/scale.py
	$(BIN)/python tests/bench/search.py
	$(BIN)/python tests/bench/identify.py
	$(BIN)/python tests/bench/report.py
	$(BIN)/python tests/bench/summary.py
	$(BIN)/python tests/bench/wall_of_events.py

$(VENV)/installed: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q torch torchvision
	$(BIN)/pip install -q -e '.[test]'
	touch $@

clean:
	rm -rf $(VENV) $(FLOORS) build demo *.egg-info
