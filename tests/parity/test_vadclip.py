"""VadCLIP's scores, losses, gradients and training are the published code's; `convert` and `detect` give them too."""

import json
from dataclasses import replace
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from safetensors import safe_open

from vad_pipeline.model.categories import CATEGORIES
from vad_pipeline.model.checkpoint import TRAINING_PREFIX, convert, load_checkpoint
from vad_pipeline.model.heads.vadclip import VADCLIP_PRESETS
from vad_pipeline.model.initial import clip_text_tower, load_initial, load_text_tower
from vad_pipeline.model.learning.losses import VADCLIP_LOSSES, TrainingBatch
from vad_pipeline.model.learning.train_config import VADCLIP_TRAINING, Schedule
from vad_pipeline.model.learning.trainable import TrainableVadCLIP
from vad_pipeline.model.published_vadclip import OUR_PROMPTS, PROMPTS, vadclip_names, vadclip_shapes
from vad_pipeline.model.scoring import Scorer
from vad_pipeline.model.training import Training

from .conftest import DATA, SHORT

TOLERANCE = 2e-4
LENGTHS = (5, 255, 256, 257, 600, 1000)  # snippets
FLOAT16_ROUNDING = 2**-10
LOSS_REACH, GRADIENT_REACH = 1e-5, 1e-3  # relative, as stated with the figures
EARLY_REACH, LATE_REACH, EARLY_STEPS = 2e-5, 1e-2, 4  # of the trace


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
    kinds = ("forward", "long", "trace")
    figures = {kind: dict(np.load(DATA / "vadclip" / f"{kind}_{SHORT[preset]}.npz")) for kind in kinds}
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
    with safe_open(ours.path, framework="np") as file:
        assert (file.get_tensor(f"{TRAINING_PREFIX}{OUR_PROMPTS}") == state[PROMPTS].numpy()).all(), "to fine-tune from"
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


@pytest.fixture
def network(published) -> TrainableVadCLIP:
    """The published checkpoint, ready to train."""
    network = TrainableVadCLIP(VADCLIP_PRESETS[published.preset], CATEGORIES[published.preset])
    load_text_tower(network, clip_text_tower(str(published.path), "ViT-B-16-quickgelu"), source="published")
    assert load_initial(network, published.path) == []
    return network


def weighted(training: Training, losses: dict) -> list:
    """The three losses and their sum, times their weights, as the published figures are."""
    return [value * training.weights.get(name, 1) for name, value in losses.items()]


def training_of(network, preset: str, **changes) -> Training:
    config = replace(VADCLIP_TRAINING[preset], **changes)
    return Training(network, config, Schedule(3, 4, 12, 12, 1), VADCLIP_LOSSES)


def test_losses_and_gradients(published, network):
    figures, inputs = published.forward, published.inputs
    features, labels = (torch.from_numpy(inputs[name].astype(np.float32)) for name in ("features", "labels"))
    training = training_of(network, published.preset)
    losses = training._losses(TrainingBatch(features, torch.from_numpy(inputs["lengths"]), labels))
    total = sum(weighted(training, losses))
    found = [float(value.detach()) for value in weighted(training, {**losses, "total": total})]
    np.testing.assert_allclose(found, figures["losses"], rtol=LOSS_REACH)

    total.backward()
    ours = {theirs: f"scoring.{name}" for name, theirs in vadclip_names(network.scoring.config).items()}
    ours |= {PROMPTS: OUR_PROMPTS}
    trained = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert trained.keys() == {ours[name] for name in figures["grad_names"]}
    norms = [float(trained[ours[name]].grad.norm()) for name in figures["grad_names"]]
    np.testing.assert_allclose(norms, figures["grad_norms"], rtol=GRADIENT_REACH)


@pytest.mark.parametrize(
    ("published", "n_steps"),
    [
        ("xd-violence", 2),
        pytest.param("xd-violence", 12, marks=pytest.mark.long),
        pytest.param("ucf-crime", 12, marks=pytest.mark.long),
    ],
    indirect=["published"],
)
def test_training_trace(published, network, rules, as_published, n_steps):
    trace = published.trace
    milestones = tuple(trace["milestones"].tolist())
    training = training_of(network, published.preset, learning_rate=float(trace["base_lr"]), milestones=milestones)
    for step in range(n_steps):
        batch = map(torch.from_numpy, rules.training_batch(step, len(CATEGORIES[published.preset])))
        found = weighted(training, training.train_step(TrainingBatch(*batch)))
        reach = EARLY_REACH if step < EARLY_STEPS else LATE_REACH
        np.testing.assert_allclose(found, trace["losses"][step], rtol=reach, err_msg=str(step))
        assert training.rates()["lr"] == pytest.approx(trace["lr_after"][step])
    assert training.finished == (n_steps == 12)


def test_presets_are_the_published_ones():
    ucf, xd = VADCLIP_TRAINING["ucf-crime"], VADCLIP_TRAINING["xd-violence"]
    assert (ucf.learning_rate, ucf.batch_size, ucf.paired, ucf.milestones) == (2e-5, 64, True, (4, 8))
    assert (xd.learning_rate, xd.batch_size, xd.paired, xd.milestones) == (1e-5, 96, False, (3, 6, 10))
    assert ucf.weights(VADCLIP_LOSSES) == {"mil": 1, "align": 1, "text_separation": 0.1}
    assert xd.weights(VADCLIP_LOSSES) == {"mil": 1, "align": 1, "text_separation": 1e-4}
    assert (ucf.epochs, xd.epochs) == (10, 10)
