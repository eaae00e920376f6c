"""Training a head: one step, and the loop that counts epochs, evaluates and keeps the best weights.

What differs between heads comes with the network (`trainable.py`). Files are read and written by the caller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from vad_pipeline.extract.device import is_of_the_device
from vad_pipeline.extract.errors import ConfigError, RunStopped

from .heads.head_names import OWN
from .heads.known import head_of
from .learning.losses import LOSSES, Loss, TrainingBatch
from .learning.train_config import Schedule, TrainConfig
from .learning.trainable import Trainable, load_trained_state, trained_state


class TrainingDiverged(RunStopped):
    """A loss or a gradient has become infinite or NaN."""


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

    def __init__(self, network: Trainable, config: TrainConfig, schedule: Schedule, losses: Mapping[str, Loss]):
        self.network, self.config, self.schedule = network, config, schedule
        self.weights = config.weights(losses)
        self.losses = {name: losses[name] for name in self.weights}
        if not self.losses:
            raise ConfigError("every loss is switched off: nothing is left to train with")
        self.step = 0
        """Steps done."""
        self.best: tuple[float, ...] | None = None
        """The best measure so far; larger is better, and later numbers of it decide where earlier ones are equal."""
        self._groups = network.groups(config, schedule)
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

    def rates(self) -> dict[str, float]:
        """Learning rates of the next step, by the names that metrics.csv has for them."""
        return {group.rate_name: group.rate(self.step) for group in self._groups}

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
        for group in self._groups:
            group.optimiser.zero_grad(set_to_none=True)
            group.optimiser.param_groups[0]["lr"] = group.rate(self.step)
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
        for group in self._groups:
            group.optimiser.step()
        self.step += 1
        return report

    def _backward(self, total: Tensor) -> None:
        if not total.requires_grad:
            raise ConfigError("the losses do not depend on the network: nothing can be trained with them")
        try:
            total.backward()
        except RuntimeError as error:
            ours = set(self.losses.values()) <= set(LOSSES.values()) and head_of(self.network.scoring.config) != OWN
            if ours or is_of_the_device(error):
                raise
            raise ConfigError(
                f"the losses cannot be differentiated ({error}); an own loss or head must not change what it is given"
            ) from error

    def _losses(self, batch: TrainingBatch) -> dict[str, Tensor]:
        low = self.config.precision == "bf16"
        with torch.autocast(batch.features.device.type, torch.bfloat16, enabled=low):
            output = self.network(batch.features, batch.lengths, losses=self.losses)
        if low:
            values = {f.name: getattr(output, f.name) for f in fields(output)}
            output = replace(output, **{name: value.float() for name, value in values.items() if value is not None})
        for what, found in (("anomaly", output.anomaly_logits), ("category", output.category_logits)):
            if found is not None and not torch.isfinite(found[batch.valid]).all():
                raise TrainingDiverged(self._diverged(f"the {what} logits are not finite"))
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
            self._best_state = {name: value.clone() for name, value in trained_state(self.network).items()}
        return True

    def return_to_best(self) -> None:
        """Go back to the best weights, as the published code does after each epoch; optimisers stay as they are."""
        if self._best_state is not None:
            load_trained_state(self.network, self._best_state)

    def state(self) -> dict:
        """Everything needed to continue the training run later, for torch.save."""
        return {
            "network": trained_state(self.network),
            **{group.state_name: group.optimiser.state_dict() for group in self._groups},
            "step": self.step,
            "best": self.best,
            "best_state": self._best_state,
            "random": torch.get_rng_state(),  # an own loss may draw
        }

    def load_state(self, state: dict) -> None:
        """Continue from what `state` gave."""
        load_trained_state(self.network, state["network"])
        for group in self._groups:
            group.optimiser.load_state_dict(state[group.state_name])
        self.step, self.best, self._best_state = state["step"], state["best"], state["best_state"]
        torch.set_rng_state(state["random"])


@dataclass(frozen=True, slots=True)
class StepReport:
    """What happened in one step."""

    step: int
    """Number of the step, from 1."""
    epoch: int
    """Number of the epoch, from 1."""
    rates: dict[str, float]
    """Learning rates, as `Training.rates` gave them before the step."""
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
