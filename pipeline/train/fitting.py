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
from vad_pipeline.extract.errors import ConfigError, StoreError
from vad_pipeline.extract.recipe import Recipe
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.model.categories import Category

from ..stopping import Stop, stopping_between_steps
from .data import Rows, TrainingVideo, data_fingerprint
from .network import build_network, checkpoint_of, network_config, normality_config, save_best
from .run_folder import TrainRun
from .validation import HeldOut, Judge, LastStep, Measured, OnTestSet

if TYPE_CHECKING:
    from vad_pipeline.model.losses import Loss
    from vad_pipeline.model.training import StepReport, TrainConfig, Training

TEST_FIGURES = {"ucf-crime": "auc", "xd-violence": "ap"}
RATE_NAMES = ("normality_lr", "lr")
_AFTER_A_DEVICE = ("train into a new folder with a smaller --batch-size", "go on with --resume RUN")


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

    from vad_pipeline.extract.embed.encoder import resolve_device

    rows = rows_of(setup, None)
    return {
        "versions": {
            "vad-pipeline": version("vad-pipeline"),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "threads": torch.get_num_threads(),
        "device": resolve_device(setup.device).type,
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
            "test_fingerprint": data_fingerprint([TrainingVideo(entry, ()) for entry in setup.test], None),
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
    config: dict | None,
    report: Callable[[StepReport, int, dict], None],
    say: Callable[[str], None],
) -> TrainResult:
    """Train, from the beginning or from where a run was saved last.

    Args:
        setup: what.
        store: of the features.
        run: its folder.
        config: of a new run; it is begun once all that could be refused has been. None: the run was begun.
        report: told of each step, how many there are, and what was measured after it.
        say: told what a user should know.

    Raises:
        TrainingDiverged: a loss is not finite any more.
        DeviceFailed: the GPU is out of memory or gone.
        StoreError: features cannot be read, or the folder not be written.
    """
    import torch

    from vad_pipeline.extract.embed.device import stopping_where_the_device_fails
    from vad_pipeline.extract.embed.encoder import EMULATED, multiplies_bf16, resolve_device
    from vad_pipeline.model.losses import LOSSES
    from vad_pipeline.model.training import Training, fit, schedule_of

    device = resolve_device(setup.device)
    if setup.config.precision == "bf16" and device.type == "cpu" and not multiplies_bf16():
        say(f"note: {EMULATED}")
    torch.manual_seed(setup.config.seed)
    network = build_network(setup, say)
    with stopping_where_the_device_fails(*_AFTER_A_DEVICE):
        network = network.to(device)
    rows = rows_of(setup, store)
    schedule = schedule_of(setup.config, steps_per_epoch=rows.steps_per_epoch, loader_lengths=rows.loader_lengths)
    if schedule.scaled_from:
        say(
            f"note: {schedule.n_steps} steps cannot finish a warm-up of {schedule.scaled_from}: scaled to "
            f"{schedule.warmup}"
        )
    training = Training(network, setup.config, schedule, {**LOSSES, **setup.losses})
    if config is not None:
        run.begin(config)
    run.load(training)
    with stopping_between_steps() as stop, stopping_where_the_device_fails(*_AFTER_A_DEVICE):
        recorder = _Recorder(setup, run, training, _judge(setup, store), report, stop)
        fit(
            training,
            lambda epoch, skip: rows.batches(epoch, skip, device),
            due=lambda: _evaluation_due(setup, training, rows),
            evaluate=recorder.evaluate,
            reload_best=setup.annotations is not None,
            on_best=recorder.keep_best,
            on_step=recorder.step,
        )
    return recorder.close()


class _Recorder:
    """What a run leaves behind while it trains: measures, the best weights, a row a step, the last state."""

    def __init__(
        self,
        setup: TrainSetup,
        run: TrainRun,
        training: Training,
        judge: Judge,
        report: Callable[..., None],
        stop: Stop,
    ):
        self._stop = stop
        self._setup, self._run, self._training, self._judge, self._report = setup, run, training, judge, report
        self._columns = ["step", "epoch", *RATE_NAMES, *training.losses, "total", *judge.names, "best"]
        self._measured: Measured | None = None
        self._saved = time.monotonic()
        self._board = None
        if setup.tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(run.path), purge_step=training.step + 1)

    def evaluate(self) -> tuple[float, ...]:
        """Measure the network as it is."""
        checkpoint = checkpoint_of(self._setup, self._training, self._run.best)
        self._measured = self._judge.measure(checkpoint, self._training.step)
        return self._measured.values

    def keep_best(self) -> None:
        """Write what was just measured as the best."""
        save_best(self._setup, self._training, self._run.best, threshold=self._measured.threshold)

    def step(self, report: StepReport) -> None:
        """One more row; the state too where it is due."""
        named = self._measured.named if report.measure is not None else {}
        values = {**dict(zip(RATE_NAMES, report.rates, strict=True)), **report.losses, **named}
        self._run.rows.append({"step": report.step, "epoch": report.epoch, **values, "best": int(report.is_best)})
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(name, value, report.step)
        late = time.monotonic() - self._saved >= self._setup.save_every_seconds
        # together with the best weights, so that the file and the table agree whatever happens next
        if self._training.finished or report.is_best or late or self._stop.asked:
            self._run.save(self._training, self._columns)
            self._saved = time.monotonic()
        self._report(report, self._training.schedule.n_steps, named)
        self._stop.obey()

    def close(self) -> TrainResult:
        """Draw the curves, and say what the run came to."""
        if self._board:
            self._board.close()
        names = self._judge.names
        self._run.draw(names[0] if names else None)
        return _result(self._run, self._judge)


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


def _result(run: TrainRun, judge: Judge) -> TrainResult:
    from vad_pipeline.model.checkpoint import CheckpointError, load_checkpoint

    best = [row for row in run.rows if int(row["best"])][-1]
    try:
        threshold = load_checkpoint(run.best).threshold
    except CheckpointError as error:
        raise StoreError(f"{run.path}: its best weights cannot be read ({error}); start the run anew") from error
    return TrainResult(
        best=run.best,
        best_step=int(best["step"]),
        measures={name: float(best[name]) for name in judge.names},
        threshold=threshold,
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
