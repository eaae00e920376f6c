"""Reads files of CLIP weights, and computes the identity by which a recipe names them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..files import fingerprint
from .state_dict import read_state, refuse_shared

if TYPE_CHECKING:
    import torch

OPENAI_TAG = "openai"
OPENAI_VIT_B_16_SHA256 = "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f"  # OpenAI's ViT-B-16.pt
ACTIVATION_KEY = "activation"  # in the metadata of files that `convert --clip` writes
EXPECTED = "expected CLIP weights: OpenAI's .pt, a .safetensors file or a state dict"


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """The weights of an encoder."""

    identity: str
    """What the recipe calls them: the value of its field `weights`."""
    tensors: dict[str, torch.Tensor] | None
    """A CLIP state dict in OpenAI's names; None where open_clip makes or downloads the weights."""
    quickgelu: bool | None
    """Whether they were trained with QuickGELU; None where that is not known."""


def tower_sha256(tensors: Mapping[str, torch.Tensor]) -> str:
    """Identity of a CLIP image tower: equal for equal weights, whichever file format they are in.

    Args:
        tensors: a CLIP state dict; only its `visual.*` entries count.

    Returns:
        `sha256:` and 64 hex digits, over names, shapes and float32 values in the order of names.
    """
    digest = hashlib.sha256()
    for name in sorted(name for name in tensors if name.startswith("visual.")):
        values = tensors[name].detach().cpu().float().contiguous().numpy()
        digest.update(f"{name}{values.shape}".encode())
        digest.update(values.tobytes() if values.ndim == 0 else values.data)
    return f"sha256:{digest.hexdigest()}"


def read_weights(path: str) -> Weights:
    """Read a weights file: OpenAI's TorchScript `.pt`, `.safetensors`, or a state dict by torch.save, in OpenAI's names
    or Hugging Face's.

    Raises:
        ConfigError: it is none of these, or holds no image tower.
    """
    try:
        tensors, metadata = read_state(Path(path), expected=EXPECTED, torchscript=True)
        refuse_shared(Path(path), tensors)
    except ConfigError as error:
        raise ConfigError(f"--pretrained {error}") from error
    if not any(name.startswith("visual.") for name in tensors):
        hint = ""
        if any(name.startswith("clipmodel.") for name in tensors):
            hint = f"; it is a DSANet checkpoint: vad-pipeline convert {Path(path).name} OUT.safetensors --clip FILE"
        raise ConfigError(f"--pretrained {path}: holds no CLIP image tower (no `visual.` tensors){hint}")
    if fingerprint(path) == OPENAI_VIT_B_16_SHA256:
        return Weights(identity=OPENAI_TAG, tensors=tensors, quickgelu=True)
    quickgelu = {"quick_gelu": True, "gelu": False}.get((metadata or {}).get(ACTIVATION_KEY))
    return Weights(identity=tower_sha256(tensors), tensors=tensors, quickgelu=quickgelu)
