"""Which of a store's features are meant: those of one recipe, since no two recipes can be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from pathlib import Path

from ..errors import ConfigError
from ..recipe import Recipe
from .entry import Entry


def of_one_recipe(
    entries: Sequence[Entry], asked: str | None, *, store: Path, among: Container[str] | None = None
) -> tuple[Recipe, list[Entry]]:
    """The recipe that is asked for, or the only one there is, and all its features.

    Args:
        entries: features, of any recipes.
        asked: the first characters of a recipe id, as --recipe gives them.
        store: they come from, for messages.
        among: ids of the recipes that will do where none is asked for; None: all.

    Raises:
        ConfigError: there are none, or it does not take one recipe alone; the message names those it holds.
    """
    if not entries:
        raise ConfigError(f"{store}: holds no features; run `vad-pipeline extract SRC --store {store}` first")
    counts = Counter(entry.recipe_id for entry in entries)
    if asked:
        fitting = [key for key in counts if key.startswith(asked)]
    else:
        fitting = [key for key in counts if among is None or key in among]
    if len(fitting) != 1:
        listed = ", ".join(f"{key} ({count} videos)" for key, count in counts.most_common())
        raise ConfigError(f"{store}: --recipe must name one of its recipes: {listed}")
    chosen = [entry for entry in entries if entry.recipe_id == fitting[0]]
    return Recipe.from_json(chosen[0].recipe), chosen
