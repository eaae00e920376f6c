"""Picks the features of one recipe from a store, since features of different recipes cannot be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from pathlib import Path

from ..errors import ConfigError
from ..names import plural
from ..recipe import Recipe
from .entry import Entry


def of_one_recipe(
    entries: Sequence[Entry], asked: str | None, *, store: Path, among: Container[str] | None = None
) -> tuple[Recipe, list[Entry]]:
    """Find the recipe that is asked for, or else the only one there is, and all features of it.

    Args:
        entries: features, of any recipes.
        asked: the first characters of a recipe id, as --recipe gives them.
        store: path of the store, for messages.
        among: ids of the recipes to choose from where none is asked for; None: all.

    Raises:
        ConfigError: there are no features, or not exactly one recipe fits; the message names the store's recipes.
    """
    if not entries:
        raise ConfigError(f"{store}: holds no features; run `vad-pipeline extract SRC --store {store}` first")
    counts = Counter(entry.recipe_id for entry in entries)
    if asked:
        fitting = [key for key in counts if key.startswith(asked)]
    else:
        fitting = [key for key in counts if among is None or key in among]
    if len(fitting) != 1:
        listed = ", ".join(f"{key} ({plural(count, 'video')})" for key, count in counts.most_common())
        raise ConfigError(f"{store}: --recipe must name one of its recipes: {listed}")
    chosen = [entry for entry in entries if entry.recipe_id == fitting[0]]
    return Recipe.from_json(chosen[0].recipe), chosen
