"""A tower of CLIP's shape that embeds an image in a millisecond: for what is not about the encoder."""

from __future__ import annotations

import json
from pathlib import Path

CONFIG = {
    "model_cfg": {
        "embed_dim": 512,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 224, "layers": 1, "width": 64, "head_width": 32, "patch_size": 32},
        "text_cfg": {"context_length": 77, "vocab_size": 64, "width": 32, "heads": 1, "layers": 1},
    }
}


def write_toy_tower(folder: Path) -> str:
    """Its config into `folder`; returns what `--model` takes."""
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG))
    return f"local-dir:{folder}"
