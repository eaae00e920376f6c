"""Small checkpoints in our format, and weights in the published names without CLIP's 600 MB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from seeded import seeded_checkpoint

from vad_pipeline.extract.recipe import NAMED_RECIPES
from vad_pipeline.model.checkpoint import Checkpoint, load_checkpoint


@pytest.fixture(scope="session")
def seeded_path(tmp_path_factory) -> Path:
    """An untrained UCF-Crime checkpoint for `quick` features."""
    path = tmp_path_factory.mktemp("seeded") / "seeded.safetensors"
    recipe = NAMED_RECIPES["quick"].recipe
    seeded_checkpoint(path, preset="ucf-crime", recipe=recipe, crop=0, seed=7, threshold=0.4)
    return path


@pytest.fixture(scope="session")
def seeded(seeded_path) -> Checkpoint:
    return load_checkpoint(seeded_path)


@pytest.fixture(scope="session")
def snippets():
    """snippets(n) -> (n, 512) float32: scenes plus noise."""

    def make(n: int, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        scenes = rng.standard_normal((1 + n // 20, 512), dtype=np.float32)
        return scenes[np.arange(n) // 20] + 0.4 * rng.standard_normal((n, 512), dtype=np.float32)

    return make
