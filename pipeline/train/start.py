"""`train --init`: what comes with the checkpoint that training starts from, unless an option says otherwise."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from vad_pipeline.extract.command_line import extract_options
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import Recipe
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.entry import Entry
from vad_pipeline.extract.store.one_recipe import of_one_recipe
from vad_pipeline.model.categories import CATEGORIES, Category, names
from vad_pipeline.model.category_file import read_categories
from vad_pipeline.model.checkpoint import Checkpoint, load_checkpoint
from vad_pipeline.model.heads.dsanet import PRESETS, DSANetConfig
from vad_pipeline.model.initial import dsanet_config, refuse_other_shape

from .options import TrainOptions

DEFAULT_PRESET = "ucf-crime"


@dataclass(frozen=True, slots=True)
class Start:
    """What a run's network begins as."""

    preset: str
    network: DSANetConfig
    """The preset's or the checkpoint's, with the run's own categories and window."""
    categories: tuple[Category, ...]
    checkpoint: Checkpoint | None
    """Of --init."""
    notes: tuple[str, ...]
    """What comes with --init, and what options change of it."""


def begin_with(options: TrainOptions) -> Start:
    """The preset, or what --init brings along: preset, network, categories.

    Raises:
        ConfigError: the checkpoint cannot be read, is of another shape than --preset and --window-len say, or does not
            say how its own categories are described; or the window is no multiple of the network's attention block.
    """
    if options.init is None:
        preset = options.preset or DEFAULT_PRESET
        categories = read_categories(options.categories) if options.categories else CATEGORIES[preset]
        return Start(preset, _network(PRESETS[preset], categories, options.window_len), categories, None, ())
    checkpoint = load_checkpoint(options.init)
    its_network = dsanet_config(options.init, checkpoint.config)
    preset = options.preset or checkpoint.preset
    categories = read_categories(options.categories) if options.categories else categories_of(checkpoint)
    base = its_network if preset == checkpoint.preset else PRESETS[preset]
    network = _network(base, categories, options.window_len)
    refuse_other_shape(options.init, its_network, network)
    notes = [
        f"--init {options.init} brings preset {checkpoint.preset}, {len(checkpoint.categories)} categories, windows of "
        f"{checkpoint.config.window_len}, recipe {checkpoint.recipe.recipe_id}, crop {checkpoint.crop}"
    ]
    changes = (
        ("categories", ", ".join(checkpoint.categories), ", ".join(names(categories))),
        ("crop", checkpoint.crop, checkpoint.crop if options.crop is None else options.crop),
    )
    notes += [f"--{name} overrides it: {now} instead of {before}" for name, before, now in changes if now != before]
    return Start(preset, network, categories, checkpoint, tuple(notes))


def _network(base: DSANetConfig, categories: tuple[Category, ...], window_len: int | None) -> DSANetConfig:
    """A preset's or checkpoint's network with other categories and, where one is given, another window."""
    window_len = window_len or base.window_len
    block = min(base.attention_block, window_len)
    if window_len % block:
        raise ConfigError(f"--window-len must be a multiple of {block} here, got {window_len}")
    return replace(base, categories=names(categories), window_len=window_len, attention_block=block)


def categories_of(checkpoint: Checkpoint) -> tuple[Category, ...]:
    """A checkpoint's categories with the words that the text tower reads.

    Raises:
        ConfigError: they are its own, and it was written before checkpoints kept their words.
    """
    published = CATEGORIES[checkpoint.preset]
    if checkpoint.categories == names(published):
        return published
    if checkpoint.descriptions is None:
        raise ConfigError(
            f"{checkpoint.path}: does not say how its categories ({', '.join(checkpoint.categories)}) are described; "
            "give the file that it was trained with: --categories FILE"
        )
    return tuple(map(Category, checkpoint.categories, checkpoint.descriptions))


def features_for(start: Start, store: EmbeddingStore, asked: str | None) -> tuple[Recipe, list[Entry], list[str]]:
    """The features to train on, all of one recipe: asked for, else that of --init, else the only one held.

    Returns:
        The recipe, its features, and what to say of it.

    Raises:
        ConfigError: none are held.
    """
    entries, checkpoint = store.entries(), start.checkpoint
    if checkpoint is None or not entries:
        return *of_one_recipe(entries, asked, store=store.path), []
    held = {entry.recipe_id: Recipe.from_json(entry.recipe) for entry in entries}
    fitting = {recipe_id for recipe_id, recipe in held.items() if checkpoint.accepts(recipe)}
    if not asked and not fitting:
        raise ConfigError(
            f"{store.path}: holds no features of the recipe that {checkpoint.path} was trained on "
            f"({checkpoint.recipe.differences(next(iter(held.values())))}); make them with `vad-pipeline extract SRC "
            f"--store {store.path} {' '.join(extract_options(asdict(checkpoint.recipe), checkpoint.crop))}`, or name "
            "others with --recipe ID"
        )
    recipe, chosen = of_one_recipe(entries, asked, store=store.path, among=fitting)
    other = not checkpoint.accepts(recipe)
    said = f"--recipe overrides it: {recipe.recipe_id} instead of {checkpoint.recipe.recipe_id}"
    return recipe, chosen, [said] if other else []
