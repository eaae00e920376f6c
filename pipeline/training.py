"""`train`: features and labels -> a checkpoint that `detect` takes, in a folder that says all that went in."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from vad_pipeline.eval.annotations import VideoAnnotation
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import Recipe
from vad_pipeline.extract.store import EmbeddingStore
from vad_pipeline.model.categories import Category

from .train_network import build_network, checkpoint_of, network_config, normality_config, save_best
from .train_run import TrainRun
from .training_data import Rows, TrainingVideo, data_fingerprint
from .validation import HeldOut, Judge, LastStep, OnTestSet

if TYPE_CHECKING:
    from vad_pipeline.model.losses import Loss
    from vad_pipeline.model.training import StepReport, TrainConfig, Training

TEST_FIGURES = {"ucf-crime": "auc", "xd-violence": "ap"}
LEARNING_RATE_NAMES = ("lr", "normality_lr")


@dataclass(frozen=True, slots=True)
class TrainSetup:
    """All that a run is made of, checked and read; the same for every seed."""

    preset: str
    categories: tuple[Category, ...]
    train: tuple[TrainingVideo, ...] = field(repr=False)
    held_out: tuple[TrainingVideo, ...] = field(repr=False)
    recipe: Recipe
    crops: tuple[int, ...] | None
    """Trained on; None: all that each video holds."""
    crop: int
    """Scored."""
    config: TrainConfig
    window_len: int | None = None
    """None: the preset's."""
    normality: dict = field(default_factory=dict)
    """Fields of NormalityConfig that differ from the published ones."""
    losses: dict[str, Loss] = field(default_factory=dict)
    """Own ones by name."""
    text_tower: str = "openai"
    """Where CLIP's text tower comes from, as --pretrained."""
    text_model: str = "ViT-B-16-quickgelu"
    init: Path | None = None
    annotations: tuple[VideoAnnotation, ...] | None = field(default=None, repr=False)
    """Of the test set; None: --select val."""
    test: tuple = field(default=(), repr=False)
    """Features of the test set."""
    false_alarms_per_hour: float = 1.0
    device: str = "auto"
    save_every_seconds: float = 300.0
    tensorboard: bool = False
    inputs: dict = field(default_factory=dict)
    """What else goes into config.json, files by their hash; a resumed run must find it unchanged."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a run came to."""

    best: Path
    best_step: int
    measures: dict[str, float]
    """Of the best weights, the selecting one first."""
    threshold: float
    calibrated: bool


def run_config(setup: TrainSetup) -> dict:
    """config.json: everything that could change a weight, and what people want to know."""
    import numpy as np
    import torch

    rows = rows_of(setup, None)
    return {
        "versions": {
            "vad-pipeline": version("vad-pipeline"),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "threads": torch.get_num_threads(),
        "preset": setup.preset,
        "network": json.loads(network_config(setup).to_json()),
        "normality": asdict(normality_config(setup)),
        "training": asdict(setup.config),
        "categories": [asdict(category) for category in setup.categories],
        "recipe": json.loads(setup.recipe.to_json()),
        "crops": setup.crops and list(setup.crops),
        "crop": setup.crop,
        "data": {
            "fingerprint": data_fingerprint([*setup.train, *setup.held_out], setup.crops),
            "videos": len(setup.train),
            "rows": len(rows.rows),
            "normal_videos": sum(video.normal for video in setup.train),
            "held_out": sorted(video.entry.video for video in setup.held_out),
        },
        "select": _select(setup),
        "false_alarms_per_hour": setup.false_alarms_per_hour,
        "text_tower": [setup.text_tower, setup.text_model],
        **setup.inputs,
    }


def train_one(
    setup: TrainSetup,
    store: EmbeddingStore,
    run: TrainRun,
    *,
    report: Callable[[StepReport, int, dict], None],
    say: Callable[[str], None],
) -> TrainResult:
    """Train in a folder that was begun, from its beginning or from where it was saved last.

    Args:
        setup: what.
        store: of the features.
        run: its config is written.
        report: told of each step, how many there are, and what was measured after it.
        say: told what a user should know.

    Raises:
        TrainingDiverged: a loss is not finite any more.
        StoreError: features cannot be read, or the folder not be written.
    """
    import torch

    from vad_pipeline.extract.encoder import resolve_device
    from vad_pipeline.model.losses import LOSSES
    from vad_pipeline.model.training import Training, fit, schedule_of

    device = resolve_device(setup.device)
    torch.manual_seed(setup.config.seed)
    network = build_network(setup, say).to(device)
    rows = rows_of(setup, store)
    schedule = schedule_of(setup.config, steps_per_epoch=rows.steps_per_epoch, loader_lengths=rows.loader_lengths)
    if schedule.scaled_from:
        say(
            f"note: {schedule.n_steps} steps cannot finish a warm-up of {schedule.scaled_from}: scaled to "
            f"{schedule.warmup}"
        )
    training = Training(network, setup.config, schedule, {**LOSSES, **setup.losses})
    run.load(training)
    judge = _judge(setup, store)
    columns = ["step", "epoch", *LEARNING_RATE_NAMES, *training.losses, "total", *judge.names, "best"]
    board = _board(run.path, training.step) if setup.tensorboard else None
    saved = time.monotonic()
    measured = None

    def evaluate() -> tuple[float, ...]:
        nonlocal measured
        measured = judge.measure(checkpoint_of(setup, training, run.best), training.step)
        return measured.values

    def on_step(step: StepReport) -> None:
        nonlocal saved
        named = measured.named if step.measure is not None else {}
        rates = dict(zip(reversed(LEARNING_RATE_NAMES), step.rates, strict=True))
        values = {**rates, **step.losses, **named}
        run.rows.append({"step": step.step, "epoch": step.epoch, **values, "best": int(step.is_best)})
        if board:
            for name, value in values.items():
                board.add_scalar(name, value, step.step)
        if training.finished or time.monotonic() - saved >= setup.save_every_seconds:
            run.save(training, columns)
            saved = time.monotonic()
        report(step, schedule.n_steps, named)

    def on_best() -> None:
        save_best(setup, training, run.best, threshold=measured.threshold)

    fit(
        training,
        lambda epoch, skip: rows.batches(epoch, skip, device),
        due=lambda: _evaluation_due(setup, training, rows),
        evaluate=evaluate,
        reload_best=setup.annotations is not None,
        on_best=on_best,
        on_step=on_step,
    )
    if board:
        board.close()
    run.draw(judge.names[0] if judge.names else None)
    return _result(run, judge)


def rows_of(setup: TrainSetup, store: EmbeddingStore | None) -> Rows:
    """The training rows of a setup; without a store they can be counted, not read."""
    chosen = [
        (video.entry, crop, video.columns)
        for video in setup.train
        for crop in video.entry.crop_numbers
        if setup.crops is None or crop in setup.crops
    ]
    return Rows(
        store=store,
        rows=tuple(chosen),
        n_categories=len(setup.categories),
        window_len=network_config(setup).window_len,
        batch_size=setup.config.batch_size,
        paired=setup.config.paired,
        seed=setup.config.seed,
    )


def _select(setup: TrainSetup) -> str:
    return "test" if setup.annotations is not None else "val" if setup.held_out else "last"


def _judge(setup: TrainSetup, store: EmbeddingStore) -> Judge:
    if setup.annotations is not None:
        figure = TEST_FIGURES[setup.preset]
        return OnTestSet(store, setup.test, setup.annotations, setup.crop, setup.device, figure)
    if setup.held_out:
        return HeldOut(store, setup.held_out, setup.crop, setup.device, setup.false_alarms_per_hour)
    return LastStep()


def _evaluation_due(setup: TrainSetup, training: Training, rows: Rows) -> bool:
    """After each epoch; on the test set as often as the published run looks at it; once where nothing is held out."""
    if _select(setup) == "last":
        return training.finished
    every = setup.config.test_every_samples
    if setup.annotations is None or every is None:
        return training.at_epoch_end
    steps = max(1, every // (rows.batch_size * (2 if rows.paired else 1)))
    return training.at_epoch_end or training.step_in_epoch % steps == 0


def _board(path: Path, step: int):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError("--tensorboard needs a package: pip install 'vad-pipeline[tensorboard]'") from error
    return SummaryWriter(str(path), purge_step=step + 1)


def _result(run: TrainRun, judge: Judge) -> TrainResult:
    from vad_pipeline.model.checkpoint import load_checkpoint

    best = [row for row in run.rows if int(row["best"])][-1]
    return TrainResult(
        best=run.best,
        best_step=int(best["step"]),
        measures={name: float(best[name]) for name in judge.names},
        threshold=load_checkpoint(run.best).threshold,
        calibrated=isinstance(judge, HeldOut),
    )


def file_sha256(path: Path) -> str:
    """Of a file that goes into config.json.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error


def mean_and_spread(results: Sequence[TrainResult]) -> dict[str, dict[str, float]]:
    """Of each measure over several seeds: mean and sample standard deviation (0 for a single one)."""
    import statistics

    figures = {}
    for name in results[0].measures:
        values = [result.measures[name] for result in results]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        figures[name] = {"mean": statistics.mean(values), "std": spread, "values": values}
    return figures
