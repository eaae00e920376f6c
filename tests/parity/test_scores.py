"""The published code's figures, from published checkpoints."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from vad_pipeline.extract.recipe import NAMED_RECIPES
from vad_pipeline.model.checkpoint import load_checkpoint
from vad_pipeline.model.heads.dsanet import PRESETS, dsanet_scores
from vad_pipeline.model.published import published_shapes
from vad_pipeline.model.scoring import Scorer

DATA = Path(__file__).parent.parent / "data" / "parity"
TOLERANCE = 2e-4  # absolute
BF16_TOLERANCE = 0.01
FLOAT16_ROUNDING = 2.0**-11  # relative: visual features are stored as float16
SNIPPETS = (5, 255, 256, 257, 600, 1000)


def worst(actual, expected) -> float:
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    return float(np.abs(actual - expected).max())


def parity_video(rules, n: int) -> np.ndarray:
    return rules.video(np.random.default_rng(2511 + n), n, segs=12)


@pytest.mark.parametrize(("preset", "short"), [("ucf-crime", "ucf"), ("xd-violence", "xd")])
def test_names_and_shapes_are_the_published_ones(preset, short):
    official = json.loads((DATA / f"official_state_dict_{short}.json").read_text())
    assert published_shapes(PRESETS[preset]) == {name: tuple(shape) for name, shape in official.items()}


def test_forward(published):
    checkpoint, figures = published.checkpoint, published.forward
    features = torch.from_numpy(figures["features"].astype(np.float32))
    lengths = torch.from_numpy(figures["lengths"])
    with torch.inference_mode():
        output = checkpoint.model(features, lengths, checkpoint.text_features)
        visual = checkpoint.model.encode(features[1:2], lengths[1:2])[0]
    errors = {
        "text_features": worst(checkpoint.text_features, figures["text_features"]),
        "logits1": worst(output.anomaly_logits, figures["logits1"]),
        "logits2": worst(output.category_logits, figures["logits2"]),
        "logits3": worst(output.event_logits, figures["logits3"]),
        "logits4": worst(output.background_logits, figures["logits4"]),
        "probabilities": worst(
            dsanet_scores(output.anomaly_logits, output.category_logits, checkpoint.config)[1], figures["probabilities"]
        ),
    }
    assert max(errors.values()) <= TOLERANCE, errors
    stored = figures["visual_features_0"].astype(np.float32)
    assert (np.abs(visual.numpy() - stored) <= TOLERANCE + FLOAT16_ROUNDING * np.abs(stored)).all()


@pytest.mark.parametrize("n", SNIPPETS)
def test_whole_videos(published, rules, n):
    scores = Scorer(published.checkpoint).score(parity_video(rules, n))
    errors = {
        "score": worst(scores.anomaly, published.long[f"score_{n}"]),
        "probabilities": worst(scores.category, published.long[f"probabilities_{n}"]),
    }
    assert max(errors.values()) <= TOLERANCE, errors


def ranks(values: np.ndarray) -> np.ndarray:
    return values.argsort().argsort()


def test_bf16_moves_scores_by_little_and_hardly_reorders_them(published, rules):
    rough = Scorer(published.checkpoint, precision="bf16").score(parity_video(rules, 600))
    exact = published.long["score_600"]
    assert worst(rough.anomaly, exact) <= BF16_TOLERANCE
    assert worst(rough.category, published.long["probabilities_600"]) <= BF16_TOLERANCE
    assert np.corrcoef(ranks(rough.anomaly), ranks(exact))[0, 1] >= 0.999


def test_what_published_checkpoints_imply(published):
    checkpoint = published.checkpoint
    assert checkpoint.preset == published.preset
    assert checkpoint.config == PRESETS[published.preset]
    assert checkpoint.recipe == NAMED_RECIPES["vadclip"].recipe
    assert (checkpoint.crop, checkpoint.threshold) == ({"ucf-crime": 5, "xd-violence": 0}[published.preset], 0.5)
    assert not checkpoint.model.training


@pytest.mark.parametrize("short", ["ucf", "xd"])
def test_a_converted_checkpoint_gives_the_same_bits(request, rules, short):
    original = request.getfixturevalue(f"published_{short}").checkpoint
    out = request.getfixturevalue(f"converted_{short}")
    converted = load_checkpoint(out[0] if isinstance(out, tuple) else out)
    for name in ("preset", "config", "categories", "recipe", "clip_sha256", "crop", "threshold"):
        assert getattr(converted, name) == getattr(original, name), name
    assert converted.sha256 != original.sha256
    video = parity_video(rules, 600)
    before, after = Scorer(original).score(video), Scorer(converted).score(video)
    assert np.array_equal(before.anomaly, after.anomaly)
    assert np.array_equal(before.category, after.category)
