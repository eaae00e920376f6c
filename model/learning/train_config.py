"""How a head is trained, in numbers: hyper-parameters with the published ones, and how many steps there are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from vad_pipeline.extract.embed.encoder_config import WIDE_PRECISIONS
from vad_pipeline.extract.errors import ConfigError

WARMUP_SHARE = 0.1  # the warm-up as a share of all steps, where there are too few for the configured one


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
    """Weights of losses by name; 0 switches a loss off."""
    seed: int = 234
    precision: str = "fp32"
    """`bf16`: matrix products in bf16, weights and losses in float32."""
    milestones: tuple[int, ...] = ()
    """VadCLIP's: after how many epochs the learning rate falls to a tenth."""

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

    def weights(self, names: Iterable[str]) -> dict[str, float]:
        """The weights of those of these losses that are not switched off, by name."""
        usual = {"align": self.align_weight}
        weights = {name: self.loss_weights.get(name, usual.get(name, 1.0)) for name in names}
        return {name: weight for name, weight in weights.items() if weight > 0}


TRAINING_PRESETS = {
    "ucf-crime": TrainConfig(learning_rate=7e-5, batch_size=64, paired=True, align_weight=1.1, test_every_samples=1280),
    "xd-violence": TrainConfig(
        learning_rate=1e-5, batch_size=96, paired=False, align_weight=5.0, test_every_samples=None
    ),
}
"""DSANet's published hyper-parameters."""

VADCLIP_TRAINING = {
    "ucf-crime": replace(
        TRAINING_PRESETS["ucf-crime"],
        learning_rate=2e-5,
        align_weight=1.0,
        loss_weights={"text_separation": 1e-1},
        milestones=(4, 8),
    ),
    "xd-violence": replace(
        TRAINING_PRESETS["xd-violence"],
        learning_rate=1e-5,
        align_weight=1.0,
        loss_weights={"text_separation": 1e-4},
        milestones=(3, 6, 10),
    ),
}
"""VadCLIP's published hyper-parameters; batches, epochs and the seed are those of DSANet."""

PLAIN_TRAINING = {
    preset: replace(config, learning_rate=1e-4, align_weight=1.0) for preset, config in TRAINING_PRESETS.items()
}
"""Those of the baseline; batches as for the other heads, so that a table compares heads alone."""


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
