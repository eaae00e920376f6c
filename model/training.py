"""Training DSANet: configuration, one step, and the loop that counts epochs, evaluates and keeps the best weights.

Method: DSANet, "implementation details", as its published code trains. Files are read and written by the caller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor

from vad_pipeline.extract.device import is_of_the_device
from vad_pipeline.extract.embed.encoder_config import WIDE_PRECISIONS
from vad_pipeline.extract.errors import ConfigError, RunStopped

from .heads.dsanet import DSANetOutput
from .losses import LOSSES, NORMALITY_LOSSES, Loss, TrainingBatch
from .optimiser import StableAdamW, epoch_cosine, warm_cosine
from .trainable import TrainableDSANet

WARMUP_SHARE = 0.1  # the warm-up as a share of all steps, where there are too few for the configured one
WEIGHT_DECAY = 0.01  # AdamW's; StableAdamW has its own


class TrainingDiverged(RunStopped):
    """A loss or a gradient has become infinite or NaN."""


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How to train.

    Raises:
        ConfigError: on a value outside its range.
    """

    learning_rate: float
    batch_size: int
    """Videos of a step; where `paired`, that many normal and that many anomalous ones."""
    paired: bool
    """Whether each batch is half normal, half anomalous, from two shuffled lists; otherwise from one shuffled list."""
    align_weight: float
    """Weight of the `align` loss; the other losses have 1, unless `loss_weights` says otherwise."""
    test_every_samples: int | None
    """After how many videos the published code looks at the test set again; None: once an epoch."""
    epochs: int = 10
    max_steps: int | None = None
    """Steps after which training ends, even in the middle of an epoch; None: after `epochs`."""
    warmup_iterations: int = 100
    """Steps in which the learning rate of the normality branch rises."""
    loss_weights: Mapping[str, float] = field(default_factory=dict)
    """Weights of losses by name; 0 switches a loss off. Names that are not in LOSSES are a caller's own losses."""
    seed: int = 234
    precision: str = "fp32"
    """`bf16`: matrix products in bf16, weights and losses in float32."""

    def __post_init__(self):
        for name in ("batch_size", "epochs", "warmup_iterations"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name.replace('_', ' ')} must be at least 1, got {getattr(self, name)}")
        if self.max_steps is not None and self.max_steps < 1:
            raise ConfigError(f"steps must be at least 1, got {self.max_steps}")
        if not 0 < self.learning_rate < math.inf:
            raise ConfigError(f"learning rate must be above 0, got {self.learning_rate}")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed must be 0 or more, got {self.seed}")
        if self.precision not in WIDE_PRECISIONS:
            raise ConfigError(f"training precision must be one of {', '.join(WIDE_PRECISIONS)}, got {self.precision!r}")
        wrong = [name for name, weight in self.loss_weights.items() if not 0 <= weight < math.inf]
        if wrong:
            raise ConfigError(f"loss weights must be 0 or more, {wrong[0]} has {self.loss_weights[wrong[0]]}")

    def weights(self, names: Mapping[str, Loss]) -> dict[str, float]:
        """The weights of those of these losses that are not switched off, by name."""
        own = {name: self.align_weight if name == "align" else 1.0 for name in LOSSES} | dict(self.loss_weights)
        return {name: own[name] for name in names if own[name] > 0}


TRAINING_PRESETS = {
    "ucf-crime": TrainConfig(learning_rate=7e-5, batch_size=64, paired=True, align_weight=1.1, test_every_samples=1280),
    "xd-violence": TrainConfig(
        learning_rate=1e-5, batch_size=96, paired=False, align_weight=5.0, test_every_samples=None
    ),
}
"""The published hyper-parameters."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How many steps a training run has, and how its two learning rates change."""

    n_epochs: int
    steps_per_epoch: int
    n_steps: int
    """Steps in all: less than n_epochs * steps_per_epoch where a number of steps was asked for."""
    total_iterations: int
    """Step at which the normality branch's rate would be lowest. As the published code counts both lists of a paired
    epoch, it lies beyond the last step there."""
    warmup: int
    """Steps in which the normality branch's rate rises."""
    scaled_from: int | None = None
    """The configured warm-up, where it is longer than the training run and `warmup` is shorter; else None."""


def schedule_of(config: TrainConfig, *, steps_per_epoch: int, loader_lengths: int) -> Schedule:
    """Plan the steps of a training run.

    Args:
        config: gives the epochs or steps, and the warm-up.
        steps_per_epoch: batches of an epoch.
        loader_lengths: batches of an epoch, those of both lists added up where they are paired.
    """
    n_steps = config.max_steps or config.epochs * steps_per_epoch
    n_epochs = -(-n_steps // steps_per_epoch)
    fits = config.warmup_iterations <= n_steps
    warmup = config.warmup_iterations if fits else max(1, round(WARMUP_SHARE * n_steps))
    return Schedule(
        n_epochs=n_epochs,
        steps_per_epoch=steps_per_epoch,
        n_steps=n_steps,
        total_iterations=n_epochs * loader_lengths,
        warmup=warmup,
        scaled_from=None if fits else config.warmup_iterations,
    )


class Training:
    """The state of a training run: network, optimisers, steps done, the best weights so far.

    Args:
        network: on the device where it is to be trained.
        config: how to train.
        schedule: how many steps, and at which rates.
        losses: the losses by name; those of weight 0 are left out.

    Raises:
        ConfigError: every loss is switched off.
    """

    def __init__(
        self, network: TrainableDSANet, config: TrainConfig, schedule: Schedule, losses: Mapping[str, Loss] = LOSSES
    ):
        self.network, self.config, self.schedule = network, config, schedule
        self.weights = config.weights(losses)
        self.losses = {name: losses[name] for name in self.weights}
        if not self.losses:
            raise ConfigError("every loss is switched off: nothing is left to train with")
        # an own loss may read the reconstruction
        self._normality = bool(self.weights.keys() & NORMALITY_LOSSES or self.weights.keys() - LOSSES.keys())
        self.step = 0
        """Steps done."""
        self.best: tuple[float, ...] | None = None
        """The best measure so far; larger is better, and later numbers of it decide where earlier ones are equal."""
        normality = list(network.normality.parameters())
        held = {id(parameter) for parameter in normality}
        rest = [p for p in network.parameters() if p.requires_grad and id(p) not in held]
        self._normality_optimiser = StableAdamW(normality, lr=config.learning_rate)
        self._optimiser = torch.optim.AdamW(rest, lr=config.learning_rate, weight_decay=WEIGHT_DECAY)
        self._best_state: dict[str, Tensor] | None = None

    @property
    def epoch(self) -> int:
        """The epoch that the next step belongs to, from 0."""
        return self.step // self.schedule.steps_per_epoch

    @property
    def step_in_epoch(self) -> int:
        """How many steps of that epoch are done."""
        return self.step % self.schedule.steps_per_epoch

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self.schedule.n_steps

    @property
    def at_epoch_end(self) -> bool:
        """Whether an epoch has just ended, be it the last one, which may be cut short."""
        return self.finished or self.step_in_epoch == 0

    def rates(self) -> tuple[float, float]:
        """Learning rates of the next step: that of the normality branch, and that of all else."""
        base, schedule = self.config.learning_rate, self.schedule
        normality = warm_cosine(self.step, base=base, warmup=schedule.warmup, total=schedule.total_iterations)
        return normality, epoch_cosine(self.epoch, base=base, n_epochs=schedule.n_epochs)

    def train_step(self, batch: TrainingBatch) -> dict[str, float]:
        """Update the weights once.

        Args:
            batch: on the network's device.

        Returns:
            Each loss before the update, unweighted, by name, and `total`, their weighted sum.

        Raises:
            TrainingDiverged: a loss or a gradient is not finite; the weights have not been changed.
            ConfigError: the losses cannot be differentiated.
        """
        for optimiser, rate in zip((self._normality_optimiser, self._optimiser), self.rates(), strict=True):
            optimiser.zero_grad(set_to_none=True)
            optimiser.param_groups[0]["lr"] = rate
        values = self._losses(batch)
        total = sum(self.weights[name] * value for name, value in values.items())
        report = {name: float(value.detach()) for name, value in {**values, "total": total}.items()}
        broken = [name for name, value in report.items() if not math.isfinite(value)]
        if broken:
            raise TrainingDiverged(self._diverged(f"the loss {broken[0]} is {report[broken[0]]}"))
        self._backward(total)
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        if not torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
            raise TrainingDiverged(self._diverged("its gradient is not finite"))
        self._normality_optimiser.step()
        self._optimiser.step()
        self.step += 1
        return report

    def _backward(self, total: Tensor) -> None:
        if not total.requires_grad:
            raise ConfigError("the losses do not depend on the network: nothing can be trained with them")
        try:
            total.backward()
        except RuntimeError as error:
            if self.losses.keys() <= LOSSES.keys() or is_of_the_device(error):
                raise
            raise ConfigError(
                f"the losses cannot be differentiated ({error}); an own loss must not change what it is given"
            ) from error

    def _losses(self, batch: TrainingBatch) -> dict[str, Tensor]:
        low = self.config.precision == "bf16"
        with torch.autocast(batch.features.device.type, torch.bfloat16, enabled=low):
            output = self.network(batch.features, batch.lengths, normality=self._normality)
        if low:
            values = {f.name: getattr(output, f.name) for f in fields(DSANetOutput)}
            output = replace(output, **{name: value.float() for name, value in values.items() if value is not None})
        return {name: loss(output, batch) for name, loss in self.losses.items()}

    def _diverged(self, what: str) -> str:
        return (
            f"training diverged in step {self.step + 1} (epoch {self.epoch + 1}): {what}; the last good checkpoint is "
            "kept. A lower --lr helps, or --loss NAME=WEIGHT for the loss that runs away"
        )

    def take(self, measure: tuple[float, ...], *, keep_weights: bool) -> bool:
        """Note a measure if it is better than all before; say whether it is.

        Args:
            measure: how good the network is now; larger is better.
            keep_weights: whether to remember the weights of the best for `return_to_best`.
        """
        if self.best is not None and measure <= self.best:
            return False
        self.best = measure
        if keep_weights:
            self._best_state = {name: value.clone() for name, value in self.network.trained_state().items()}
        return True

    def return_to_best(self) -> None:
        """Go back to the best weights, as the published code does after each epoch; optimisers stay as they are."""
        if self._best_state is not None:
            self.network.load_trained_state(self._best_state)

    def state(self) -> dict:
        """Everything needed to continue the training run later, for torch.save."""
        return {
            "network": self.network.trained_state(),
            "normality_optimiser": self._normality_optimiser.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "step": self.step,
            "best": self.best,
            "best_state": self._best_state,
            "random": torch.get_rng_state(),  # an own loss may draw
        }

    def load_state(self, state: dict) -> None:
        """Continue from what `state` gave."""
        self.network.load_trained_state(state["network"])
        self._normality_optimiser.load_state_dict(state["normality_optimiser"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step, self.best, self._best_state = state["step"], state["best"], state["best_state"]
        torch.set_rng_state(state["random"])


@dataclass(frozen=True, slots=True)
class StepReport:
    """What happened in one step."""

    step: int
    """Number of the step, from 1."""
    epoch: int
    """Number of the epoch, from 1."""
    rates: tuple[float, float]
    """Learning rates: that of the normality branch, and that of all else."""
    losses: dict[str, float]
    """What `Training.train_step` returned."""
    measure: tuple[float, ...] | None
    """How good the network was after the step; None where it was not evaluated."""
    is_best: bool
    """Whether that was the best measure so far."""


def fit(
    training: Training,
    batches: Callable[[int, int], Iterator[TrainingBatch]],
    *,
    due: Callable[[], bool],
    evaluate: Callable[[], tuple[float, ...]],
    reload_best: bool,
    on_best: Callable[[], None],
    on_step: Callable[[StepReport], None],
) -> None:
    """Train until the schedule ends.

    Args:
        training: a new training run, or one continued with `load_state`.
        batches: (epoch, number of its first batches to leave out) -> the other batches of the epoch.
        due: tells whether to evaluate after the step just done.
        evaluate: measures how good the network is now; larger is better.
        reload_best: whether to go back to the best weights after each epoch.
        on_best: called when the network is better than ever before.
        on_step: called at the very end of each step, when the state can be saved.

    Raises:
        TrainingDiverged: see `Training.train_step`.
    """
    while not training.finished:
        for batch in batches(training.epoch, training.step_in_epoch):
            epoch, rates = training.epoch, training.rates()
            losses = training.train_step(batch)
            measure = evaluate() if due() else None
            is_best = measure is not None and training.take(measure, keep_weights=reload_best)
            if is_best:
                on_best()
            if reload_best and training.at_epoch_end:
                training.return_to_best()
            on_step(StepReport(training.step, epoch + 1, rates, losses, measure, is_best))
            if training.at_epoch_end:
                break
