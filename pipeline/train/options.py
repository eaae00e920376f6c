"""The options of `train`: from the command line, to and from config.json, and for a run that is resumed."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from vad_pipeline.eval.annotations import ENDS, TruthFile
from vad_pipeline.extract.errors import ConfigError, how_to_add
from vad_pipeline.extract.recipe import CROPS
from vad_pipeline.model.heads.head_names import DEFAULT_HEAD
from vad_pipeline.model.run_names import BEST_NAME

from ..archive.selection import SelectionConfig

DEFAULT_SEED, SEED_BITS = 234, 63
SEEDS = "whole numbers from 0, each once"


def _changeable(default: Any) -> Any:
    """A field whose option may be given anew with --resume: it changes no weight, or is checked elsewhere."""
    return field(default=default, metadata={"may_change_on_resume": True})


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """The options of `train`, one field for each parameter of the command; None or empty: not given.

    Raises:
        ConfigError: a value is out of its range, or two options exclude each other.
    """

    labels: Path
    preset: str | None
    """None: that of --init, else ucf-crime."""
    head: str | None = None
    """The method that is trained; None: that of --init, else DSANet."""
    out: Path | None = _changeable(None)
    resume: Path | None = _changeable(None)
    store: Path | None = _changeable(None)
    catalogue: Path | None = _changeable(None)
    recipe_id: str | None = None
    crops: tuple[int, ...] | None = None
    crop: int | None = None
    list_file: str | None = None
    match: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    only: str | None = None
    split: str | None = None
    """The split to use: of LABELS, or of the `only` file where that is given."""
    part: str | None = None
    categories: Path | None = None
    init: Path | None = None
    pretrained: str | None = None
    model: str | None = None
    select: str = "val"
    val_share: float = 0.1
    annotations: Path | None = None
    format: str | None = None
    normals: Path | None = None
    ends: str = ENDS[0]
    first_frame: int = 0
    false_alarms_per_hour: float = 1.0
    epochs: int | None = None
    steps: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    loss: tuple[str, ...] = ()
    """The --loss options as given: `[FILE.py:]NAME=WEIGHT`."""
    window_len: int | None = None
    seeds: tuple[int, ...] = (DEFAULT_SEED,)
    precision: str = "fp32"
    allow_missing: bool = False
    device: str = _changeable("auto")
    threads: int | None = _changeable(None)
    any_threads: bool = _changeable(False)
    save_every_seconds: float = _changeable(300.0)
    tensorboard: bool = _changeable(False)
    quiet: bool = _changeable(False)

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
        if self.tensorboard and not has_tensorboard():
            raise ConfigError(f"--tensorboard needs a package: {how_to_add('tensorboard')}")
        for crop in (*(self.crops or ()), *(() if self.crop is None else (self.crop,))):
            if crop not in CROPS:
                raise ConfigError(f"crops are numbered 0 to {CROPS[-1]}, got {crop}")
        _ = self.selection

    @property
    def selection(self) -> SelectionConfig:
        """The options that choose among the store's videos."""
        split = self.split if self.only else None
        return SelectionConfig(self.list_file, self.match, self.exclude, self.only, split, self.part)

    @property
    def labels_split(self) -> str | None:
        """The split of LABELS to train on; None: its split `train`, or all rows where it has no splits."""
        return None if self.only else self.split

    @property
    def test(self) -> TruthFile | None:
        """The annotation file of the test set; None without --annotations.

        Raises:
            ConfigError: --annotations is given without --format, or the other way round.
        """
        return TruthFile.of(self.annotations, self.format, self.normals, ends=self.ends, first_frame=self.first_frame)

    def to_json(self) -> dict[str, Any]:
        """The options as config.json keeps them: by name, with absolute paths so that --resume works in any folder."""
        return {each.name: _plain(each.name, getattr(self, each.name)) for each in fields(self)}

    @classmethod
    def resumed(cls, recorded: Mapping[str, Any], given: Mapping[str, Any]) -> TrainOptions:
        """The options of a training run that is resumed.

        Args:
            recorded: what `to_json` returned when the run was begun.
            given: name -> value of the options given now, `resume` among them.

        Raises:
            ConfigError: an option given now differs and would change what is trained; the message names all such.
        """
        by_name, recorded = {each.name: each for each in fields(cls)}, {"head": DEFAULT_HEAD, **recorded}
        differ: dict[str, str] = {}
        for name in sorted(given):
            now, before = _plain(name, given[name]), recorded.get(name)
            if now != before and not by_name[name].metadata:
                differ[name] = f"{name} {now} instead of {'the default' if before is None else before}"
        if differ:
            told = f"{given['resume']}: was begun with other options: {'; '.join(differ.values())}; leave them out"
            longer = f", or train on from its weights into a new folder: --init {given['resume'] / BEST_NAME} --out RUN"
            raise ConfigError(told + (longer if {"epochs", "steps"} & differ.keys() else ""))
        kept = {name: _typed(name, value) for name, value in recorded.items() if name in by_name}
        changed = {name: value for name, value in given.items() if by_name[name].metadata}
        if not has_tensorboard():  # which changes no weight; asked for anew, it is refused
            kept["tensorboard"] = False
        only_for_once = {"resume": None, "any_threads": False}
        return cls(**kept | only_for_once | changed | {"out": given["resume"]})


def are_seeds(seeds: Sequence[int]) -> bool:
    """Whether a training run can be made with each of these numbers."""
    return len(set(seeds)) == len(seeds) and all(0 <= seed < 1 << SEED_BITS for seed in seeds)


def has_tensorboard() -> bool:
    """Whether the package that writes TensorBoard events is installed."""
    return importlib.util.find_spec("tensorboard") is not None


def _plain(name: str, value: Any) -> Any:
    """Convert an option's value to what JSON can hold."""
    if name == "loss":
        return [_absolute(part) for part in value]
    if name == "head" and value:
        return _absolute(value)
    if isinstance(value, tuple):
        return list(value)
    file_or_word = name in ("pretrained", "only", "list_file") and value and Path(value).is_file()
    return str(Path(value).resolve()) if isinstance(value, Path) or file_or_word else value


def _typed(name: str, value: Any) -> Any:
    """Convert an option's value from JSON back to what the command line gives."""
    if isinstance(value, list):
        return tuple(value)
    return Path(value) if value and _TYPES[name] in (Path, Path | None) else value


def _absolute(word: str) -> str:
    """`FILE.py:NAME` with FILE's absolute path, whatever stands behind NAME; a word without a colon as it is."""
    file, colon, rest = word.rpartition(":")
    return f"{Path(file).resolve()}{colon}{rest}" if colon else word


_TYPES = get_type_hints(TrainOptions)
