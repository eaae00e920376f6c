"""`train`'s options -> everything that is trained on, read and checked before the first step."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vad_pipeline.extract.catalogue import Entry
from vad_pipeline.extract.encoder import LOCAL_DIR
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import CROPS, NAMED_RECIPES, Recipe
from vad_pipeline.extract.store import EmbeddingStore
from vad_pipeline.model.categories import CATEGORIES
from vad_pipeline.model.category_file import read_categories

from .evaluation import EvaluateConfig
from .labels import LabelRow, columns_of, of_split, read_label_rows
from .selection import SelectionConfig, select_held
from .training import TrainSetup, file_sha256
from .training_data import Labelled, TrainingVideo, check_features, hold_out, join_labels

if TYPE_CHECKING:
    from vad_pipeline.model.losses import Loss

TRAIN_SPLIT, VALIDATION_SPLITS = "train", ("val", "valid", "validation")
LOSS_OPTION = re.compile(r"(?:(?P<file>.+\.py):)?(?P<name>[A-Za-z_]\w*)(?:=(?P<weight>[^=]+))?")
PUBLISHED_CROPS = {"ucf-crime": 5, "xd-violence": 0}  # what the paper tests
TEXT_MODEL = NAMED_RECIPES["vadclip"].recipe.model


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
    test: EvaluateConfig | None = None
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


@dataclass(frozen=True, slots=True)
class Prepared:
    """A setup, and what a user must know of it."""

    setup: TrainSetup
    missing: Labelled
    notes: tuple[str, ...]


def prepare(
    options: TrainOptions, store: EmbeddingStore, *, on_video: Callable[[str], None] = lambda video: None
) -> Prepared:
    """Read labels, match them to features, read all of these once, hold some out.

    Args:
        options: as given.
        store: of the features.
        on_video: called with each id whose features are checked.

    Raises:
        ConfigError: it cannot be trained on; one sentence says why.
    """
    from vad_pipeline.model.training import TRAINING_PRESETS

    notes: list[str] = []
    categories = read_categories(options.categories) if options.categories else CATEGORIES[options.preset]
    entries, unlisted = select_held(_of_recipe(store, options.recipe_id), options.selection, lambda entry: entry.video)
    if not entries:
        raise ConfigError(f"{store.path}: no features are left to train on")
    train_rows, held_out_rows, other_rows = _splits(options)
    annotations = tuple(options.test.read()) if options.test else None
    test = _test_entries(entries, annotations)
    known = {entry.video for entry in test} | _known(entries, other_rows)
    train = join_labels(
        entries, columns_of(train_rows, categories, options.labels), known=known | _known(entries, held_out_rows)
    )
    train.without_features += unlisted
    held_out = join_labels(entries, columns_of(held_out_rows, categories, options.labels), known=known).videos
    overlap = {video.entry.video for video in train.videos} & {entry.video for entry in test}
    if overlap:
        raise ConfigError(
            f"{len(overlap)} videos are in the labels and in the test set ({', '.join(sorted(overlap)[:3])}): a test "
            "on training videos says nothing"
        )
    checked = check_features(train.videos, store, options.crops, on_video=on_video)
    train.videos, train.unusable = checked.videos, checked.unusable
    _need_both_kinds(train.videos, options.labels)
    if not held_out and options.select == "val":
        train.videos, held_out = hold_out(train.videos, options.val_share)
        if not held_out:
            notes.append("too few videos to hold some out: the last weights are kept, the threshold is not calibrated")
    if options.select == "test":
        held_out = []
    missing = [
        name for i, name in enumerate(c.name for c in categories) if not any(i in v.columns for v in train.videos)
    ]
    if missing:
        notes.append(f"no training video shows {', '.join(missing)}")
    losses, weights = load_losses(options.loss)
    preset = TRAINING_PRESETS[options.preset]
    config = replace(
        preset,
        epochs=options.epochs or preset.epochs,
        max_steps=options.steps,
        learning_rate=options.lr or preset.learning_rate,
        batch_size=options.batch_size or preset.batch_size,
        loss_weights=weights,
        precision=options.precision,
    )
    config, note = _fitting_batch(config, train.videos, options.crops)
    notes += note
    recipe = Recipe.from_json(entries[0].recipe)
    crop = _scored_crop(options, [*train.videos, *held_out], test)
    text_tower, text_model = _text_tower(options, recipe)
    setup = TrainSetup(
        preset=options.preset,
        categories=categories,
        train=tuple(train.videos),
        held_out=tuple(held_out),
        recipe=recipe,
        crops=options.crops,
        crop=crop,
        config=config,
        window_len=options.window_len,
        losses=losses,
        text_tower=text_tower,
        text_model=text_model,
        init=options.init,
        annotations=annotations,
        test=tuple(test),
        false_alarms_per_hour=options.false_alarms_per_hour,
        device=options.device,
        save_every_seconds=options.save_every_seconds,
        tensorboard=options.tensorboard,
        inputs=_inputs(options, text_tower),
    )
    return Prepared(setup, train, tuple(notes))


def load_losses(given: Sequence[str]) -> tuple[dict[str, Loss], dict[str, float]]:
    """`event=0`, `FILE.py:NAME=WEIGHT` -> own losses by name, weights by name.

    Raises:
        ConfigError: no such loss, file or function, or not a weight.
    """
    from vad_pipeline.model.losses import LOSSES

    losses: dict[str, Loss] = {}
    weights: dict[str, float] = {}
    for text in given:
        match = LOSS_OPTION.fullmatch(text)
        try:
            weight = float((match and match["weight"]) or 1)
        except ValueError:
            match = None
        if match is None:
            raise ConfigError(f"--loss {text}: expected NAME=WEIGHT or FILE.py:NAME=WEIGHT")
        name = match["name"]
        if name in weights:
            raise ConfigError(f"--loss {text}: {name} is given twice")
        if match["file"]:
            if name in LOSSES:
                raise ConfigError(f"--loss {text}: {name} is one of DSANet's own losses; call yours something else")
            losses[name] = _own_loss(Path(match["file"]), name)
        elif name not in LOSSES:
            raise ConfigError(f"--loss {text}: no such loss; DSANet's are {', '.join(LOSSES)}, yours is FILE.py:NAME")
        weights[name] = weight
    return losses, weights


def _own_loss(path: Path, name: str) -> Callable:
    """The function NAME(output, batch) of a file, held to giving a number."""
    import torch

    where = f"--loss {path}:{name}"
    if not path.is_file():
        raise ConfigError(f"{where}: no such file")
    try:
        spec = importlib.util.spec_from_file_location(f"own_loss_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        function = getattr(module, name)
    except Exception as error:  # a user's code may raise anything
        raise ConfigError(f"{where}: cannot be loaded ({type(error).__name__}: {error})") from error

    def checked(output, batch):
        try:
            value = function(output, batch)
        except Exception as error:
            raise ConfigError(f"{where}: raised {type(error).__name__}: {error}") from error
        if not isinstance(value, torch.Tensor) or value.ndim or not value.is_floating_point():
            raise ConfigError(f"{where}: must return a scalar float tensor, returned {value!r:.80}")
        return value

    return checked


def _splits(options: TrainOptions) -> tuple[list[LabelRow], list[LabelRow], list[LabelRow]]:
    """Rows to train on, rows to hold out, and all others."""
    rows = read_label_rows(options.labels)
    if options.split:
        train = of_split(rows, options.split, options.labels)
    elif any(row.split for row in rows):
        train = of_split(rows, TRAIN_SPLIT, options.labels)
    else:
        return rows, [], []
    if not train:
        splits = ", ".join(sorted({row.split or "(empty)" for row in rows}))
        raise ConfigError(f"{options.labels}: no row is of split {options.split or TRAIN_SPLIT}; there are {splits}")
    held_out = [row for row in rows if row.split in VALIDATION_SPLITS and row.split != train[0].split]
    used = {train[0].split, *(row.split for row in held_out)}
    return train, held_out, [row for row in rows if row.split not in used]


def _known(entries: Sequence[Entry], rows: Sequence[LabelRow]) -> set[str]:
    """Ids that rows of other splits name."""
    ids = {entry.video: (0,) for entry in entries}
    return {
        video.entry.video for video in join_labels(entries, {row.name: (0,) for row in rows}, known=set(ids)).videos
    }


def _of_recipe(store: EmbeddingStore, recipe_id: str | None) -> list[Entry]:
    entries = store.entries()
    recipes = sorted({entry.recipe_id for entry in entries if entry.recipe_id.startswith(recipe_id or "")})
    if not entries:
        raise ConfigError(f"{store.path}: holds no features; run `vad-pipeline extract SRC --store {store.path}` first")
    if len(recipes) != 1:
        held = ", ".join(sorted({entry.recipe_id for entry in entries}))
        raise ConfigError(f"{store.path}: --recipe must name one of its recipes: {held}")
    return [entry for entry in entries if entry.recipe_id == recipes[0]]


def _test_entries(entries: Sequence[Entry], annotations) -> list[Entry]:
    if annotations is None:
        return []
    from vad_pipeline.eval.truth import match_annotations

    ids = {video for _, video in match_annotations(annotations, [entry.video for entry in entries]).pairs}
    if not ids:
        raise ConfigError("no annotated test video has features in the store")
    return [entry for entry in entries if entry.video in ids]


def _need_both_kinds(videos: Sequence[TrainingVideo], labels: Path) -> None:
    n_normal = sum(video.normal for video in videos)
    if not videos:
        raise ConfigError(f"{labels}: none of its videos has features to train on")
    if not n_normal:
        raise ConfigError(f"{labels}: no normal video at all; training needs some of both kinds")
    if n_normal == len(videos):
        raise ConfigError(f"{labels}: no anomalous video at all; training needs some of both kinds")


def _fitting_batch(config, videos: Sequence[TrainingVideo], crops: Sequence[int] | None):
    """The configuration with a batch that the rows can fill, and what to say of it."""
    counts = {True: 0, False: 0}
    for video in videos:
        counts[video.normal] += sum(crops is None or crop in crops for crop in video.entry.crop_numbers)
    most = min(counts.values()) if config.paired else sum(counts.values())
    if config.batch_size <= most:
        return config, []
    kind = "rows of the rarer kind" if config.paired else "rows"
    return replace(config, batch_size=most), [f"{most} {kind} cannot fill a batch of {config.batch_size}: it is {most}"]


def _scored_crop(options: TrainOptions, videos: Sequence[TrainingVideo], test: Sequence[Entry]) -> int:
    """The crop that the checkpoint will score: asked for, else the paper's, else the first that all hold."""
    held = set(CROPS).intersection(*(entry.crop_numbers for entry in [*(v.entry for v in videos), *test]))
    if options.crop is not None:
        if options.crop not in held:
            raise ConfigError(f"--crop {options.crop}: not held by every video (all hold {sorted(held)})")
        return options.crop
    if not held:
        raise ConfigError("no crop is held by every video; choose what to train on with --match or --list")
    own = PUBLISHED_CROPS[options.preset]
    return own if own in held else min(held)


def _text_tower(options: TrainOptions, recipe: Recipe) -> tuple[str, str]:
    """Where CLIP's text tower comes from, and its model."""
    model = options.model or (TEXT_MODEL if recipe.model.startswith(LOCAL_DIR) else recipe.model)
    if options.pretrained:
        return options.pretrained, model
    if options.init and options.init.suffix == ".pth":
        return str(options.init), model
    if recipe.weights.startswith("sha256:"):
        raise ConfigError(
            f"the features were made with the weights {recipe.weights[:19]}...; give that file with --pretrained: "
            "its text tower reads the categories"
        )
    return recipe.weights, model


def _inputs(options: TrainOptions, text_tower: str) -> dict:
    """Files that go in, by content."""
    files = {"labels": options.labels, "categories_file": options.categories, "init": options.init}
    inputs = {name: path and file_sha256(path) for name, path in files.items()}
    paths = {match["file"] for match in map(LOSS_OPTION.fullmatch, options.loss) if match and match["file"]}
    inputs["loss_files"] = {path: file_sha256(Path(path)) for path in sorted(paths)}
    inputs["text_tower_file"] = file_sha256(Path(text_tower)) if Path(text_tower).is_file() else None
    inputs["annotations"] = options.test and file_sha256(options.test.annotations)
    return inputs
