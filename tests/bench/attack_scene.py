"""What `attack.py` attacks: tiny footage, a store, results, training data; each attack copies a folder of them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import torch
from attack_processes import run
from kill import render
from safetensors.torch import save_file
from seeded import seeded_checkpoint
from small_network import shrink
from toy_tower import write_toy_tower

from vad_pipeline.extract.embed.encoder_config import model_identity
from vad_pipeline.extract.recipe import NAMED_RECIPES
from vad_pipeline.model.heads.dsanet import PRESETS
from vad_pipeline.model.published import clip_text_names
from vad_pipeline.model.text import TextEncoder

N_VIDEOS, N_LABELLED = 3, 10
ROWS = """\
labels: labels.csv
head: mil
steps: 1
batch-size: 2
window-len: 16
device: cpu
val-share: 0.2
rows: [{name: whole}]
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """Footage, weights and one checkpoint, which nobody attacks, and folders that are copied for every attack."""

    path: Path
    model: str

    @property
    def truth(self) -> list:
        """Options that name the ground truth of the labelled videos."""
        return ["--annotations", self.path / "truth.csv", "--format", "csv", "--bootstrap", 20]

    @property
    def checkpoint(self) -> Path:
        """An untrained network."""
        return self.path / "c.safetensors"

    def extract(self, case: Path) -> list:
        """The command that extracts all footage, the case's own where it has some."""
        fixed = ["--like", "quick", "--pretrained", "random:0", "--model", self.model, "--device", "cpu"]
        raw = case / "raw" if (case / "raw").exists() else self.path / "raw"
        return ["extract", raw, "--store", case / "S", *fixed]

    def detect(self, case: Path, *more) -> list:
        """The command that scores all footage."""
        fixed = ["--store", case / "S", "--out", case / "out", "--device", "cpu", "--csv"]
        return ["detect", "--checkpoint", self.checkpoint, *fixed, *more]

    def train(self, case: Path, *more) -> list:
        """The command that trains two steps; the case has the store."""
        small = ["--batch-size", 2, "--window-len", 16, "--steps", 2, "--val-share", 0.2, "--device", "cpu"]
        fixed = ["--store", case / "L", "--pretrained", self.path / "clip.safetensors"]
        return ["train", self.path / "labels.csv", "--out", case / "run", *fixed, *small, *more]

    def compare(self, case: Path) -> list:
        """The command that trains, scores and evaluates one method with two seeds; the case has the store."""
        fixed = ["--store", case / "L", "--seeds", "0,1", "--columns", "auc,ap", "--out", case / "study"]
        return ["compare", self.path / "rows.yaml", *fixed, *self.truth]


def make_scene(path: Path) -> Scene:
    """Render and compute all that attacks start from: `full` (store and results), `split` (a store of three shards),
    `filmed` (footage), `learning` (a store of labelled features), `judged` (results with figures) and others.

    Raises:
        SystemExit: a command that nobody attacks fails.
    """
    shrink()
    scene = Scene(path, write_toy_tower(path / "toy"))
    render(path / "raw", N_VIDEOS, 40)
    recipe = replace(NAMED_RECIPES["quick"].recipe, model=model_identity(scene.model), weights="random:0")
    seeded_checkpoint(scene.checkpoint, preset="ucf-crime", recipe=recipe, crop=0, seed=0, threshold=0.05)
    _make_inputs(path)
    for name in ("empty", "full", "judged", "learning", "filmed"):
        (path / name).mkdir()
    shutil.copytree(path / "raw", path / "filmed" / "raw")
    imported = ["store", "import", path / "features" / "list.csv", "--store", path / "learning" / "L"]
    _whole([*imported, "--like", "vadclip"])
    scores = ["import-scores", path / "scores", "--frames", path / "frames.csv", "--out", path / "judged" / "out"]
    _whole(scores), _whole(["evaluate", path / "judged" / "out", *scene.truth])
    _whole(scene.extract(path / "full"))
    _whole(scene.detect(path / "full"))
    shutil.copytree(path / "full", path / "shown")
    _whole(["clips", path / "shown" / "out"]), _whole(["report", path / "shown" / "out"])
    _whole(["events", path / "shown" / "out", "--threshold", "0.0001"])
    _make_split(scene)
    (path / "stored").mkdir()
    shutil.copytree(path / "full" / "S", path / "stored" / "S")
    return scene


def _make_inputs(path: Path) -> None:
    """CLIP's text tower in a file, features, labels, truth and scores of labelled videos, and rows to compare."""
    config = PRESETS["ucf-crime"]
    torch.manual_seed(0)
    tower = TextEncoder(config.width, n_adapters=0, adapter_weight=0.1).state_dict()
    tensors = {theirs: tower[ours].half() for ours, theirs in clip_text_names(config.width).items()}
    save_file({**tensors, "visual.proj": torch.zeros(1)}, path / "clip.safetensors")
    rng, rows, labels = np.random.default_rng(0), ["path,label"], ["video,label"]
    truth, frames = ["video,start_frame,end_frame,category"], ["video,frames,fps"]
    (path / "features").mkdir(), (path / "scores").mkdir()
    for index in range(N_LABELLED):
        label = "Fighting" if index % 2 else "Normal"
        np.save(path / "features" / f"v{index}__0.npy", rng.random((20, 512)).astype(np.float16))
        rows.append(f"v{index}__0.npy,{label}"), labels.append(f"v{index},{label}")
        truth.append(f"v{index},{'32,64' if index % 2 else ','},{label}"), frames.append(f"v{index},320,25")
        np.save(path / "scores" / f"v{index}.npy", rng.random(320).astype(np.float32))
    (path / "features" / "list.csv").write_text("\n".join(rows))
    for name, lines in (("labels", labels), ("truth", truth), ("frames", frames)):
        (path / f"{name}.csv").write_text("\n".join(lines))
    (path / "rows.yaml").write_text(ROWS)


def _make_split(scene: Scene) -> None:
    """`split`, and what becomes of it: `damaged` has a wrong value, of `aside` a shard was moved away."""
    path = scene.path
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


def _whole(arguments: list) -> None:
    done = run(arguments)
    if done.code != 0:
        raise SystemExit(f"{' '.join(map(str, arguments))}: exit {done.code}: {done.errors}")
