"""Training DSANet: configuration, one step, and the loop that counts epochs, evaluates and keeps the best.

Method: DSANet, "implementation details", as its published code trains. What a run reads and writes is the caller's.
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

WARMUP_SHARE = 0.1  # of all steps, where there are too few for the configured warm-up
WEIGHT_DECAY = 0.01  # AdamW's; StableAdamW has its own


class TrainingDiverged(RunStopped):
    """A loss or a gradient is not finite any more."""


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How to train.

    Raises:
        ConfigError: on a value outside its range.
    """

    learning_rate: float
    batch_size: int
    """Videos of a step; of each kind where paired."""
    paired: bool
    """Half of each batch normal, half anomalous, from two shuffled lists; else one shuffled list."""
    align_weight: float
    """Of the `align` loss; the others' is 1 unless `loss_weights` says otherwise."""
    test_every_samples: int | None
    """How often the published run looks at the test set, None: once an epoch."""
    epochs: int = 10
    max_steps: int | None = None
    """Ends the run in the middle of an epoch, if need be."""
    warmup_iterations: int = 100
    """Of the normality branch's rate."""
    loss_weights: Mapping[str, float] = field(default_factory=dict)
    """By name; 0 switches a loss off. Names that are not in LOSSES are a caller's own."""
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
        """The weight of each loss that takes part."""
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
    """How long a run is, and how its two rates move."""

    n_epochs: int
    steps_per_epoch: int
    n_steps: int
    """In all: less than n_epochs * steps_per_epoch where a number of steps was asked for."""
    total_iterations: int
    """Where the normality branch's cosine would end: the published run counts both loaders of a paired epoch."""
    warmup: int
    scaled_from: int | None = None
    """The warm-up that was configured, where it could not have been finished."""


def schedule_of(config: TrainConfig, *, steps_per_epoch: int, loader_lengths: int) -> Schedule:
    """Lay a run out.

    Args:
        config: epochs or steps, and the warm-up.
        steps_per_epoch: batches that an epoch has.
        loader_lengths: batches of all loaders of an epoch, added.
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
    """A training run as it stands: network, optimisers, how far it has come, the best so far.

    Args:
        network: on the device where it is to be trained.
        config: how.
        schedule: how long.
        losses: by name; those of weight 0 are left out.
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
        """The best measure so far; larger is better, later numbers settle ties."""
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
        """Steps of it already done."""
        return self.step % self.schedule.steps_per_epoch

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self.schedule.n_steps

    @property
    def at_epoch_end(self) -> bool:
        """Whether an epoch has just ended, the last one cut short included."""
        return self.finished or self.step_in_epoch == 0

    def rates(self) -> tuple[float, float]:
        """Learning rates of the next step: of the normality branch, and of the rest."""
        base, schedule = self.config.learning_rate, self.schedule
        normality = warm_cosine(self.step, base=base, warmup=schedule.warmup, total=schedule.total_iterations)
        return normality, epoch_cosine(self.epoch, base=base, n_epochs=schedule.n_epochs)

    def train_step(self, batch: TrainingBatch) -> dict[str, float]:
        """One update.

        Args:
            batch: on the network's device.

        Returns:
            Each loss before the update, unweighted, and `total`, the weighted sum.

        Raises:
            TrainingDiverged: a loss or a gradient is not finite; weights are as they were.
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
        """Whether a measure is the best so far; ties keep the earlier one.

        Args:
            measure: of the network as it is now.
            keep_weights: remember them for `return_to_best`.
        """
        if self.best is not None and measure <= self.best:
            return False
        self.best = measure
        if keep_weights:
            self._best_state = {name: value.clone() for name, value in self.network.trained_state().items()}
        return True

    def return_to_best(self) -> None:
        """Go back to the best weights, as the published run does after each epoch; optimisers stay as they are."""
        if self._best_state is not None:
            self.network.load_trained_state(self._best_state)

    def state(self) -> dict:
        """All that going on needs, as torch.save takes it."""
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
        """Undo `state`."""
        self.network.load_trained_state(state["network"])
        self._normality_optimiser.load_state_dict(state["normality_optimiser"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step, self.best, self._best_state = state["step"], state["best"], state["best_state"]
        torch.set_rng_state(state["random"])


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one step gave."""

    step: int
    """From 1."""
    epoch: int
    """From 1."""
    rates: tuple[float, float]
    """Of the normality branch, of the rest."""
    losses: dict[str, float]
    measure: tuple[float, ...] | None
    """Where the network was evaluated after it."""
    is_best: bool


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
        training: new, or loaded from where it was.
        batches: (epoch, steps of it to leave out) -> its batches.
        due: whether to evaluate after the step just done.
        evaluate: measures the network as it is; larger is better.
        reload_best: go back to the best weights after each epoch.
        on_best: called when the network as it is is the best so far.
        on_step: told of each step once all that it changes has changed; the place to save.

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
