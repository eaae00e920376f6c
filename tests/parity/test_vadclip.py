"""VadCLIP's scores are the published code's, through the library, `convert` and `detect`."""

import json
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch

from vad_pipeline.model.checkpoint import convert, load_checkpoint
from vad_pipeline.model.heads.vadclip import VADCLIP_PRESETS
from vad_pipeline.model.published_vadclip import vadclip_shapes
from vad_pipeline.model.scoring import Scorer

from .conftest import DATA, SHORT

TOLERANCE = 2e-4
LENGTHS = (5, 255, 256, 257, 600, 1000)  # snippets
FLOAT16_ROUNDING = 2**-10


def shapes_of(preset: str) -> dict[str, tuple[int, ...]]:
    text = (DATA / "vadclip" / f"official_state_dict_{SHORT[preset]}.json").read_text()
    return {name: tuple(shape) for name, shape in json.loads(text).items()}


def write_published(path, preset: str, rules, clip: dict[str, torch.Tensor], wrap=lambda state: state):
    state = {
        name: clip[name.removeprefix("clipmodel.")]
        if name.startswith("clipmodel.")
        else torch.from_numpy(rules.weight(name, shape))
        for name, shape in shapes_of(preset).items()
    }
    torch.save(wrap(state), path)
    return path


@pytest.fixture(scope="module", params=SHORT)
def published(request, rules, clip_tensors, tmp_path_factory):
    """A published-format file of one configuration, loaded, with the figures."""
    preset = request.param
    path = tmp_path_factory.mktemp("vadclip") / f"{SHORT[preset]}.pth"
    write_published(path, preset, rules, clip_tensors)
    figures = {kind: dict(np.load(DATA / "vadclip" / f"{kind}_{SHORT[preset]}.npz")) for kind in ("forward", "long")}
    inputs = dict(np.load(DATA / f"forward_{SHORT[preset]}.npz"))
    yield SimpleNamespace(preset=preset, path=path, checkpoint=load_checkpoint(path), inputs=inputs, **figures)
    path.unlink()


def video_of(rules, n: int) -> np.ndarray:
    return rules.video(np.random.default_rng(2511 + n), n, segs=12)


def worst(ours, theirs) -> float:
    return float(np.abs(np.asarray(ours, np.float64) - theirs).max())


def test_every_tensor_is_known(published):
    preset = published.preset
    assert vadclip_shapes(VADCLIP_PRESETS[preset]) == shapes_of(preset)
    assert published.checkpoint.head == "vadclip" and published.checkpoint.preset == preset


def test_forward(published):
    checkpoint, figures = published.checkpoint, published.forward
    features = torch.from_numpy(published.inputs["features"].astype(np.float32))
    lengths = torch.from_numpy(published.inputs["lengths"])
    with torch.inference_mode():
        visual, anomaly, category = checkpoint.model.logits(features, lengths, checkpoint.text_features)
    assert worst(checkpoint.text_features, figures["text_features"]) <= TOLERANCE
    assert worst(anomaly, figures["logits1"]) <= TOLERANCE and worst(category, figures["logits2"]) <= TOLERANCE
    stored = figures["visual_features_1"].astype(np.float32)
    assert (np.abs(visual[1].numpy() - stored) <= TOLERANCE + FLOAT16_ROUNDING * np.abs(stored)).all()


def test_whole_videos_both_scores(published, rules):
    for curve, name in (("anomaly", "score1"), ("category", "score2")):
        scorer = Scorer(published.checkpoint.with_curve(curve))
        for n in LENGTHS:
            scores = scorer.score(video_of(rules, n))
            assert worst(scores.anomaly, published.long[f"{name}_{n}"]) <= TOLERANCE, (curve, n)
            assert worst(scores.category, published.long[f"probabilities_{n}"]) <= TOLERANCE, (curve, n)


def test_converted_and_detected(published, run_cli, tmp_path, rules):
    """As its training script saves it, through `convert`, `store import` and `detect`."""
    preset, n = published.preset, 257
    state = torch.load(published.path, weights_only=True)
    wrapped = tmp_path / "wrapped.pth"
    torch.save({"epoch": 3, "model_state_dict": state, "optimizer_state_dict": {}, "ap": np.float64(0.8)}, wrapped)
    convert(wrapped, tmp_path / "ours.safetensors", clip_out=tmp_path / "clip.safetensors")
    wrapped.unlink()
    ours = load_checkpoint(tmp_path / "ours.safetensors")
    assert (ours.head, ours.curve) == ("vadclip", {"ucf-crime": "anomaly", "xd-violence": "category"}[preset])
    (tmp_path / "f").mkdir()
    np.save(tmp_path / "f" / "v__0.npy", video_of(rules, n).astype(np.float16))
    (tmp_path / "list.csv").write_text("path,label\nf/v__0.npy,Normal\n")
    store = ("--store", tmp_path / "S")
    code, _, err = run_cli("store", "import", tmp_path / "list.csv", *store)
    assert code == 0, err
    for score, name in ((None, "score1" if ours.curve == "anomaly" else "score2"), ("category", "score2")):
        out = tmp_path / f"out-{score}"
        asked = ("--score", score) if score else ()
        detect = ("detect", *store, "--checkpoint", tmp_path / "ours.safetensors", "--any-recipe", "--crop", 0, *asked)
        code, _, err = run_cli(*detect, "--out", out)
        assert code == 0, err
        [shard] = (out / "curves").glob("*.h5")
        with h5py.File(shard) as file:
            [group] = file["videos"].values()
            found = group["score"][::16]
        assert worst(found, published.long[f"{name}_{n}"]) <= TOLERANCE
        assert json.loads((out / "run.json").read_text())["score"] == (score or ours.curve)
    other = "anomaly" if ours.curve == "category" else "category"
    code, _, err = run_cli(*detect[:-2], "--score", other, "--out", tmp_path / "out-None")
    assert code == 2 and "another score" in err


def test_dsanet_has_one_score(published_ucf):
    with pytest.raises(Exception, match="--score category: DSANet has only the score anomaly"):
        published_ucf.checkpoint.with_curve("category")
