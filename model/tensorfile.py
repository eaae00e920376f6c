"""Files of named tensors, state dicts and safetensors: read without running code, written whole or not at all."""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vad_pipeline.extract.errors import VadError
from vad_pipeline.extract.files import write_bytes

WRAPPERS = ("state_dict", "model_state_dict")  # training scripts save the weights under one of these
DATA_PARALLEL = "module."  # prefix that nn.DataParallel puts before every name
LISTED = 8  # names an error message lists
MAX_SAFETENSORS_HEADER = 100_000_000  # bytes, the format's own limit
EXPECTED = "expected a published DSANet .pth or a .safetensors file by `vad-pipeline convert`"


class CheckpointError(VadError):
    """A checkpoint that cannot be read, written or used."""


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str] | None]:
    """All tensors of a file, told by its content, not its suffix; those of a `.pth` stay on disk until used.

    Returns:
        Tensors on the CPU by name, and the metadata of a safetensors file, None for others.

    Raises:
        CheckpointError: missing, unreadable, or no file of tensors.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(9)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file; {EXPECTED}") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); {EXPECTED}") from error
    if not size:
        raise CheckpointError(f"{path}: is empty; copy or download it again")
    header_len = int.from_bytes(start[:8], "little")
    if start[8:] == b"{" and header_len <= MAX_SAFETENSORS_HEADER:
        return _read_safetensors(path)
    return _read_torch(path), None


def write_tensors(path: Path, tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str]) -> None:
    """Write a safetensors file: complete as soon as it is there.

    Args:
        path: missing folders are made.
        tensors: by name.
        metadata: goes into the header.

    Raises:
        StoreError: it cannot be written; nothing is left behind.
    """
    data = save({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, dict(metadata))
    write_bytes(path, _with_sorted_metadata(data))


def check_shapes(path: Path, tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Hold names and shapes to what they should be.

    Raises:
        CheckpointError: some are missing, unknown or of another shape; it lists them by name.
    """
    wrong_shape = [
        f"{name} {tuple(tensors[name].shape)} instead of {shape}"
        for name, shape in expected.items()
        if name in tensors and tuple(tensors[name].shape) != shape
    ]
    groups = {
        "lacks": [name for name in expected if name not in tensors],
        "has unknown": [name for name in tensors if name not in expected],
        "has misshapen": wrong_shape,
    }
    faults = [f"{what} {_listing(names)}" for what, names in groups.items() if names]
    if faults:
        raise CheckpointError(f"{path}: is no complete DSANet checkpoint: {'; '.join(faults)}; {EXPECTED}")


def check_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse weights that would make every score NaN.

    Raises:
        CheckpointError: it lists them by name.
    """
    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise CheckpointError(f"{path}: holds values that are not finite in {_listing(broken)}; its training diverged")


def _listing(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{len(names)} tensor{'s' if len(names) > 1 else ''} ({', '.join(names[:LISTED])}{more})"


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: is a damaged safetensors file ({error}); copy or convert it again") from error


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters comes as an error, and is told in one sentence below
            # files older than torch 1.6 are no zip archives, and cannot be mapped
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error):
            raise CheckpointError(
                f"{path}: holds Python objects, which can run code and are refused; save its weights again with "
                "torch.save(model.state_dict(), FILE)"
            ) from error
        raise CheckpointError(f"{path}: is not a checkpoint; {EXPECTED}") from error
    except Exception as error:  # torch answers garbage with RuntimeError, EOFError, KeyError, ValueError, ...
        if "TorchScript" in str(error):
            raise CheckpointError(
                f"{path}: is a TorchScript archive, as OpenAI's CLIP weights are; {EXPECTED}, "
                "and CLIP weights go to --pretrained"
            ) from error
        raise CheckpointError(f"{path}: is not a checkpoint, or damaged; {EXPECTED}") from error
    for wrapper in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path}: holds no state dict (names and tensors); {EXPECTED}")
    return {str(name).removeprefix(DATA_PARALLEL): value for name, value in state.items()}


def _with_sorted_metadata(data: bytes) -> bytes:
    # safetensors writes metadata in random order; results know a checkpoint by its hash, so equal content has to give
    # equal bytes
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the format wants its data aligned
    return len(text).to_bytes(8, "little") + text + data[end:]
