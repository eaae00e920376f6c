"""`train`'s options -> everything that is trained on, read and checked before the first step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vad_pipeline.extract.embed.encoder_config import LOCAL_DIR
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import CROPS, NAMED_RECIPES, Recipe
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.entry import Entry
from vad_pipeline.model.categories import CATEGORIES, names
from vad_pipeline.model.category_file import read_categories

from ..archive.selection import select_held
from .data import Labelled, TrainingVideo
from .options import TrainOptions
from .own_losses import load_losses, loss_files
from .setup import TrainSetup, file_sha256

if TYPE_CHECKING:
    from vad_pipeline.model.training import TrainConfig
from .split import choose, drop_unusable, hold_some_out

TEXT_MODEL = NAMED_RECIPES["vadclip"].recipe.model


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
    categories = read_categories(options.categories) if options.categories else CATEGORIES[options.preset]
    chosen, unlisted = select_held(_of_recipe(store, options.recipe_id), options.selection, lambda entry: entry.video)
    entries = list(chosen)
    if not entries:
        raise ConfigError(f"{store.path}: no features are left to train on")
    annotations = tuple(options.test.read()) if options.test else None
    chosen = choose(options, entries, categories, annotations)
    chosen.missing.without_features += unlisted
    crop = _scored_crop(options, [*chosen.train, *chosen.held_out], chosen.test)
    drop_unusable(chosen, store, options.crops, crop, on_video)
    _need_both_kinds(chosen.train, options.labels)
    notes = chosen.notes + hold_some_out(chosen, options)
    train = chosen.train
    missing = [name for i, name in enumerate(names(categories)) if not any(i in video.columns for video in train)]
    if missing:
        notes.append(f"no training video shows {', '.join(missing)}")
    losses, weights = load_losses(options.loss)
    config, note = _fitting_batch(_train_config(options, weights), train, options.crops)
    notes += note
    recipe = Recipe.from_json(entries[0].recipe)
    text_tower, text_model = _text_tower(options, recipe)
    setup = TrainSetup(
        preset=options.preset,
        categories=categories,
        train=tuple(train),
        held_out=tuple(chosen.held_out),
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
        test=tuple(chosen.test),
        false_alarms_per_hour=options.false_alarms_per_hour,
        device=options.device,
        save_every_seconds=options.save_every_seconds,
        tensorboard=options.tensorboard,
        inputs=_inputs(options, text_tower),
    )
    return Prepared(setup, chosen.missing, tuple(notes))


def _train_config(options: TrainOptions, loss_weights: dict[str, float]) -> TrainConfig:
    """The preset's hyper-parameters, and what the options change of them."""
    from vad_pipeline.model.training import TRAINING_PRESETS

    preset = TRAINING_PRESETS[options.preset]
    return replace(
        preset,
        epochs=options.epochs or preset.epochs,
        max_steps=options.steps,
        learning_rate=preset.learning_rate if options.lr is None else options.lr,
        batch_size=options.batch_size or preset.batch_size,
        loss_weights=loss_weights,
        precision=options.precision,
    )


def _of_recipe(store: EmbeddingStore, recipe_id: str | None) -> list[Entry]:
    entries = store.entries()
    recipes = sorted({entry.recipe_id for entry in entries if entry.recipe_id.startswith(recipe_id or "")})
    if not entries:
        raise ConfigError(f"{store.path}: holds no features; run `vad-pipeline extract SRC --store {store.path}` first")
    if len(recipes) != 1:
        held = ", ".join(sorted({entry.recipe_id for entry in entries}))
        raise ConfigError(f"{store.path}: --recipe must name one of its recipes: {held}")
    return [entry for entry in entries if entry.recipe_id == recipes[0]]


def _need_both_kinds(videos: Sequence[TrainingVideo], labels: Path) -> None:
    n_normal = sum(video.normal for video in videos)
    if not videos:
        raise ConfigError(f"{labels}: none of its videos has features to train on")
    if not n_normal:
        raise ConfigError(f"{labels}: no normal video at all; training needs some of both kinds")
    if n_normal == len(videos):
        raise ConfigError(f"{labels}: no anomalous video at all; training needs some of both kinds")


def _fitting_batch(
    config: TrainConfig, videos: Sequence[TrainingVideo], crops: Sequence[int] | None
) -> tuple[TrainConfig, list[str]]:
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
    from vad_pipeline.model.checkpoint import PUBLISHED_CROPS

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
    inputs["loss_files"] = {str(path): file_sha256(path) for path in loss_files(options.loss)}
    inputs["text_tower_file"] = file_sha256(Path(text_tower)) if Path(text_tower).is_file() else None
    inputs["annotations"] = options.test and file_sha256(options.test.path)
    inputs["normals"] = options.test and options.test.normals and file_sha256(options.test.normals)
    inputs["format"] = options.test and options.test.format
    return inputs
