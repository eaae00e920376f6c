"""All that a training run is made of, checked and read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vad_pipeline.eval.annotation import VideoAnnotation
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import Recipe
from vad_pipeline.model.categories import Category

from .data import TrainingVideo

if TYPE_CHECKING:
    from vad_pipeline.model.losses import Loss
    from vad_pipeline.model.training import TrainConfig

    from .options import TrainOptions


@dataclass(frozen=True, slots=True)
class TextTower:
    """Where CLIP's text tower comes from."""

    pretrained: str
    """open_clip tag, weights file, or a published checkpoint that holds it."""
    model: str
    """open_clip model name."""


@dataclass(frozen=True, slots=True)
class TrainSetup:
    """All that a run is made of, checked and read; the same for every seed."""

    options: TrainOptions
    """As given; what the fields below resolve is read from them."""
    categories: tuple[Category, ...]
    train: tuple[TrainingVideo, ...] = field(repr=False)
    held_out: tuple[TrainingVideo, ...] = field(repr=False)
    recipe: Recipe
    crop: int
    """Which crop the checkpoint scores."""
    config: TrainConfig
    tower: TextTower
    losses: dict[str, Loss] = field(default_factory=dict)
    """Own ones by name."""
    normality: dict = field(default_factory=dict)
    """Fields of NormalityConfig that differ from the published ones."""
    annotations: tuple[VideoAnnotation, ...] | None = field(default=None, repr=False)
    """Of the test set; None: --select val."""
    test: tuple = field(default=(), repr=False)
    """Features of the test set."""
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
