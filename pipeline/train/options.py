"""`train`'s options as given."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path

from vad_pipeline.eval.annotations import TruthFile
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import CROPS

from ..archive.selection import SelectionConfig


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """`train`'s options as given; None and empty: not given."""

    labels: Path
    preset: str
    recipe_id: str | None = None
    crops: tuple[int, ...] | None = None
    crop: int | None = None
    split: str | None = None
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    categories: Path | None = None
    init: Path | None = None
    pretrained: str | None = None
    model: str | None = None
    select: str = "val"
    val_share: float = 0.1
    test: TruthFile | None = None
    """Annotations of the test set."""
    false_alarms_per_hour: float = 1.0
    epochs: int | None = None
    steps: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    loss: tuple[str, ...] = ()
    window_len: int | None = None
    precision: str = "fp32"
    device: str = "auto"
    save_every_seconds: float = 300.0
    tensorboard: bool = False
    allow_missing: bool = False

    def __post_init__(self):
        if self.epochs and self.steps:
            raise ConfigError("--epochs and --steps exclude each other")
        if (self.select == "test") != (self.test is not None):
            raise ConfigError("--select test needs --annotations FILE --format NAME of the test set, and they need it")
        if not 0 <= self.val_share < 1:
            raise ConfigError(f"--val-share must be at least 0 and less than 1, got {self.val_share}")
        if not self.false_alarms_per_hour >= 0:
            raise ConfigError(f"--false-alarms must not be negative, got {self.false_alarms_per_hour}")
        if not self.save_every_seconds >= 0:
            raise ConfigError(f"--save-every must not be negative, got {self.save_every_seconds}")
        if self.tensorboard and importlib.util.find_spec("tensorboard") is None:
            raise ConfigError("--tensorboard needs a package: pip install 'vad-pipeline[tensorboard]'")
        for crop in (*(self.crops or ()), *(() if self.crop is None else (self.crop,))):
            if crop not in CROPS:
                raise ConfigError(f"crops are numbered 0 to {CROPS[-1]}, got {crop}")
