"""All that a training run is made of, checked and read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vad_pipeline.eval.annotations import VideoAnnotation
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import Recipe
from vad_pipeline.model.categories import Category

from .data import TrainingVideo

if TYPE_CHECKING:
    from vad_pipeline.model.losses import Loss
    from vad_pipeline.model.training import TrainConfig


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


def file_sha256(path: Path) -> str:
    """Of a file that goes into config.json.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
