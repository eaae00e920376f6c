"""Reads files of named tensors without running code in them, and writes safetensors files whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from vad_pipeline.extract.embed.state_dict import read_state
from vad_pipeline.extract.errors import ConfigError, VadError, shown
from vad_pipeline.extract.files import write_bytes

from .run_names import BEST_NAME, LAST_NAME

LISTED = 8  # names an error message lists
EXPECTED = "expected DSANet's or VadCLIP's .pth or a .safetensors file by `vad-pipeline convert`"


class CheckpointError(VadError):
    """A checkpoint that cannot be read, written or used."""


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str] | None]:
    """Read all tensors of a checkpoint, as `read_state` does.

    Returns:
        Tensors on the CPU by name, and the metadata of a safetensors file; None for files of another format.

    Raises:
        CheckpointError: the file is missing, cannot be read, or holds no tensors.
    """
    try:
        return read_state(path, expected=EXPECTED)
    except ConfigError as error:
        best = (path if path.is_dir() else path.parent) / BEST_NAME
        if path.is_dir() and best.is_file():
            raise CheckpointError(f"{path}: is a training run's folder, no checkpoint; give {best}") from error
        if path.name == LAST_NAME and best.is_file():
            raise CheckpointError(
                f"{path}: is the state by which `train --resume {path.parent}` goes on, no checkpoint; give {best}"
            ) from error
        raise CheckpointError(str(error)) from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str]) -> None:
    """Write a safetensors file. It appears only once it is complete.

    Args:
        path: the file; missing folders are made.
        tensors: the tensors by name.
        metadata: names and texts for the file's header.

    Raises:
        StoreError: the file cannot be written; nothing is left behind.
    """
    data = save(_apart(tensors), dict(metadata))
    write_bytes(path, _with_sorted_metadata(data))


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, each in a memory of its own: the format takes none that share one, as tied weights do."""
    seen, apart = set(), {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().contiguous()
        memory = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if memory in seen else tensor
        seen.add(memory)
    return apart


def check_shapes(
    path: Path, tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], *, title: str
) -> None:
    """Check that the tensors of a checkpoint have the expected names and shapes.

    Args:
        path: the file, for messages.
        tensors: its tensors.
        expected: name -> shape of every tensor that there must be.
        title: the method, as it is called in print.

    Raises:
        CheckpointError: some are missing, unknown or of another shape; the message lists them by name.
    """
    wrong_shape = [
        f"{name} {shown(tuple(tensors[name].shape))} instead of {shape}"
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
        raise CheckpointError(f"{path}: is no complete {title} checkpoint: {'; '.join(faults)}; {EXPECTED}")


def check_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not finite, which would make every score NaN.

    Raises:
        CheckpointError: some weights are not finite; the message lists their tensors by name.
    """
    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise CheckpointError(f"{path}: holds values that are not finite in {_listing(broken)}; its training diverged")


def _listing(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    first = ", ".join(shown(name) for name in names[:LISTED])
    return f"{len(names)} tensor{'s' if len(names) > 1 else ''} ({first}{more})"


def _with_sorted_metadata(data: bytes) -> bytes:
    # safetensors writes metadata in random order; results know a checkpoint by its hash, so equal content has to give
    # equal bytes
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the format wants its data aligned
    return len(text).to_bytes(8, "little") + text + data[end:]
