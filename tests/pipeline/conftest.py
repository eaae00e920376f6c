"""A store of imported features with labels, and CLIP's text tower in a small file: what training needs."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vad_pipeline.model.curve import AnomalyCurve
from vad_pipeline.model.heads.dsanet import PRESETS
from vad_pipeline.model.published import clip_text_names
from vad_pipeline.model.text import TextEncoder
from vad_pipeline.pipeline.results.curve_group import CurveOrigin, write_curve
from vad_pipeline.pipeline.results.event_rows import write_events
from vad_pipeline.pipeline.results.event_rule import Chosen
from vad_pipeline.pipeline.results.folder import Results
from vad_pipeline.pipeline.results.run_record import RunRecord, begin_run

N_NORMAL = N_ANOMALOUS = 10
LABELS = ("Explosion", "Fighting")


@pytest.fixture(scope="session")
def text_tower(tmp_path_factory) -> Path:
    """A weights file: CLIP's text tower, seeded, in half precision, and an image tower's stub."""
    torch.manual_seed(7)
    config = PRESETS["ucf-crime"]
    weights = TextEncoder(config.width, n_adapters=0, adapter_weight=0.1).state_dict()
    tensors = {theirs: weights[ours].half() for ours, theirs in clip_text_names(config.width).items()}
    tensors["text_projection"] = weights["projection.weight"].half()
    path = tmp_path_factory.mktemp("text_tower") / "clip.safetensors"
    save_file({**tensors, "visual.proj": torch.zeros(1)}, path)
    return path


def synthetic_features(index: int, label: str) -> np.ndarray:
    """(n, 512) float16: scenes; an anomalous video turns another way for a third of its length."""
    rng = np.random.default_rng(index)
    n = 6 + index % 9
    x = 0.5 + 0.3 * rng.standard_normal((n, 512))
    if label != "Normal":
        x[n // 3 : 2 * n // 3, : 256 if label == "Fighting" else 128] += 1.5
    return x.astype(np.float16)


def write_features(folder: Path, videos: dict[str, str]) -> Path:
    """`video -> label` as .npy files and a list; returns the list."""
    rows = ["path,label\n"]
    for index, (video, label) in enumerate(videos.items()):
        for crop in (0, 5):
            np.save(folder / f"{video}__{crop}.npy", synthetic_features(index, label) + np.float16(0.01 * crop))
            rows.append(f"{video}__{crop}.npy,{label}\n")
    (folder / "list.csv").write_text("".join(rows))
    return folder / "list.csv"


@pytest.fixture(scope="session")
def labelled(tmp_path_factory) -> tuple[Path, Path]:
    """(store, LABELS): 20 videos of two crops, two kinds of anomaly."""
    from vad_pipeline.extract.recipe import NAMED_RECIPES
    from vad_pipeline.extract.store import upkeep
    from vad_pipeline.extract.store.embedding_store import EmbeddingStore
    from vad_pipeline.extract.store.exchange import ImportConfig, import_list

    folder = tmp_path_factory.mktemp("labelled")
    videos = {f"n{i}": "Normal" for i in range(N_NORMAL)}
    videos |= {f"a{i}": LABELS[i % 2] for i in range(N_ANOMALOUS)}
    listed = write_features(folder, videos)
    with EmbeddingStore(folder / "store", create=True) as store:
        import_list(listed, store, ImportConfig(recipe=NAMED_RECIPES["vadclip"].recipe, fps=30))
        upkeep.merge(store)
    labels = folder / "labels.csv"
    labels.write_text("video,label\n" + "".join(f"{video},{label}\n" for video, label in videos.items()))
    return folder / "store", labels


@pytest.fixture(scope="session")
def reading_model(tmp_path_factory, toy_model) -> str:
    """`--model` of a small CLIP like `toy_model`, whose text tower tells texts apart."""
    config = json.loads((Path(toy_model.removeprefix("local-dir:")) / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"] = {
        "context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2,
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("reading_model")
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return f"local-dir:{folder}"


CURVE_CATEGORIES = ("Normal", "Fighting", "Explosion")


@pytest.fixture(scope="session")
def draw_curve():
    """draw_curve(id, [(start, end)], n_frames=48, fps=10): 0.1 everywhere, 0.9 in the ranges (or as a third says)."""

    def draw(
        video_id, ranges=(), *, n_frames=48, fps=10, frame_seconds=None, source="nowhere.mp4", category=1, stream=1
    ):
        scores = np.full(n_frames, 0.1, np.float32)
        for start, end, *score in ranges:
            scores[start:end] = score[0] if score else 0.9
        share = np.full((-(-n_frames // 16), 3), 0.1, np.float32)
        share[:, category] = 0.8
        seconds = np.arange(n_frames) / fps if frame_seconds is None else np.asarray(frame_seconds)
        return AnomalyCurve(video_id, scores, seconds, share, CURVE_CATEGORIES, 16, Fraction(fps), str(source), stream)

    return draw


@pytest.fixture
def draw_results(tmp_path):
    """draw_results(curve, ..., clock=None, calibrated=True): a results folder with events."""

    def draw(*curves, clock=None, calibrated=True, name="results"):
        results = Results(tmp_path / name)
        fixed = ("model.pth", "0" * 64, "ucf-crime", CURVE_CATEGORIES, {}, "recipe", 0, 0.5, calibrated)
        begin_run(results.path, RunRecord(*fixed, clock=clock))
        for curve in curves:
            write_curve(results.curves, curve, CurveOrigin(recipe_id="recipe", made_from=curve.video_id, threshold=0.5))
        write_events(results, Chosen(merge_gap_seconds=0.0))
        return results.path

    return draw
