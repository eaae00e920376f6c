"""What `attack.py` finds in a folder after an attack: what is held, and what is not whole."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import av
import h5py
import torch
from attack_processes import forked
from safetensors import safe_open

from vad_pipeline.extract.store import upkeep
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.pipeline.results.folder import Results

OURS_HALF_WRITTEN = (".partial-", ".training", "catalogue", ".lock", ".merge")


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
            read_whole(path)
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


def read_whole(path: Path) -> None:
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
