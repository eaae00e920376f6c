"""For scoring and searching by text: features of one recipe, and CLIP's text tower that belongs to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vad_pipeline.extract.embed.encoder_config import LOCAL_DIR, model_identity
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import Recipe, weights_of
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.entry import Entry
from vad_pipeline.extract.store.one_recipe import of_one_recipe

if TYPE_CHECKING:
    from vad_pipeline.model.categories import Category
    from vad_pipeline.model.zero_shot import ZeroShot

NO_TEXT = "text cannot be compared with them; `search --example` and trained checkpoints need no text"


def with_crop(store: EmbeddingStore, recipe_id: str | None, crop: int) -> tuple[Recipe, list[Entry]]:
    """The features in a store that are of one recipe and have a crop.

    Args:
        store: the feature store.
        recipe_id: the recipe; None: the only one in the store.
        crop: the crop that an entry must have.

    Raises:
        ConfigError: there are no such features, or `recipe_id` is None and the store has several recipes.
    """
    recipe, entries = of_one_recipe(store.entries(), recipe_id, store=store.path)
    usable = [entry for entry in entries if crop in entry.crop_numbers]
    if not usable:
        there = sorted({number for entry in entries for number in entry.crop_numbers})
        raise ConfigError(f"{store.path}: crop {crop} is not held (crops {there} are); choose one with --crop")
    return recipe, usable


def text_tower(recipe: Recipe, *, pretrained: str | None, model: str | None) -> dict[str, str]:
    """Which text tower belongs to features of a recipe: as given, else as the recipe says.

    Returns:
        The arguments `pretrained` and `model` of the tower.

    Raises:
        ConfigError: the recipe does not name weights that can be loaded, or `model` is not the recipe's model.
    """
    if model is None and recipe.model.startswith(LOCAL_DIR):
        raise ConfigError(f"the features are of a model folder ({recipe.model}); give it with --model local-dir:FOLDER")
    weights = weights_of(recipe, pretrained, why="its text tower reads the words", otherwise=NO_TEXT)
    chosen = recipe.model if model is None else model
    if model_identity(chosen) != recipe.model:
        raise ConfigError(f"--model {chosen}: the features are of {recipe.model}; text must go through the same")
    return {"pretrained": weights, "model": chosen}


@dataclass(frozen=True, slots=True)
class ByText:
    """What is asked for with --zero-shot."""

    path: Path
    """The file of the categories."""
    categories: tuple[Category, ...]
    crop: int
    pretrained: str | None
    """CLIP's weights; None: those of the features."""
    model: str | None
    """open_clip's name of the model; None: that of the features."""

    @classmethod
    def read(cls, path: Path, crop: int | None, *, pretrained: str | None, model: str | None) -> ByText:
        """Read the file of the categories; `crop` None is crop 0.

        Raises:
            ConfigError: the file cannot be used.
        """
        from vad_pipeline.model.category_file import read_categories

        return cls(path, read_categories(path), crop or 0, pretrained, model)

    def judge(self, recipe: Recipe) -> ZeroShot:
        """Make what scores features of a recipe by the texts of the categories, without a trained checkpoint.

        Raises:
            ConfigError: the recipe's text tower cannot be had, or a description is too long.
        """
        from vad_pipeline.model.zero_shot import zero_shot

        tower = text_tower(recipe, pretrained=self.pretrained, model=self.model)
        return zero_shot(self.path, self.categories, recipe, **tower, crop=self.crop)
