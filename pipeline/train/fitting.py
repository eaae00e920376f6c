"""Trains one network to the end and keeps its best weights, measures and last state in the training run's folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vad_pipeline.extract.errors import StoreError
from vad_pipeline.extract.names import plural
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.model.heads.head_names import DEFAULT_HEAD

from ..stopping import Stop, stopping_between_steps
from .chart import draw_chart
from .data import Rows
from .network import build_network, checkpoint_of, save_best
from .run_config import rows_of, selected_by
from .run_folder import TrainRun
from .setup import TrainSetup
from .validation import HeldOut, Judge, LastStep, Measured, OnTestSet

if TYPE_CHECKING:
    from vad_pipeline.model.calibration import Calibration
    from vad_pipeline.model.heads.own import OwnHead
    from vad_pipeline.model.training import StepReport, Training

TEST_FIGURES = {"ucf-crime": "auc", "xd-violence": "ap"}
_AFTER_A_DEVICE = ("train into a new folder with a smaller --batch-size", "go on with --resume RUN")


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a training run ended with."""

    best: Path
    best_step: int
    measures: dict[str, float]
    """Name -> value for the best weights; the measure that they were chosen by comes first."""
    threshold: float
    calibration: Calibration | None
    """What stands behind the threshold; None: it is the default."""
    rows: list[dict] = field(repr=False)
    """The rows of metrics.csv, one for each step."""


def train_one(
    setup: TrainSetup,
    store: EmbeddingStore,
    run: TrainRun,
    *,
    config: dict | None,
    report: Callable[[StepReport, int, dict], None],
    say: Callable[[str], None],
) -> TrainResult:
    """Train, from the beginning or from where the run was saved last.

    Args:
        setup: what is trained, on what.
        store: the store of the features.
        run: the training run's folder.
        config: content of config.json for a new run, written once nothing can be refused any more; None: the run has
            begun before and goes on.
        report: called after each step with the step, the number of steps, and what was measured after it.
        say: called with sentences for the user.

    Raises:
        TrainingDiverged: a loss is not finite any more.
        DeviceFailed: the GPU is out of memory or gone.
        StoreError: features cannot be read, or the folder not be written.
    """
    import torch

    from vad_pipeline.extract.device import resolve_device, stopping_where_the_device_fails
    from vad_pipeline.extract.embed.ways import EMULATED, multiplies_bf16
    from vad_pipeline.model.learning.train_config import schedule_of
    from vad_pipeline.model.learning.trainable import losses_of
    from vad_pipeline.model.training import Training

    device = resolve_device(setup.options.device)
    if setup.config.precision == "bf16" and device.type == "cpu" and not multiplies_bf16():
        say(f"note: {EMULATED}")
    torch.manual_seed(setup.config.seed)
    network = build_network(setup, say)
    with stopping_where_the_device_fails(*_AFTER_A_DEVICE):
        network = network.to(device)
    rows = rows_of(setup, store)
    schedule = schedule_of(setup.config, steps_per_epoch=rows.steps_per_epoch, loader_lengths=rows.loader_lengths)
    if schedule.scaled_from and setup.head == DEFAULT_HEAD:
        say(
            f"note: {plural(schedule.n_steps, 'step')} cannot finish a warm-up of {schedule.scaled_from}: scaled to "
            f"{schedule.warmup}"
        )
    training = Training(network, setup.config, schedule, {**losses_of(network.scoring), **setup.losses})
    with run.held():
        if config is not None:
            run.begin(config)
        run.load(training)
        return _fit(setup, store, run, training, rows, report)


def _fit(
    setup: TrainSetup, store: EmbeddingStore, run: TrainRun, training: Training, rows: Rows, report: Callable[..., None]
) -> TrainResult:
    """Train to the end, writing results as they come."""
    from vad_pipeline.extract.device import stopping_where_the_device_fails
    from vad_pipeline.model.training import fit

    device = next(training.network.parameters()).device
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
    """Writes a training run's measures, best weights, a table row for each step, and the last state."""

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
        self._columns = ["step", "epoch", *training.rates(), *training.losses, "total", *judge.names, "best"]
        self._measured: Measured | None = None
        self._saved = time.monotonic()
        self._board = None
        if setup.options.tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(run.path), purge_step=training.step + 1)

    def evaluate(self) -> tuple[float, ...]:
        """Measure the network as it is now; larger values are better."""
        checkpoint = checkpoint_of(self._setup, self._training, self._run.best)
        self._training.network.eval()  # without dropout, as `detect` scores
        self._measured = self._judge.measure(checkpoint, self._training.step)
        self._training.network.train()
        return self._measured.values

    def keep_best(self) -> None:
        """Write the weights that were just measured as the best ones."""
        save_best(self._setup, self._training, self._run.best, self._measured)

    def step(self, report: StepReport) -> None:
        """Add the row of a step; save the state too if it is time for that."""
        named = self._measured.named if report.measure is not None else {}
        values = {**report.rates, **report.losses, **named}
        self._run.rows.append({"step": report.step, "epoch": report.epoch, **values, "best": int(report.is_best)})
        if self._board:
            for group, values in (("loss", report.losses), ("measure", named), ("rate", report.rates)):
                for name, value in values.items():
                    self._board.add_scalar(f"{group}/{name}", value, report.step)
        late = time.monotonic() - self._saved >= self._setup.options.save_every_seconds
        # together with the best weights, so that the file and the table agree whatever happens next
        if self._training.finished or report.is_best or late or self._stop.asked:
            self._run.save(self._training, self._columns)
            self._saved = time.monotonic()
        self._report(report, self._training.schedule.n_steps, named)
        self._stop.obey()

    def close(self) -> TrainResult:
        """Draw curves.png and return the run's result."""
        if self._board:
            self._board.close()
        draw_chart(self._run.path, {"": self._run.rows})
        return _result(self._run, self._judge, self._setup.own)


def _judge(setup: TrainSetup, store: EmbeddingStore) -> Judge:
    if setup.annotations is not None:
        figure = TEST_FIGURES[setup.options.preset]
        return OnTestSet(store, setup.test, setup.annotations, setup.crop, setup.options.device, figure)
    if setup.held_out:
        return HeldOut(store, setup.held_out, setup.crop, setup.options.device, setup.options.false_alarms_per_hour)
    return LastStep()


def _evaluation_due(setup: TrainSetup, training: Training, rows: Rows) -> bool:
    """Whether to measure the network after this step.

    It is measured after each epoch; with --select test also within epochs, as often as the published training does; if
    nothing is held out, only at the end.
    """
    if selected_by(setup) == "last":
        return training.finished
    every = setup.config.test_every_samples
    if setup.annotations is None or every is None:
        return training.at_epoch_end
    steps = max(1, every // (rows.batch_size * (2 if rows.paired else 1)))
    return training.at_epoch_end or training.step_in_epoch % steps == 0


def _result(run: TrainRun, judge: Judge, own: OwnHead | None) -> TrainResult:
    from vad_pipeline.model.checkpoint import CheckpointError, load_checkpoint

    best = [row for row in run.rows if int(row["best"])][-1]
    try:
        checkpoint = load_checkpoint(run.best, own=own)
    except CheckpointError as error:
        raise StoreError(f"{run.path}: its best weights cannot be read ({error}); start the run anew") from error
    return TrainResult(
        best=run.best,
        best_step=int(best["step"]),
        measures={name: float(best[name]) for name in judge.names},
        threshold=checkpoint.threshold,
        calibration=checkpoint.calibration,
        rows=run.rows,
    )


def mean_and_spread(results: Sequence[TrainResult]) -> dict[str, dict[str, float]]:
    """Mean and sample standard deviation (0 for a single seed) of each measure over runs of several seeds."""
    import statistics

    figures = {}
    for name in results[0].measures:
        values = [result.measures[name] for result in results]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        figures[name] = {"mean": statistics.mean(values), "std": spread, "values": values}
    return figures
