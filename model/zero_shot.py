"""Scores from text alone, without any checkpoint: how much better a snippet fits anomaly than normal descriptions.

Shapes: n snippets, N descriptions, C categories, D values of an embedding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.recipe import SNIPPET_LEN, Recipe

from .categories import Category, names
from .scoring import ROWS_AT_ONCE, SnippetScores, checked_embeddings
from .text_search import text_embeddings

LOGIT_SCALE = 100.0  # CLIP's own, as it was trained: a softmax temperature of 0.01
THRESHOLD = 0.5
NORM_FLOOR = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class ZeroShot:
    """Scores snippets by CLIP's text embeddings of the categories; used in place of a checkpoint and its scorer.

    Nothing is trained, so nothing is calibrated: a score of 0.5 means that the anomaly descriptions together fit a
    snippet as well as the normal ones do.
    """

    calibrated: ClassVar[bool] = False
    calibration: ClassVar[None] = None
    curve: ClassVar[str] = "anomaly"
    own: ClassVar[None] = None
    path: Path
    """The file of categories."""
    categories: tuple[str, ...]
    """Names in column order, the normal one first."""
    columns: tuple[int, ...]
    """(N,): column of the category that each description belongs to."""
    text: np.ndarray = field(repr=False)
    """(N, D) float32, L2-normalised: embedding of each description."""
    recipe: Recipe
    """Recipe of the features; the text was embedded with the same CLIP weights."""
    sha256: str
    """SHA-256 over the categories and the weights' identity, hex."""
    crop: int = 0
    threshold: float = THRESHOLD
    preset: str = "zero-shot"

    def with_curve(self, curve: str | None) -> ZeroShot:
        """Itself, where no other score is asked for: it has one only.

        Raises:
            ConfigError: another one is asked for.
        """
        if curve not in (None, self.curve):
            raise ConfigError(f"--score {curve}: scores by text alone are of one kind; leave it out")
        return self

    def accepts(self, recipe: Recipe) -> bool:
        """Whether features of a recipe can be scored: they must come from the same CLIP; geometry does not matter."""
        return (recipe.model, recipe.weights) == (self.recipe.model, self.recipe.weights)

    def score(self, embeddings: np.ndarray) -> SnippetScores:
        """Score one video.

        Args:
            embeddings: (n, D) float, not L2-normalised, n at least 1.

        Raises:
            EmbeddingsError: the embeddings have another shape or type, or hold values that are not finite.
        """
        embeddings = checked_embeddings(embeddings, self.text.shape[1])
        parts = [self._categories_of(embeddings[i : i + ROWS_AT_ONCE]) for i in range(0, len(embeddings), ROWS_AT_ONCE)]
        category = np.concatenate(parts)
        anomaly = np.clip(1 - category[:, 0], 0, 1)
        return SnippetScores(anomaly.astype(np.float32), category.astype(np.float32), self.categories, SNIPPET_LEN)

    def _categories_of(self, embeddings: np.ndarray) -> np.ndarray:
        """Probability of each category, (n, C) float64: a softmax over all descriptions, added up by category."""
        rows = embeddings.astype(np.float64)
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), NORM_FLOOR)
        logits = LOGIT_SCALE * rows @ self.text.T
        share = np.exp(logits - logits.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        category = np.zeros((len(rows), len(self.categories)))
        for description, column in enumerate(self.columns):
            category[:, column] += share[:, description]
        return category


def zero_shot(
    path: Path, categories: Sequence[Category], recipe: Recipe, *, pretrained: str, model: str, crop: int = 0
) -> ZeroShot:
    """Embed the categories' descriptions with the text tower of the CLIP that made the features.

    Args:
        path: file of the categories, which results name.
        categories: the categories, the normal one first.
        recipe: recipe of the features.
        pretrained: open_clip tag, weights file or `random:SEED`; must be the recipe's weights.
        model: open_clip model name.
        crop: number of the crop to score.

    Raises:
        ConfigError: the weights are not the recipe's, or a description is too long.
    """
    texts = [text for category in categories for text in category.descriptions]
    columns = tuple(i for i, category in enumerate(categories) for _ in category.descriptions)
    text = text_embeddings(texts, pretrained=pretrained, model=model, identity=recipe.weights)
    digest = hashlib.sha256(f"zero-shot {LOGIT_SCALE} {recipe.model} {recipe.weights}".encode())
    for category in categories:
        digest.update(repr((category.name, category.descriptions)).encode())
    return ZeroShot(path, names(categories), columns, text, recipe, digest.hexdigest(), crop)
