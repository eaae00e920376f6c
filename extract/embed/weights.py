"""Which weights an encoder runs on: reading a file of them, and the identity that goes into a recipe."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..files import fingerprint

if TYPE_CHECKING:
    import torch

OPENAI_TAG = "openai"
OPENAI_VIT_B_16_SHA256 = "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f"  # OpenAI's ViT-B-16.pt
ACTIVATION_KEY = "activation"  # in the metadata of files that `convert --clip` writes
TORCHSCRIPT_EXTRAS = ("input_resolution", "context_length", "vocab_size")


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """Weights as they were found."""

    identity: str
    """The recipe's `weights`."""
    tensors: dict[str, torch.Tensor] | None
    """A CLIP state dict in OpenAI's names, or None where open_clip is to make or download it."""
    quickgelu: bool | None
    """Whether they were trained with QuickGELU; None: nobody knows."""


def tower_sha256(tensors: Mapping[str, torch.Tensor]) -> str:
    """Identity of a CLIP visual tower: the same for the same numbers in a `.pt`, a `.safetensors` or a `.pth`.

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
    """Read a weights file: OpenAI's TorchScript `.pt`, `.safetensors`, or a state dict by torch.save.

    Raises:
        ConfigError: it is none of these, or holds no image tower.
    """
    metadata: dict[str, str] = {}
    try:
        if path.endswith(".safetensors"):
            from safetensors import safe_open

            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        else:
            tensors = _read_torch(path)
    except Exception as error:  # each library has its own way to say "not mine"
        raise ConfigError(
            f"--pretrained {path}: cannot be read as CLIP weights ({type(error).__name__}); expected OpenAI's .pt, "
            "a .safetensors file or a state dict"
        ) from error
    tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    if not any(name.startswith("visual.") for name in tensors):
        hint = ""
        if any(name.startswith("clipmodel.") for name in tensors):
            hint = f"; it is a DSANet checkpoint: vad-pipeline convert {Path(path).name} OUT.safetensors --clip FILE"
        raise ConfigError(f"--pretrained {path}: holds no CLIP image tower (no `visual.` tensors){hint}")
    if fingerprint(path) == OPENAI_VIT_B_16_SHA256:
        return Weights(identity=OPENAI_TAG, tensors=tensors, quickgelu=True)
    quickgelu = {"quick_gelu": True, "gelu": False}.get(metadata.get(ACTIVATION_KEY))
    return Weights(identity=tower_sha256(tensors), tensors=tensors, quickgelu=quickgelu)


def _read_torch(path: str) -> dict[str, torch.Tensor]:
    import torch

    if _is_torchscript(path):  # OpenAI's files: refused by weights-only loading
        state = torch.jit.load(path, map_location="cpu").state_dict()
        return {name: value for name, value in state.items() if name not in TORCHSCRIPT_EXTRAS}
    state = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise pickle.UnpicklingError("not a dict of tensors")
    return state


def _is_torchscript(path: str) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False
