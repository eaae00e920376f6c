"""Where text meets cached embeddings: features of one recipe, and the text tower that belongs to their image tower."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vad_pipeline.extract.embed.encoder_config import LOCAL_DIR, model_identity
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import Recipe
from vad_pipeline.extract.store.entry import Entry

from .detect_job import DetectConfig

if TYPE_CHECKING:
    from vad_pipeline.extract.store.embedding_store import EmbeddingStore
    from vad_pipeline.model.categories import Category
    from vad_pipeline.model.zero_shot import ZeroShot


def of_one_recipe(store: EmbeddingStore, recipe_id: str | None, crop: int) -> tuple[Recipe, list[Entry]]:
    """The features of one recipe that have the crop; how many others are left out is said.

    Raises:
        ConfigError: there are none, or of several recipes.
    """
    entries = store.entries()
    counts = Counter(entry.recipe_id for entry in entries)
    fitting = [key for key in counts if key.startswith(recipe_id or "")]
    if not entries:
        raise ConfigError(f"{store.path}: holds no videos; run `vad-pipeline extract SRC --store {store.path}` first")
    if len(fitting) != 1:
        held = ", ".join(f"{key} ({count} videos)" for key, count in counts.most_common())
        raise ConfigError(f"{store.path}: --recipe must name one of its recipes: {held}")
    of_recipe = [entry for entry in entries if entry.recipe_id == fitting[0]]
    usable = [entry for entry in of_recipe if crop in entry.crop_numbers]
    if not usable:
        held_crops = sorted({number for entry in of_recipe for number in entry.crop_numbers})
        raise ConfigError(f"{store.path}: crop {crop} is not held (crops {held_crops} are); choose one with --crop")
    left_out = len(entries) - len(usable)
    if left_out:
        click.echo(f"note: {left_out} videos of other recipes or without crop {crop} are left out", err=True)
    return Recipe.from_json(usable[0].recipe), usable


def text_tower(recipe: Recipe, *, pretrained: str | None, model: str | None) -> dict[str, str]:
    """`pretrained` and `model` of the text tower for features of a recipe: as given, else as the recipe says.

    Raises:
        ConfigError: the recipe does not say enough, or another model is given.
    """
    if model is None and recipe.model.startswith(LOCAL_DIR):
        raise ConfigError(f"the features are of a model folder ({recipe.model}); give it with --model local-dir:FOLDER")
    if pretrained is None and recipe.weights.startswith("sha256:"):
        raise ConfigError(
            f"the features were made with the weights {recipe.weights[:19]}...; give that file with --pretrained FILE: "
            "its text tower reads the words"
        )
    chosen = recipe.model if model is None else model
    if model_identity(chosen) != recipe.model:
        raise ConfigError(f"--model {chosen}: the features are of {recipe.model}; text must go through the same")
    return {"pretrained": recipe.weights if pretrained is None else pretrained, "model": chosen}


def read_zero_shot(
    path: Path,
    categories: Sequence[Category],
    store: EmbeddingStore,
    config: DetectConfig,
    *,
    pretrained: str | None,
    model: str | None,
) -> ZeroShot:
    """What scores the store's features by text alone.

    Raises:
        ConfigError: features of several recipes, or no text tower for them.
    """
    from vad_pipeline.model.zero_shot import zero_shot

    crop = config.crop or 0
    recipe, _ = of_one_recipe(store, config.recipe_id, crop)
    tower = text_tower(recipe, pretrained=pretrained, model=model)
    return zero_shot(path, categories, recipe, **tower, crop=crop)
