"""Training: schedules, what diverges, and a run that was stopped anywhere ends where an uninterrupted one does."""

import copy
import io
from dataclasses import replace

import numpy as np
import pytest
import torch

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.model.categories import Category
from vad_pipeline.model.heads import prompts
from vad_pipeline.model.heads.dsanet import PRESETS
from vad_pipeline.model.heads.mil import Mil, MilConfig
from vad_pipeline.model.heads.normality import NormalityConfig
from vad_pipeline.model.heads.vadclip import VADCLIP_PRESETS
from vad_pipeline.model.learning.losses import LOSSES, TrainingBatch
from vad_pipeline.model.learning.train_config import TRAINING_PRESETS, VADCLIP_TRAINING, schedule_of
from vad_pipeline.model.learning.trainable import (
    TrainableDSANet,
    TrainablePlain,
    TrainableVadCLIP,
    losses_of,
    trained_state,
)
from vad_pipeline.model.training import Training, TrainingDiverged, fit

CATEGORIES = (Category("Normal", ("normal",)), Category("Fire", ("fire", "a burning car")), Category("Fall", ("fall",)))
CONFIG = replace(TRAINING_PRESETS["ucf-crime"], learning_rate=2e-4, batch_size=2, epochs=3, warmup_iterations=3)
STEPS_PER_EPOCH = 3


class Killed(Exception):
    """Stands for a signal."""


@pytest.fixture(scope="session")
def network_of():
    """network_of() -> a network small enough to train in a test."""
    names = tuple(category.name for category in CATEGORIES)
    config = replace(PRESETS["ucf-crime"], categories=names, layers=1, window_len=16, attention_block=8)
    torch.manual_seed(0)
    drawn = TrainableDSANet(config, CATEGORIES, NormalityConfig(n_prototypes=2, decoder_blocks=1))
    drawn.text.blocks = drawn.text.blocks[:1]  # CLIP's twelve cost more than all the rest
    drawn.text.adapters = drawn.text.adapters[:1]

    def make(*, other: bool = False) -> TrainableDSANet:
        network = copy.deepcopy(drawn)
        if other:
            for parameter in network.parameters():
                parameter.data.add_(0.1 * parameter.requires_grad)
        return network

    return make


def batches(epoch: int, skip: int):
    for step in range(skip, STEPS_PER_EPOCH):
        rng = np.random.default_rng([epoch, step])
        labels = torch.eye(3)[torch.tensor([0, 0, 1, 2])]
        features = torch.from_numpy(rng.standard_normal((4, 16, 512), dtype=np.float32))
        yield TrainingBatch(features, torch.tensor([16, 5, 1, 12]), labels)


def training_of(network, config=CONFIG, losses=LOSSES) -> Training:
    schedule = schedule_of(config, steps_per_epoch=STEPS_PER_EPOCH, loader_lengths=2 * STEPS_PER_EPOCH)
    return Training(network, config, schedule, losses)


def run(training: Training, *, on_step=lambda report: None, reload_best=False) -> list:
    """Train to the end; the measure falls and rises, so that the best lies in the middle."""
    reports = []

    def remember(report):
        reports.append(report)
        on_step(report)

    fit(
        training,
        batches,
        due=lambda: training.at_epoch_end,
        evaluate=lambda: (-abs(training.step - 6.0),),
        reload_best=reload_best,
        on_best=lambda: None,
        on_step=remember,
    )
    return reports


@pytest.fixture(scope="module")
def uninterrupted(network_of):
    """A finished training, and the losses of its steps."""
    whole = training_of(network_of())
    return whole, [report.losses for report in run(whole, reload_best=True)]


@pytest.mark.parametrize("kill_after", [1, 2, pytest.param(3, marks=pytest.mark.long), 5, 7])
def test_stopped_and_resumed_is_bit_for_bit_the_same(network_of, uninterrupted, kill_after):
    whole, expected = uninterrupted
    saved = io.BytesIO()

    def save_then_die(report):
        if report.step == kill_after:
            torch.save(stopped.state(), saved)
        if report.step == kill_after + 1:  # work after the last save is lost
            raise Killed

    stopped = training_of(network_of())
    with pytest.raises(Killed):
        run(stopped, on_step=save_then_die, reload_best=True)
    saved.seek(0)
    resumed = training_of(network_of(other=True))  # whatever was drawn is replaced
    resumed.load_state(torch.load(saved, weights_only=True))
    assert [report.losses for report in run(resumed, reload_best=True)] == expected[kill_after:]
    assert resumed.best == whole.best
    for name, value in trained_state(whole.network).items():
        assert torch.equal(value, trained_state(resumed.network)[name]), name


def vadclip(config=VADCLIP_PRESETS["ucf-crime"]) -> TrainableVadCLIP:
    names = tuple(category.name for category in CATEGORIES)
    return TrainableVadCLIP(replace(config, categories=names, layers=1, window_len=16, width=64), CATEGORIES)


@pytest.mark.parametrize(
    "draw", [vadclip, lambda: TrainablePlain(Mil(MilConfig(("Normal", "Fire"), window_len=16, width=64)))]
)
def test_other_heads_go_on_bit_for_bit(draw, monkeypatch):
    """Dropout included, and a rate that falls."""
    monkeypatch.setattr(prompts, "TEXT_LAYERS", 1)
    torch.manual_seed(1)
    drawn = draw()
    config = replace(VADCLIP_TRAINING["ucf-crime"], batch_size=2, epochs=2, milestones=(1,), learning_rate=1e-3)

    def begin(*, other: bool = False) -> Training:
        torch.manual_seed(2 + other)
        network = copy.deepcopy(drawn)
        for parameter in network.parameters():
            parameter.data.add_(0.1 * (other and parameter.requires_grad))
        schedule = schedule_of(config, steps_per_epoch=2, loader_lengths=4)
        return Training(network, config, schedule, losses_of(network.scoring))

    def steps(training: Training, numbers) -> list:
        found = (next(batches(0, step)) for step in numbers)
        narrow = (replace(batch, features=batch.features[..., :64]) for batch in found)
        return [(training.rates(), training.train_step(batch)) for batch in narrow]

    whole, saved = begin(), io.BytesIO()
    expected = steps(whole, (0, 1, 2))
    assert [rates["lr"] for rates, _ in expected] == pytest.approx([1e-3, 1e-3, 1e-4])
    stopped = begin()
    steps(stopped, (0,))
    torch.save(stopped.state(), saved)
    saved.seek(0)
    resumed = begin(other=True)
    resumed.load_state(torch.load(saved, weights_only=True))
    assert steps(resumed, (1, 2)) == expected[1:]
    assert "text.ln_final.weight" not in trained_state(whole.network), "CLIP is frozen"
    for name, value in trained_state(whole.network).items():
        assert torch.equal(value, trained_state(resumed.network)[name]), name


def test_everything_trained_moves_and_the_text_tower_does_not(network_of):
    training = training_of(network_of())
    before = {name: value.clone() for name, value in training.network.state_dict().items()}
    run(training)
    trained = trained_state(training.network).keys()
    assert {"text.projection.weight", "normality.prototypes", "scoring.position_embedding"} <= trained
    for name, value in training.network.state_dict().items():
        assert torch.equal(value, before[name]) == (name not in trained), name


def test_reload_best_goes_back(network_of):
    training = training_of(network_of())
    kept = {}

    def remember(report):
        if report.is_best:
            kept.update({name: value.clone() for name, value in trained_state(training.network).items()})

    reports = run(training, on_step=remember, reload_best=True)
    assert [report.step for report in reports if report.is_best] == [3, 6]
    assert all(torch.equal(value, kept[name]) for name, value in trained_state(training.network).items())


def test_a_loss_that_is_not_finite_stops_before_it_spoils_the_weights(network_of):
    def explode(output, batch):
        return output.visual.sum() * (float("nan") if training.step == 4 else 0)

    config = replace(CONFIG, loss_weights={"explode": 1.0})
    training = training_of(network_of(), config, {**LOSSES, "explode": explode})
    with pytest.raises(TrainingDiverged, match=r"in step 5 \(epoch 2\): the loss explode is nan"):
        run(training)
    assert training.step == 4
    assert all(torch.isfinite(value).all() for value in trained_state(training.network).values())


def test_a_gradient_that_is_not_finite_stops_too(network_of):
    def spiky(output, batch):
        return (output.visual * 0).square().sum().sqrt()  # value 0, gradient NaN

    training = training_of(network_of(), replace(CONFIG, loss_weights={"spiky": 1.0}), {**LOSSES, "spiky": spiky})
    with pytest.raises(TrainingDiverged, match="in step 1 .*gradient is not finite"):
        run(training)


def test_logits_that_are_not_finite_stop_before_a_loss_trips_over_them(network_of):
    training = training_of(network_of())
    with torch.no_grad():
        next(training.network.scoring.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match="in step 1 .*the anomaly logits are not finite"):
        run(training)


def test_a_loss_of_weight_0_is_not_computed(network_of):
    off = {"consistency": 0.0, "gather": 0.0, "event": 0.0}
    training = training_of(network_of(), replace(CONFIG, loss_weights=off))
    losses = training.train_step(next(batches(0, 0)))
    assert list(losses) == ["mil", "align", "text_separation", "background", "total"]
    assert all(p.grad is None for p in training.network.normality.parameters()), "the branch was run for nothing"
    expected = losses["mil"] + 1.1 * losses["align"] + losses["text_separation"] + losses["background"]
    assert losses["total"] == pytest.approx(expected, rel=1e-6)


def test_schedules():
    config = replace(TRAINING_PRESETS["ucf-crime"])
    whole = schedule_of(config, steps_per_epoch=12, loader_lengths=30)
    assert (whole.n_epochs, whole.n_steps, whole.total_iterations, whole.warmup) == (10, 120, 300, 100)
    assert whole.scaled_from is None
    short = schedule_of(replace(config, max_steps=50), steps_per_epoch=12, loader_lengths=30)
    assert (short.n_epochs, short.n_steps, short.warmup, short.scaled_from) == (5, 50, 5, 100)


def test_bf16_is_near_fp32(network_of):
    losses = [
        training_of(network_of(), replace(CONFIG, precision=precision)).train_step(next(batches(0, 0)))
        for precision in ("fp32", "bf16")
    ]
    assert losses[0] != losses[1], "bf16 did nothing"
    assert list(losses[1].values()) == pytest.approx(list(losses[0].values()), rel=0.05)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"learning_rate": 0}, "learning rate must be above 0"),
        ({"learning_rate": float("nan")}, "learning rate"),
        ({"batch_size": 0}, "batch size must be at least 1"),
        ({"max_steps": 0}, "steps must be at least 1"),
        ({"precision": "fp8"}, "precision must be one of fp32, bf16"),
        ({"loss_weights": {"mil": -1}}, "loss weights must be 0 or more, mil has -1"),
        ({"seed": -1}, "seed"),
    ],
)
def test_configuration(wrong, message):
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **wrong)


def test_several_descriptions_are_averaged(network_of):
    network = network_of()
    text, tokens, columns = network.text, network.tokens, network.columns
    assert columns.tolist() == [0, 1, 1, 2]
    with torch.no_grad():
        single = []
        for i in range(4):  # one description alone gives its direction; the mean needs its length too
            x = text.token_embedding(tokens[i : i + 1]) + text.positional_embedding
            for j, block in enumerate(text.blocks):
                x = block(x, causal=True)
                x = text._blend(x, text.adapters[j])
            end = int(tokens[i].argmax())
            single.append(torch.nn.functional.leaky_relu(text.projection(text.ln_final(x)[0, end]), 0.01))
        mean = torch.stack([single[0], (single[1] + single[2]) / 2, single[3]])
        expected = torch.nn.functional.normalize(mean, dim=-1)
        torch.testing.assert_close(network.text_features(), expected, rtol=1e-5, atol=1e-6)
