"""Reads and checks all that a training run needs, as the options of `train` say, before the first step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vad_pipeline.extract.embed.encoder_config import INT8, LOCAL_DIR, RANDOM
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.names import plural
from vad_pipeline.extract.recipe import CROPS, IMPORTED_WEIGHTS, NAMED_RECIPES, Recipe, weights_of
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.entry import Entry

from ..archive.selection import select_held
from .data import Labelled, TrainingVideo
from .options import TrainOptions
from .own_losses import load_losses, loss_files
from .setup import TextTower, TrainSetup, file_sha256
from .split import choose, drop_unusable, hold_some_out

if TYPE_CHECKING:
    from vad_pipeline.model.initial import ClipText
    from vad_pipeline.model.learning.train_config import TrainConfig

    from .start import Start

TEXT_MODEL = NAMED_RECIPES["vadclip"].recipe.model

WHERE_MISSING = "mend the list, or --allow-missing trains on the rest"
NO_TEXT_TOWER = "this head reads categories with the text tower of such a model; train --head mil, which reads none"


@dataclass(frozen=True, slots=True)
class Prepared:
    """The setup of a training run, what is missing from it, and notes for the user."""

    setup: TrainSetup
    missing: Labelled
    notes: tuple[str, ...]

    @property
    def lacking(self) -> list[str]:
        """The names that LABELS or the annotations have and that cannot be used, those without features first."""
        return [*self.missing.without_features, *self.missing.unusable]


def prepare(
    options: TrainOptions,
    store: EmbeddingStore,
    *,
    reads_features: bool = True,
    on_video: Callable[[str], None] = lambda video: None,
) -> Prepared:
    """Read labels, match them to features, read all these features once, and hold some videos out.

    Args:
        options: the options of `train`.
        store: the store of the features.
        reads_features: False: leave the features themselves unread, which is what takes long.
        on_video: called with each id whose features are checked.

    Raises:
        ConfigError: labels, features or options do not allow training.
    """
    from vad_pipeline.extract.device import resolve_device
    from vad_pipeline.model.heads.known import HEADS

    from .start import at_width, begin_with, features_for, label_words, tried_out

    resolve_device(options.device)
    start = begin_with(options)
    options = replace(options, head=options.head or start.head, preset=start.preset)
    recipe, held, of_others = features_for(start, store, options.recipe_id)
    entries, unlisted = select_held(held, options.selection, lambda entry: entry.video)
    if not (entries := list(entries)):
        raise ConfigError(f"{store.path}: no features are left to train on")
    start, known = tried_out(at_width(start, recipe))
    losses, weights = load_losses(options.loss, known, start.own.name if start.own else HEADS[start.head].title)
    annotations = tuple(options.test.read()) if options.test else None
    chosen = choose(options, entries, label_words(start), annotations)
    chosen.missing.without_features += unlisted
    crop = _scored_crop(options, start, [*chosen.train, *chosen.held_out], chosen.test)
    tower = _text_tower(options, recipe) if HEADS[start.head].reads_text else None
    clip = _clip_of(tower)  # before all features are read: it may not be to be had
    drop_unusable(chosen, store if reads_features else None, options.crops, crop, on_video)
    _need_both_kinds(chosen.train, options.labels)
    notes = [*start.notes, *of_others, *chosen.notes, *hold_some_out(chosen, options, label_words(start))]
    notes += [*_in_int8(chosen.train), *_of_categories(start, chosen.train), *_of_other_weights(tower, recipe)]
    config, note = _fitting_batch(_train_config(options, start.head, weights), chosen.train, options.crops)
    notes += note
    setup = TrainSetup(
        options=replace(options, precision=config.precision),
        categories=label_words(start),
        train=tuple(chosen.train),
        held_out=tuple(chosen.held_out),
        recipe=recipe,
        crop=crop,
        config=config,
        head=start.head,
        own=start.own,
        network=start.network,
        tower=tower,
        clip=clip,
        losses=losses,
        annotations=annotations,
        test=tuple(chosen.test),
        inputs=_inputs(options, tower),
    )
    return Prepared(setup, chosen.missing, tuple(notes))


def _train_config(options: TrainOptions, head: str, loss_weights: dict[str, float]) -> TrainConfig:
    """The preset's hyper-parameters, with those that options change; timing the precision may take seconds."""
    from vad_pipeline.extract.device import resolve_device
    from vad_pipeline.model.fastest import training_way
    from vad_pipeline.model.learning.trainable import TRAINED

    preset = TRAINED[head].presets[options.preset]
    return replace(
        preset,
        epochs=options.epochs or preset.epochs,
        max_steps=options.steps,
        learning_rate=preset.learning_rate if options.lr is None else options.lr,
        batch_size=options.batch_size or preset.batch_size,
        loss_weights={**preset.loss_weights, **loss_weights},
        precision=training_way(options.precision, resolve_device(options.device), head).precision,
    )


def _of_other_weights(tower: TextTower | None, recipe: Recipe) -> list[str]:
    """A note where weights of random numbers read the categories, and others made the features."""
    if tower is None or not tower.pretrained.startswith(RANDOM) or recipe.weights.startswith(RANDOM):
        return []
    return [
        f"--pretrained {tower.pretrained} reads the categories and {recipe.weights} made the features: they do not "
        "belong together, which is for trying this out"
    ]


def _need_both_kinds(videos: Sequence[TrainingVideo], labels: Path) -> None:
    n_normal = sum(video.normal for video in videos)
    if not videos:
        raise ConfigError(f"{labels}: none of its videos has features to train on")
    if not n_normal:
        raise ConfigError(f"{labels}: no normal video at all; training needs some of both kinds")
    if n_normal == len(videos):
        raise ConfigError(f"{labels}: no anomalous video at all; training needs some of both kinds")


def _of_categories(start: Start, videos: Sequence[TrainingVideo]) -> list[str]:
    """Notes on categories that no training video shows, and on descriptions that are not read."""
    from vad_pipeline.model.heads.known import result_categories

    known = result_categories(start.network)
    if known != start.network.categories:
        return [f"the head tells no categories apart: its results know {' and '.join(known)}"]
    missing = [name for i, name in enumerate(known) if not any(i in video.columns for video in videos)]
    notes = [f"no training video shows {', '.join(missing)}"] if missing else []
    several = [category.name for category in start.categories if len(category.descriptions) > 1]
    if several and start.head == "vadclip":
        notes.append(f"VadCLIP reads one description a category, the first: {', '.join(several)} have several")
    return notes


def _fitting_batch(
    config: TrainConfig, videos: Sequence[TrainingVideo], crops: Sequence[int] | None
) -> tuple[TrainConfig, list[str]]:
    """Lower the batch size to what the rows can fill; return the configuration, and a note where it was lowered."""
    counts = {True: 0, False: 0}
    for video in videos:
        counts[video.normal] += sum(crops is None or crop in crops for crop in video.entry.crop_numbers)
    most = min(counts.values()) if config.paired else sum(counts.values())
    if config.batch_size <= most:
        return config, []
    kind = "rows of the rarer kind" if config.paired else "rows"
    return replace(config, batch_size=most), [f"{most} {kind} cannot fill a batch of {config.batch_size}: it is {most}"]


def _scored_crop(options: TrainOptions, start: Start, videos: Sequence[TrainingVideo], test: Sequence[Entry]) -> int:
    """The crop that the checkpoint will score: --crop, else --init's, else the paper's, else the lowest that all have.

    Raises:
        ConfigError: not every video has the crop asked for, or no crop is in all videos.
    """
    held = set(CROPS).intersection(*(entry.crop_numbers for entry in [*(v.entry for v in videos), *test]))
    if options.crop is not None:
        if options.crop not in held:
            raise ConfigError(f"--crop {options.crop}: not held by every video (all hold {sorted(held)})")
        return options.crop
    if not held:
        raise ConfigError("no crop is held by every video; choose what to train on with --match or --list")
    from vad_pipeline.model.checkpoint import PUBLISHED_CROPS

    own = start.checkpoint.crop if start.checkpoint else PUBLISHED_CROPS[start.preset]
    return own if own in held else min(held)


def _text_tower(options: TrainOptions, recipe: Recipe) -> TextTower:
    """The text tower that reads the categories: as given, else the --init checkpoint's, else that of the features."""
    unnamed = recipe.model.startswith(LOCAL_DIR) or recipe.weights == IMPORTED_WEIGHTS  # whose text tower is unknown
    model = options.model or (TEXT_MODEL if unnamed else recipe.model)
    given = options.pretrained or (str(options.init) if options.init and options.init.suffix == ".pth" else None)
    weights = weights_of(recipe, given, why="its text tower reads the categories", otherwise=NO_TEXT_TOWER)
    return TextTower(weights, model)


def _clip_of(tower: TextTower | None) -> ClipText | None:
    """The text tower itself; None where there is none."""
    from vad_pipeline.model.initial import clip_text_tower

    return None if tower is None else clip_text_tower(tower.pretrained, tower.model)


def _inputs(options: TrainOptions, tower: TextTower | None) -> dict:
    """The files that a training run depends on, each with the SHA-256 of its content, for config.json."""
    files = {"labels": options.labels, "categories_file": options.categories, "init": options.init}
    inputs = {name: path and file_sha256(path) for name, path in files.items()}
    inputs["loss_files"] = {str(path): file_sha256(path) for path in loss_files(options.loss)}
    of_file = tower is not None and Path(tower.pretrained).is_file()
    inputs["text_tower_file"] = file_sha256(Path(tower.pretrained)) if of_file else None
    inputs["annotations"] = options.test and file_sha256(options.test.path)
    inputs["normals"] = options.test and options.test.normals and file_sha256(options.test.normals)
    inputs["format"] = options.test and options.test.format
    return inputs


def _in_int8(videos: Sequence[TrainingVideo]) -> list[str]:
    n_int8 = sum(video.entry.precision == INT8 for video in videos)
    return [f"features of {n_int8} of {plural(len(videos), 'training video')} were made in int8"] if n_int8 else []
