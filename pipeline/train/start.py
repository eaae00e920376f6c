"""`train --init`: what comes with the checkpoint that training starts from, unless an option says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from vad_pipeline.extract.command_line import command_for
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import Recipe
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.entry import Entry
from vad_pipeline.extract.store.one_recipe import of_one_recipe
from vad_pipeline.model.categories import ANOMALY, CATEGORIES, Category, names, normal_form
from vad_pipeline.model.category_file import read_categories
from vad_pipeline.model.checkpoint import Checkpoint, load_checkpoint
from vad_pipeline.model.heads.head_names import DEFAULT_HEAD, HEAD_NAMES, OWN
from vad_pipeline.model.heads.known import HEADS, HeadConfig, result_categories
from vad_pipeline.model.heads.own import OwnHead, tried
from vad_pipeline.model.initial import refuse_other_head, refuse_other_shape
from vad_pipeline.model.learning.losses import Loss
from vad_pipeline.model.learning.trainable import TRAINED, losses_of

from .options import TrainOptions

DEFAULT_PRESET = "ucf-crime"


@dataclass(frozen=True, slots=True)
class Start:
    """What a run's network begins as."""

    head: str
    """The method: a name in `HEADS`."""
    preset: str
    network: HeadConfig
    """The preset's or the checkpoint's, with the run's own categories and window."""
    categories: tuple[Category, ...]
    checkpoint: Checkpoint | None
    """Of --init."""
    own: OwnHead | None
    """Where the code of a head of the user's own is."""
    notes: tuple[str, ...]
    """What comes with --init, and what options change of it."""


def begin_with(options: TrainOptions) -> Start:
    """The head and the preset, or what --init brings along: head, preset, network, categories.

    Raises:
        ConfigError: the checkpoint cannot be read, is of another head or shape than --head, --preset and --window-len
            say, or does not say how its own categories are described; or the window is no multiple of the network's
            attention block.
    """
    head, own = _head_of(options.head)
    if options.init is None:
        head, preset = head or DEFAULT_HEAD, options.preset or DEFAULT_PRESET
        categories = read_categories(options.categories) if options.categories else CATEGORIES[preset]
        network = _network(HEADS[head].presets[preset], categories, options.window_len)
        if own:
            network = replace(network, file=own.path.name, name=own.name, sha256=own.sha256)
        return Start(head, preset, network, categories, None, own, ())
    checkpoint = load_checkpoint(options.init, own=own)
    refuse_other_head(options.init, checkpoint.config, head or checkpoint.head)
    preset = options.preset or checkpoint.preset
    categories = read_categories(options.categories) if options.categories else categories_of(checkpoint)
    base = checkpoint.config if preset == checkpoint.preset else HEADS[checkpoint.head].presets[preset]
    network = _network(base, categories, options.window_len)
    refuse_other_shape(options.init, checkpoint.config, network)
    told = _told(options, checkpoint, categories)
    return Start(checkpoint.head, preset, network, categories, checkpoint, own, told)


def _head_of(option: str | None) -> tuple[str | None, OwnHead | None]:
    """What --head says: the head's name in `HEADS`, and the code of one of the user's own; None: nothing is said."""
    if option is None or option in HEAD_NAMES:
        return option, None
    if not option.partition(":")[0].endswith(".py") and ":" not in option:
        raise ConfigError(f"--head {option}: expected {', '.join(HEAD_NAMES)}, or FILE.py:NAME for your own")
    return OWN, OwnHead.of(option)


def _told(options: TrainOptions, checkpoint: Checkpoint, categories: tuple[Category, ...]) -> tuple[str, ...]:
    """What to say of --init: what it brings along, and what options change of it."""
    before = checkpoint.config.categories
    head = "" if checkpoint.head == DEFAULT_HEAD else f"head {checkpoint.head}, "
    brought = (
        f"--init {options.init} brings {head}preset {checkpoint.preset}, {len(before)} categories, "
        f"windows of {checkpoint.config.window_len}, recipe {checkpoint.recipe.recipe_id}, crop {checkpoint.crop}; "
        "not its losses, nor --crops"
    )
    changes = (
        ("categories", ", ".join(before), ", ".join(names(categories))),
        ("crop", checkpoint.crop, checkpoint.crop if options.crop is None else options.crop),
    )
    told = (f"--{name} overrides it: {now} instead of {was}" for name, was, now in changes if now != was)
    return (brought, *told)


def _network(base: HeadConfig, categories: tuple[Category, ...], window_len: int | None) -> HeadConfig:
    """A preset's or checkpoint's network with other categories and, where one is given, another window."""
    window_len = window_len or base.window_len
    blocks = {"attention_block": min(base.attention_block, window_len)} if hasattr(base, "attention_block") else {}
    for block in blocks.values():
        if window_len % block:
            raise ConfigError(f"--window-len must be a multiple of {block} here, got {window_len}")
    return replace(base, categories=names(categories), window_len=window_len, **blocks)


def categories_of(checkpoint: Checkpoint) -> tuple[Category, ...]:
    """A checkpoint's categories with the words that the text tower reads.

    Raises:
        ConfigError: they are its own, and it was written before checkpoints kept their words.
    """
    published = CATEGORIES[checkpoint.preset]
    own = checkpoint.config.categories
    if own == names(published):
        return published
    if checkpoint.descriptions is None:
        raise ConfigError(
            f"{checkpoint.path}: does not say how its categories ({', '.join(own)}) are described; "
            "give the file that it was trained with: --categories FILE"
        )
    return tuple(map(Category, own, checkpoint.descriptions))


def label_words(start: Start) -> tuple[Category, ...]:
    """What labels may say: the categories, and where the head tells none apart, just `ANOMALY` too."""
    known = {normal_form(category.name) for category in start.categories}
    if result_categories(start.network) == start.network.categories or normal_form(ANOMALY) in known:
        return start.categories
    return (*start.categories, Category(ANOMALY, (ANOMALY,)))


def tried_out(start: Start) -> tuple[Start, Mapping[str, Loss]]:
    """A head of the user's own is made and asked once: whether it knows categories is known then, and its losses are.

    Returns:
        This start, and the losses by name.

    Raises:
        ConfigError: the head breaks its contract.
    """
    if start.own is None:
        return start, TRAINED[start.head].losses
    network = tried(start.network, start.own)
    return replace(start, network=network.config), losses_of(network)


def at_width(start: Start, recipe: Recipe) -> Start:
    """This start with a network as wide as the features of a recipe.

    Raises:
        ConfigError: the checkpoint of --init is for features of another width.
    """
    width, checkpoint = recipe.width, start.checkpoint
    if checkpoint is not None and checkpoint.config.width != width:
        raise ConfigError(
            f"--init {checkpoint.path}: is for features {checkpoint.config.width} wide, those of recipe "
            f"{recipe.recipe_id} ({recipe.model}) are {width}; leave --init out, or choose others with --recipe"
        )
    return replace(start, network=replace(start.network, width=width))


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
            f"({checkpoint.recipe.differences(next(iter(held.values())))}); make them with "
            f"`{command_for(store.path, checkpoint.recipe, checkpoint.crop)}`, or name others with --recipe ID"
        )
    recipe, chosen = of_one_recipe(entries, asked, store=store.path, among=fitting)
    other = not checkpoint.accepts(recipe)
    said = f"--recipe overrides it: {recipe.recipe_id} instead of {checkpoint.recipe.recipe_id}"
    return recipe, chosen, [said] if other else []
