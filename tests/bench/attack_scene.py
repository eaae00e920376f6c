"""What `attack.py` attacks: tiny footage, a store, results and a training run, commands over copies of them that run in
forked children, and the state that they leave behind."""

from __future__ import annotations

import contextlib
import csv
import ctypes
import hashlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import av
import h5py
import numpy as np
import torch
from kill import render
from safetensors import safe_open
from safetensors.torch import save_file
from seeded import seeded_checkpoint
from toy_tower import write_toy_tower

from vad_pipeline.extract.embed.encoder_config import model_identity
from vad_pipeline.extract.recipe import NAMED_RECIPES
from vad_pipeline.extract.store import upkeep
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.model.heads.dsanet import PRESETS
from vad_pipeline.model.published import clip_text_names
from vad_pipeline.model.text import TextEncoder
from vad_pipeline.pipeline import cli
from vad_pipeline.pipeline.results.folder import Results

HANG_SECONDS = 120  # of a command that takes a few
CALLS = ("open", "read", "write", "fsync", "rename", "unlink", "link")  # in the order of failing_calls.c
N_VIDEOS, N_LABELLED = 3, 10
DOCUMENTED = (0, 1, 2, 3)
OURS_HALF_WRITTEN = (".partial-", ".training", "catalogue", ".lock", ".merge")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    """Exit code; below 0: the signal that ended it."""
    errors: str
    """What it printed on stderr."""
    seconds: float
    cpu_seconds: float
    peak_mb: float
    fired: bool = False
    """Whether the fault asked for happened."""
    counts: tuple[int, ...] = ()
    """How often each of CALLS was called below the folder attacked."""

    def complaint(self) -> str | None:
        """What is wrong with how it ended, or None."""
        if self.code == -signal.SIGALRM:
            return f"hangs for over {HANG_SECONDS} s"
        if self.code not in DOCUMENTED or "Traceback" in self.errors or "a bug" in self.errors:
            return f"exit {self.code}: {self.errors[-400:]}"
        if self.code in (2, 3) and not self.errors.strip():
            return f"exit {self.code} without a word"
        return None


def forked(work: Callable[[], object]) -> object:
    """What `work` gives, done in a child, so that nothing of it stays here; an exception comes back as a text."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        try:
            answer = {"is": work()}
        except BaseException as error:  # told to the parent
            answer = {"error": f"{type(error).__name__}: {error}"}
        with os.fdopen(writer, "w") as pipe:
            json.dump(answer, pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    answer = json.loads(text or '{"error": "died"}')
    return answer.get("is", answer.get("error"))


def begin(arguments: list, report: Path, fault: tuple[Path, str, int, int] | None = None) -> int:
    """Start a command in a forked child; what it prints goes into files beside `report`.

    Args:
        arguments: of the command line.
        report: begins the names of the files.
        fault: folder attacked, one of CALLS, which call of that kind fails (0: none), errno.

    Returns:
        The child's process id.
    """
    child = os.fork()
    if child:
        return child
    os.setpgid(0, 0)
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{report}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(HANG_SECONDS)
    sys.argv = ["vad-pipeline", *map(str, arguments)]
    library = ctypes.CDLL(None) if fault else None
    if fault:
        folder, call, number, error = fault
        library.failing_count.restype = library.failing_fired.restype = ctypes.c_long
        library.failing_arm(os.fsencode(folder), CALLS.index(call), ctypes.c_long(number), error)
    code = 99
    try:
        cli.main()
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException as error:
        print(f"Traceback: {error!r}", file=sys.stderr)
    if fault:
        counts = [library.failing_count(kind) for kind in range(len(CALLS))]
        fired = bool(library.failing_fired())
        library.failing_disarm()
        Path(f"{report}.json").write_text(json.dumps([fired, counts]))
    with contextlib.suppress(Exception):
        sys.stdout.flush(), sys.stderr.flush()
    os._exit(code)


def ended(child: int, report: Path, started: float) -> Ended:
    """Wait for a child of `begin`."""
    _, status, use = os.wait4(child, 0)
    told = Path(f"{report}.json")
    fired, counts = json.loads(told.read_text()) if told.exists() else (False, ())
    told.unlink(missing_ok=True)
    errors = Path(f"{report}.err").read_text(errors="replace")
    code, cpu = os.waitstatus_to_exitcode(status), use.ru_utime + use.ru_stime
    return Ended(code, errors, time.monotonic() - started, cpu, use.ru_maxrss / 1024, fired, tuple(counts))


def run(arguments: list, fault: tuple[Path, str, int, int] | None = None) -> Ended:
    """Run a command in a forked child to its end."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        return ended(begin(arguments, Path(folder) / "r", fault), Path(folder) / "r", started)


@dataclass(frozen=True, slots=True)
class Scene:
    """Footage, weights and one checkpoint, which nobody attacks, and folders that are copied for every attack."""

    path: Path
    model: str

    @property
    def checkpoint(self) -> Path:
        """An untrained network."""
        return self.path / "c.safetensors"

    def extract(self, case: Path) -> list:
        """The command that extracts all footage."""
        fixed = ["--like", "quick", "--pretrained", "random:0", "--model", self.model, "--device", "cpu"]
        return ["extract", self.path / "raw", "--store", case / "S", *fixed]

    def detect(self, case: Path, *more) -> list:
        """The command that scores all footage."""
        fixed = ["--store", case / "S", "--out", case / "out", "--device", "cpu", "--csv"]
        return ["detect", "--checkpoint", self.checkpoint, *fixed, *more]

    def train(self, case: Path, *more) -> list:
        """The command that trains two steps."""
        small = ["--batch-size", 2, "--window-len", 16, "--steps", 2, "--val-share", 0.2, "--device", "cpu"]
        fixed = ["--store", self.path / "L", "--pretrained", self.path / "clip.safetensors"]
        return ["train", self.path / "labels.csv", "--out", case / "run", *fixed, *small, *more]


def make_scene(path: Path) -> Scene:
    """Render and compute all that attacks start from: `full` (store and results) and `split` (a store of three shards).

    Raises:
        SystemExit: a command that nobody attacks fails.
    """
    scene = Scene(path, write_toy_tower(path / "toy"))
    render(path / "raw", N_VIDEOS, 40)
    recipe = replace(NAMED_RECIPES["quick"].recipe, model=model_identity(scene.model), weights="random:0")
    seeded_checkpoint(scene.checkpoint, preset="ucf-crime", recipe=recipe, crop=0, seed=0, threshold=0.05)
    config = PRESETS["ucf-crime"]
    torch.manual_seed(0)
    tower = TextEncoder(config.width, n_adapters=0, adapter_weight=0.1).state_dict()
    tensors = {theirs: tower[ours].half() for ours, theirs in clip_text_names(config.width).items()}
    save_file({**tensors, "visual.proj": torch.zeros(1)}, path / "clip.safetensors")
    rng, rows, labels = np.random.default_rng(0), ["path,label"], ["video,label"]
    (path / "features").mkdir()
    for index in range(N_LABELLED):
        label = "Fighting" if index % 2 else "Normal"
        np.save(path / "features" / f"v{index}__0.npy", rng.random((20, 512)).astype(np.float16))
        rows.append(f"v{index}__0.npy,{label}"), labels.append(f"v{index},{label}")
    (path / "features" / "list.csv").write_text("\n".join(rows))
    (path / "labels.csv").write_text("\n".join(labels))
    (path / "empty").mkdir(), (path / "full").mkdir()
    _whole(["store", "import", path / "features" / "list.csv", "--store", path / "L", "--like", "vadclip"])
    _whole(scene.extract(path / "full"))
    _whole(scene.detect(path / "full"))
    shutil.copytree(path / "full", path / "shown")
    _whole(["clips", path / "shown" / "out"]), _whole(["report", path / "shown" / "out"])
    _whole(["events", path / "shown" / "out", "--threshold", "0.0001"])
    (path / "split").mkdir()
    for name in ("v000", "v001", "v002"):
        alone = path / f"of-{name}"
        alone.mkdir()
        _whole([*scene.extract(alone), "--match", name])
        shutil.copytree(alone / "S", path / "split" / "S", dirs_exist_ok=True)
        shutil.rmtree(alone)
    for index in path.glob("split/S/catalogue*"):
        index.unlink()
    shutil.copytree(path / "split", path / "damaged")
    first = sorted((path / "damaged" / "S" / "shards").glob("*.h5"))[0]
    with h5py.File(first, "r+") as file:
        features = next(iter(file["videos"].values()))["features"]
        features[...] = features[()] + 1
    shutil.copytree(path / "split", path / "aside")
    (path / "aside" / "S" / "damaged").mkdir()
    first = sorted((path / "aside" / "S" / "shards").glob("*.h5"))[0]
    first.rename(path / "aside" / "S" / "damaged" / first.name)
    (path / "stored").mkdir()
    shutil.copytree(path / "full" / "S", path / "stored" / "S")
    return scene


def _whole(arguments: list) -> None:
    done = run(arguments)
    if done.code != 0:
        raise SystemExit(f"{' '.join(map(str, arguments))}: exit {done.code}: {done.errors}")


@dataclass(frozen=True, slots=True)
class State:
    """What a folder holds: hashes of each video's features, of its curve, and of each file that can be compared."""

    features: dict[str, str]
    curves: dict[str, str]
    files: dict[str, str]
    problems: list[str]
    """Damage, half-written files under their final names, videos twice."""


def state_of(case: Path) -> State:
    """Look at all that a case holds."""
    found = forked(lambda: _look(case))
    return State(**found) if isinstance(found, dict) else State({}, {}, {}, [str(found)])


def _look(case: Path) -> dict:
    features, curves, files, problems = {}, {}, {}, []
    for path in sorted(path for path in case.rglob("*") if path.is_file()):
        name = str(path.relative_to(case))
        if any(part in name for part in OURS_HALF_WRITTEN) or "outcomes/" in name or "/damaged/" in name:
            continue
        try:
            _read_whole(path)
        except Exception as error:
            problems.append(f"{name} is not whole: {type(error).__name__}: {error}")
        if path.suffix != ".h5":
            files[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    if (case / "S" / "store.json").exists():
        with EmbeddingStore(case / "S") as store:
            problems += [*map(str, store.problems), *map(str, upkeep.verify(store))]
            for entry in store.entries():
                problems += [f"{entry.video} is held twice"] if entry.video in features else []
                features[entry.video] = hashlib.sha256(store.get(entry).features.tobytes()).hexdigest()
    if (case / "out" / "run.json").exists():
        for curve in Results(case / "out"):
            problems += [f"the curve of {curve.video_id} is held twice"] if curve.video_id in curves else []
            curves[curve.video_id] = hashlib.sha256(curve.scores.tobytes()).hexdigest()
    return {"features": features, "curves": curves, "files": files, "problems": problems}


def _read_whole(path: Path) -> None:
    """Raise where a file is half of one."""
    kind = path.suffix
    if kind == ".h5":
        h5py.File(path).close()
    elif kind == ".json":
        json.loads(path.read_text())
    elif kind == ".jsonl":
        [json.loads(line) for line in path.read_text().splitlines()]
    elif kind == ".csv":
        if len({len(row) for row in csv.reader(path.read_text().splitlines())}) > 1 or path.read_text()[-1] != "\n":
            raise ValueError("rows differ in length")
    elif kind == ".html" and not path.read_text().rstrip().endswith("</html>"):
        raise ValueError("no end")
    elif kind == ".mp4":
        with av.open(str(path)) as container:
            next(container.decode(video=0))
    elif kind == ".ckpt":
        torch.load(path, map_location="meta", weights_only=True)
    elif kind == ".safetensors":
        safe_open(path, framework="pt").__enter__()
