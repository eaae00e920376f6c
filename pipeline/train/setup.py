"""The record of all that a training run is made of: `prepare` fills it, the rest of `train` reads it."""

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
    from vad_pipeline.model.heads.known import HeadConfig
    from vad_pipeline.model.heads.own import OwnHead
    from vad_pipeline.model.initial import ClipText
    from vad_pipeline.model.learning.losses import Loss
    from vad_pipeline.model.learning.train_config import TrainConfig

    from .options import TrainOptions


@dataclass(frozen=True, slots=True)
class TextTower:
    """Where CLIP's text tower comes from."""

    pretrained: str
    """open_clip tag, weights file, or a published checkpoint that holds the tower."""
    model: str
    """Name of the open_clip model."""


@dataclass(frozen=True, slots=True)
class TrainSetup:
    """All that a training run is made of, read and checked; it is the same for every seed."""

    options: TrainOptions
    """The options as given; where a field below holds the resolved value of one, that field counts."""
    categories: tuple[Category, ...]
    train: tuple[TrainingVideo, ...] = field(repr=False)
    held_out: tuple[TrainingVideo, ...] = field(repr=False)
    recipe: Recipe
    crop: int
    """Number of the crop that the checkpoint scores."""
    config: TrainConfig
    head: str
    """The method: a name in `HEADS`."""
    own: OwnHead | None
    """Where the code of a head of the user's own is."""
    network: HeadConfig
    """The network: the preset's or that of --init, with the run's own categories and window."""
    tower: TextTower | None
    """What reads the categories; None where the head reads no text."""
    clip: ClipText | None = field(repr=False)
    """Its weights."""
    losses: dict[str, Loss] = field(default_factory=dict)
    """Name -> loss for the user's own losses."""
    annotations: tuple[VideoAnnotation, ...] | None = field(default=None, repr=False)
    """Annotations of the test set; None with --select val."""
    test: tuple = field(default=(), repr=False)
    """Features of the test set."""
    inputs: dict = field(default_factory=dict)
    """Further content of config.json, files by their SHA-256; it must be the same when the run is resumed."""


def file_sha256(path: Path) -> str:
    """SHA-256 of the content of a file that a training run depends on.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
