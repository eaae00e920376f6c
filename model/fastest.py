"""The precision in which networks are scored and trained: as asked, or what was timed to be fastest on this machine.

Timed are DSANet on one full window, and a training step of two of the head that is trained; random weights, as weights
do not change how long a product takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch.nn import functional

from vad_pipeline.extract.device import device_name
from vad_pipeline.extract.embed.encoder_config import WIDE_PRECISIONS
from vad_pipeline.extract.embed.ways import DTYPES, Way, emulates
from vad_pipeline.extract.timings import Round, Timings, timed_once

from .categories import CATEGORIES
from .heads.dsanet import PRESETS, DSANet
from .heads.head_names import DEFAULT_HEAD, OWN
from .heads.known import HEADS
from .learning.losses import TrainingBatch
from .learning.train_config import Schedule
from .learning.trainable import TRAINED
from .training import Training

PRESET = "ucf-crime"
N_WINDOWS = 2  # one of each kind
TORCH = "torch"


def scoring_way(precision: str, device: torch.device) -> Way:
    """The way to score: the precision asked for; `auto`: the one timed to be fastest on this device."""
    return _way_of(precision, time_scoring, device)


def training_way(precision: str, device: torch.device, head: str = DEFAULT_HEAD) -> Way:
    """The way to train a head: the precision asked for; `auto`: the one timed to be fastest on this device.

    For a head of the user's own `auto` is fp32: whether its code and losses stand anything else is not known.
    """
    if head == OWN and precision == "auto":
        return Way(TORCH, "fp32")
    return _way_of(precision, partial(time_training, head=head), device)


def time_scoring(device: torch.device, *, again: bool = False) -> Timings:
    """The timings of scoring a full window in each precision."""
    return _timed("detect", _scoring_round, device, again)


def time_training(device: torch.device, *, head: str = DEFAULT_HEAD, again: bool = False) -> Timings:
    """The timings of a training step of two full windows in each precision, of a head by its name in `TRAINED`."""
    stage = "train" if head == DEFAULT_HEAD else f"train {head}"
    return _timed(stage, partial(_training_round, head), device, again)


def _way_of(precision: str, time_it: Callable[[torch.device], Timings], device: torch.device) -> Way:
    if precision != "auto":
        return Way(TORCH, precision)
    timings = time_it(device)
    best = timings.best(list(timings.seconds)) or f"{TORCH} fp32"
    return Way(TORCH, best.removeprefix(f"{TORCH} "), timings)


def _timed(stage: str, prepare: Callable[[str, torch.device], Round], device: torch.device, again: bool) -> Timings:
    return timed_once(
        stage,
        {
            str(Way(TORCH, precision)): partial(_unless_hopeless, prepare, precision, device)
            for precision in WIDE_PRECISIONS
        },
        threads=torch.get_num_threads(),
        device=device_name(device) if device.type == "cuda" else "",
        again=again,
    )


def _unless_hopeless(
    prepare: Callable[[str, torch.device], Round], precision: str, device: torch.device
) -> Round | None:
    if device.type == "cpu" and precision != "fp32" and emulates(DTYPES[precision]):
        return None
    return prepare(precision, device)


def _scoring_round(precision: str, device: torch.device) -> Round:
    config, dtype = PRESETS[PRESET], DTYPES[precision]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = DSANet(config).eval().to(device, dtype)
        window = torch.randn(1, config.window_len, config.width).to(device, dtype)
        text = torch.randn(len(config.categories), config.width).to(device, dtype)
    lengths = torch.tensor([config.window_len], device=device)

    @torch.inference_mode()
    def score() -> torch.Tensor:
        return network.logits(window, lengths, text)[1].cpu()

    return score


def _training_round(head: str, precision: str, device: torch.device) -> Round:
    categories = CATEGORIES[PRESET][:N_WINDOWS]  # the text tower costs the same for each
    trained = TRAINED[head]
    config = replace(HEADS[head].presets[PRESET], categories=tuple(category.name for category in categories))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = trained.network(config, categories).to(device)
        features = torch.randn(N_WINDOWS, config.window_len, config.width, device=device)
    labels = functional.one_hot(torch.arange(N_WINDOWS), N_WINDOWS).float().to(device)
    batch = TrainingBatch(features, torch.full((N_WINDOWS,), config.window_len, device=device), labels)
    steps = replace(trained.presets[PRESET], precision=precision, batch_size=N_WINDOWS)
    training = Training(network, steps, Schedule(10, 100, 1000, 1000, 100), trained.losses)

    def step() -> None:
        with torch.random.fork_rng(devices=[]):
            training.train_step(batch)

    return step
