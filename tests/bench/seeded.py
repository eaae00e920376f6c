"""A checkpoint that nobody has trained: what tests and benches score with. Tests find this folder by pyproject.toml."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn import functional

from vad_pipeline.extract.recipe import Recipe
from vad_pipeline.model.checkpoint import DEFAULT_THRESHOLD, Checkpoint
from vad_pipeline.model.heads.dsanet import PRESETS, DSANet


def seeded_checkpoint(
    path: str | Path, *, preset: str, recipe: Recipe, crop: int, seed: int, threshold: float = DEFAULT_THRESHOLD
) -> None:
    """Write an untrained network drawn from a seed: its scores mean nothing, everything else about it is real.

    Args:
        path: `.safetensors` file.
        preset: `ucf-crime` or `xd-violence`.
        recipe: of the features it is to take.
        crop: which crop it scores.
        seed: the same one gives the same file.
        threshold: of its events, 0 to 1.

    Raises:
        StoreError: it cannot be written.
    """
    config = PRESETS[preset]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DSANet(config)
        text_features = functional.normalize(torch.randn(len(config.categories), config.width), dim=-1)
    Checkpoint(
        preset=preset,
        config=config,
        model=model,
        text_features=text_features,
        categories=config.categories,
        recipe=recipe,
        clip_sha256=None,
        crop=crop,
        threshold=threshold,
        sha256="",
        path=Path(path),
    ).save(path)
