"""What must not change by moving code: ids, checksums, bytes of checkpoints, help texts, usage errors, curves.

`make goldens` writes tests/data/goldens anew. A change that does so on purpose does nothing else, and says why in
CHANGELOG.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import click
import h5py
import numpy as np
import pytest
import torch
from seeded import seeded_checkpoint

from vad_pipeline.extract.embed.encoder_config import model_identity
from vad_pipeline.extract.files import SourceFile
from vad_pipeline.extract.recipe import NAMED_RECIPES, Recipe
from vad_pipeline.extract.records import VideoEmbeddings
from vad_pipeline.extract.store.entry import COLUMNS
from vad_pipeline.extract.store.stored import Origin, write_video
from vad_pipeline.model.checkpoint import Checkpoint
from vad_pipeline.model.curve import AnomalyCurve, find_events
from vad_pipeline.model.heads.dsanet import PRESETS, DSANet
from vad_pipeline.pipeline import cli
from vad_pipeline.pipeline.results.clock import Clock
from vad_pipeline.pipeline.results.curve_group import CurveOrigin, write_curve
from vad_pipeline.pipeline.results.event_rows import event_row

GOLDENS = Path(__file__).parent / "data" / "goldens"
RECORDING = "VAD_RECORD_GOLDENS"
HELP_COLUMNS = 100
LATE_NS = 2**62  # later than any clock: what is written then always says the same
CURVE_TOLERANCE = 1e-3  # of scores from footage: encoders of videos and towers round otherwise on every processor


def held(name: str, found: object) -> object:
    """The golden of that name; the one just found becomes it where goldens are recorded."""
    path = GOLDENS / f"{name}.json"
    if os.environ.get(RECORDING):
        path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    return json.loads(path.read_text())


def plain(values: dict) -> dict:
    """Attributes of a group as JSON has them."""
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in sorted(values.items())}


def ramp(*shape: int) -> np.ndarray:
    """Values that are exact in float16, different everywhere in 2,000."""
    return (np.arange(np.prod(shape)) % 2039 / 1024 - 1).astype(np.float32).reshape(shape)


def test_recipe_ids(toy_model):
    recipes = {name: named.recipe for name, named in NAMED_RECIPES.items()}
    recipes |= {
        "toy": replace(Recipe(), model=model_identity(toy_model), weights="random:0"),
        "still": replace(Recipe(), still_bound=12),
        "decord": replace(Recipe(), decoder="decord", geometry="clip", frames_per_snippet=4, tail="keep"),
    }
    found = {name: [recipe.recipe_id, recipe.to_json()] for name, recipe in recipes.items()}
    assert found == held("recipes", found)


@pytest.fixture
def video() -> VideoEmbeddings:
    """Two crops of three snippets, the last one shorter."""
    seconds = np.arange(40) / 25
    return VideoEmbeddings(
        video_id="cam 1/a%b", embeddings=ramp(2, 3, 512).astype(np.float16), crops=(0, 5),
        snippet_seconds=np.array([[0, 0.64], [0.64, 1.28], [1.28, 1.6]]), frame_seconds=seconds, fps=Fraction(25),
        recipe=NAMED_RECIPES["quick"].recipe, info=None,
    )  # fmt: skip


def test_shards(video, tmp_path):
    origin = Origin(SourceFile("/raw/a.mp4", 1234, 5678), "0" * 64, "fp32", "torch", "Fighting")
    entry = write_video(tmp_path, video, origin, later_than=LATE_NS)
    with h5py.File(tmp_path / entry.shard) as file:
        (node,) = file["videos"].values()
        found = {
            "attributes": plain(dict(node.attrs)),
            "datasets": {n: [v.dtype.str, v.shape] for n, v in node.items()},
        }
    found["entry"] = {name: getattr(entry, name) for name in COLUMNS if name != "shard"}
    assert json.loads(json.dumps(found)) == held("shard", found)


@pytest.fixture
def curve() -> AnomalyCurve:
    """Two events of a camera that says when it recorded."""
    scores = np.full(64, 0.1, np.float32)
    scores[10:20], scores[45:60] = 0.75, 0.875
    category = np.tile(np.array([0.25, 0.5, 0.25], np.float32), (4, 1))
    names = ("Normal", "Fighting", "Arson")
    return AnomalyCurve(
        "cam1/2026-03-29_01-59-58", scores, np.arange(64) / 8, category, names, 16, Fraction(8), "a.mp4"
    )


def test_events_and_curves(curve, tmp_path):
    origin = CurveOrigin("0123456789ab", made_from="features/0/checkpoint", threshold=0.5, source_sha256="0" * 64)
    path = write_curve(tmp_path, curve, origin, later_than=LATE_NS)
    with h5py.File(path) as file:
        (node,) = file["videos"].values()
        attributes = plain(dict(node.attrs))
    reading = Clock.parse("{camera}/%Y-%m-%d_%H-%M-%S", "Europe/Berlin").of(curve.video_id)
    events = find_events(curve, threshold=0.5, merge_gap_seconds=1.0)
    found = {"attributes": attributes, "events": [event_row(curve.video_id, event, reading) for event in events]}
    assert json.loads(json.dumps(found)) == held("events", found)


def test_checkpoint_bytes(tmp_path):
    model = DSANet(PRESETS["xd-violence"])
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.copy_(torch.from_numpy(ramp(*tensor.shape) if tensor.ndim else np.float32(1)))
    path = tmp_path / "c.safetensors"
    Checkpoint(
        preset="xd-violence", config=model.config, model=model, text_features=torch.from_numpy(ramp(7, 512)),
        categories=model.config.categories, recipe=NAMED_RECIPES["vadclip"].recipe, clip_sha256=None, crop=0,
        threshold=0.25, sha256="", path=path,
    ).save(path, training={"text.x": torch.ones(3)})  # fmt: skip
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found == held("checkpoint", found)


def all_help(group: click.Group = cli.cli, prefix: str = "vad-pipeline") -> dict[str, str]:
    found = {}
    settings = cli.cli.context_settings | {"terminal_width": HELP_COLUMNS, "max_content_width": HELP_COLUMNS}
    context = click.Context(group, info_name=prefix)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        with click.Context(command, info_name=f"{prefix} {name}", **settings) as own:
            found[f"{prefix} {name}"] = command.get_help(own).replace(f"x<={os.cpu_count()}]", "x<=CORES]")
        if isinstance(command, click.Group):
            found |= all_help(command, f"{prefix} {name}")
    return found


def test_help():
    found = all_help()
    golden = held("help", found)
    assert found.keys() == golden.keys()
    for name, text in golden.items():
        assert found[name].splitlines() == text.splitlines(), name


USAGE = """
extract
extract nowhere
extract nowhere.mp4 --store S
extract raw --like other
extract raw --crops 0,x
extract raw --crops 0,11
extract raw --frames-per-snippet 17
extract raw --still-bound 3
extract raw --device cuda:9 --pretrained random:0
extract raw --device tpu --pretrained random:0
extract raw --pretrained nowhere.pt
extract raw --pretrained random:x
extract raw --model local-dir:nowhere --pretrained random:0
extract raw --model NoSuchModel --pretrained random:0
extract raw --workers 0
extract raw --video-timeout -1 --workers 1
extract raw --backend dask
extract raw --address tcp://a:1
extract raw --max-failed many
extract raw --part 3/2
extract raw --split test
extract raw --list nowhere.txt
extract raw --only nowhere.csv
extract raw --match none
extract raw --settle -1
extract raw --id-root labels --pretrained random:0
extract raw --store
extract raw --store foreign --pretrained random:0
detect
detect --out O
detect --out O --checkpoint nowhere.pth
detect --out O --checkpoint labels.csv
detect --out O --checkpoint c.safetensors --store nowhere
detect --out O --checkpoint c.safetensors --threshold 2
detect --out O --checkpoint c.safetensors --crop 11
detect --out O --checkpoint c.safetensors --merge-gap -1
detect --out O --checkpoint c.safetensors --pretrained openai
detect --out O --checkpoint c.safetensors --force
detect --out O --checkpoint c.safetensors --clock {camera}
detect --out O --checkpoint c.safetensors --clock {camera}/%Y --timezone UTC
detect --out O --checkpoint c.safetensors --timezone UTC
detect --out O --checkpoint c.safetensors --zero-shot
detect --out O --zero-shot --categories nowhere.yaml
detect raw --out O --checkpoint c.safetensors --recipe 0
events
events nowhere --threshold 0.5
events raw --threshold 0.5
events raw --threshold 3
train
train labels.csv
train labels.csv --out R --store nowhere
train labels.csv --out R --epochs 1 --steps 1
train labels.csv --out R --val-share 2
train labels.csv --out R --select test
train labels.csv --out R --seeds 1,1
train labels.csv --out R --seeds x
train labels.csv --out R --annotations labels.csv
train --resume nowhere
train --resume raw --out R
evaluate
evaluate raw
evaluate raw --annotations labels.csv
evaluate raw --annotations labels.csv --format csv
evaluate raw raw --annotations labels.csv --format csv
evaluate raw --annotations nowhere.csv --format csv
evaluate raw --annotations labels.csv --format csv --first-frame 2
report
report raw
report raw --annotations labels.csv
report raw extra.json
clips
clips raw
clips raw --recap a.avi
clips raw --media-root a
clips raw --pre -1
plot raw
plot raw a
plot raw a --annotations labels.csv
plot raw a --out a.bmp
convert
convert nowhere.pth o.safetensors
convert c.safetensors o.pth
convert c.safetensors o.safetensors
store ls --store nowhere
store ls --store raw
store verify --store nowhere
store import nowhere.csv
store import labels.csv --fps 0
store import labels.csv --pretrained word
store export E --store nowhere
store compact --store nowhere
store rm
store rm --store nowhere --all
search
search x --store nowhere
search x --example a@1
search --queries nowhere.txt --store nowhere
search x --results raw
verify-features
verify-features a.mp4
verify-features a.mp4 nowhere.npy
verify-features a.mp4 labels.csv
check
check nowhere
status
status nowhere
status raw
demo --videos 3 --out D
demo --out taken
nonsense
"""


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """A folder with a file of no video, labels, a checkpoint, somebody's folder and one that a demo must not take."""
    monkeypatch.chdir(tmp_path)
    for folder in ("raw", "foreign", "taken/run", "labels"):
        Path(folder).mkdir(parents=True)
    Path("raw/a.mp4").write_bytes(b"no video")
    Path("foreign/notes.txt").write_text("mine")
    Path("labels.csv").write_text("video,label\na,Normal\nb,Fighting\n")
    seeded_checkpoint("c.safetensors", preset="ucf-crime", recipe=NAMED_RECIPES["quick"].recipe, crop=0, seed=0)
    return tmp_path


def test_usage_errors(workplace, run_cli):
    found = {}
    for line in USAGE.strip().splitlines():
        code, out, err = run_cli(*line.split())
        found[line] = [code, *(text.replace(str(workplace), "HERE") for text in (out, err))]
        assert code == 2, (line, code, out, err)
    assert found == held("usage", found)


def test_curves_of_a_small_archive(tmp_path, make_video, run_cli, toy_model):
    for seed, (name, n_frames) in enumerate({"a": 40, "cam/b": 1, "cam/c": 33}.items()):
        make_video(tmp_path / "raw" / f"{name}.mp4", n_frames=n_frames, seed=seed)
    recipe = replace(NAMED_RECIPES["quick"].recipe, model=model_identity(toy_model), weights="random:0")
    seeded_checkpoint(tmp_path / "c.safetensors", preset="ucf-crime", recipe=recipe, crop=0, seed=0)
    fixed = ("--store", tmp_path / "S", "--checkpoint", tmp_path / "c.safetensors", "--out", tmp_path / "out")
    code, _, err = run_cli("detect", tmp_path / "raw", *fixed, "--model", toy_model, "--precision", "fp32")
    assert code == 0, err
    found = {}
    for path in (tmp_path / "out" / "curves").glob("*.h5"):
        with h5py.File(path) as file:
            for node in file["videos"].values():
                scores, category = node["score"][()][::16], node["category"][()]
                found[node.attrs["video"]] = {"scores": scores.tolist(), "category": category.tolist()}
    golden = held("curves", found)
    assert found.keys() == golden.keys()
    for video, values in golden.items():
        for name, value in values.items():
            np.testing.assert_allclose(found[video][name], value, atol=CURVE_TOLERANCE, err_msg=f"{video} {name}")
