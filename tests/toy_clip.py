"""CLIP with a tiny image tower and a text tower of the right shape, both drawn from a seed: what stands in for OpenAI's
weights, which tests cannot download. Run as a script it is `vad-pipeline` with that CLIP.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

IMAGE = {"image_size": 224, "layers": 1, "width": 64, "head_width": 32, "patch_size": 32}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12}  # as in CLIP ViT-B
TINY_TEXT = {"context_length": 77, "vocab_size": 64, "width": 32, "heads": 1, "layers": 1}


@cache
def toy_clip(*, with_text: bool = True):
    """The same network every time; without its text tower much sooner."""
    import open_clip
    import torch

    text = TEXT if with_text else TINY_TEXT
    config = {"model_cfg": {"embed_dim": 512, "quick_gelu": True, "vision_cfg": IMAGE, "text_cfg": text}}
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]):
        (Path(folder) / "open_clip_config.json").write_text(json.dumps(config))
        torch.manual_seed(0)
        return open_clip.create_model(f"local-dir:{folder}", load_weights=False).eval()


def stand_in(put: Callable[[str, Callable], None]) -> None:
    """Put it where the pipeline builds CLIP, whatever weights are asked for."""
    for place in ("model.initial.build_clip", "model.text_search.build_clip"):
        put(f"vad_pipeline.{place}", lambda config, weights: toy_clip())
    put("vad_pipeline.extract.embed.encoder.build_tower", lambda config, weights: toy_clip(with_text=False).visual)


if __name__ == "__main__":
    import importlib

    from vad_pipeline.pipeline import cli

    def put(place: str, value: Callable) -> None:
        module, _, name = place.rpartition(".")
        setattr(importlib.import_module(module), name, value)

    stand_in(put)
    cli.main()
