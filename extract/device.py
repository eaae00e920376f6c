"""The device that torch computes on: which one `--device` means, what it is called, and what its failing means.

A GPU that fails is no video's fault: it ends the run, with what is finished kept.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from .errors import ConfigError, DeviceFailed
from .lane import lane

DEVICE_ERRORS = (torch.OutOfMemoryError, torch.AcceleratorError)
LIBRARY_ERRORS = ("CUDA error", "cuDNN error")  # how torch begins what it raises for cuBLAS and cuDNN
LONGEST_WORDS = 200
AGAIN = "run the same command again"


@contextlib.contextmanager
def stopping_where_the_device_fails(
    relief: str = f"give fewer --workers, or --device cpu, then {AGAIN}", go_on: str = AGAIN
) -> Iterator[None]:
    """Around what computes on a device.

    Args:
        relief: what to do where its memory is too small.
        go_on: what to do once it works again.

    Raises:
        DeviceFailed: it is out of memory or gone.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceFailed(f"the GPU is out of memory ({_words(error)}); {relief}") from error
    except RuntimeError as error:
        if not is_of_the_device(error):
            raise
        raise DeviceFailed(f"the GPU failed ({_words(error)}); look after it (nvidia-smi), then {go_on}") from error


def is_of_the_device(error: RuntimeError) -> bool:
    """Whether the device is to blame, and nobody's input or code."""
    return isinstance(error, DEVICE_ERRORS) or str(error).startswith(LIBRARY_ERRORS)


def _words(error: RuntimeError) -> str:
    return str(error).strip().partition("\n")[0][:LONGEST_WORDS]


def resolve_device(device: str) -> torch.device:
    """`auto` is the GPU where there is one; of several, worker processes of a machine take one each, in turn.

    Raises:
        ConfigError: no such device here.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"--device {device}: not a device; use auto, cpu, cuda or cuda:N") from error
    if resolved.type not in ("cpu", "cuda"):
        raise ConfigError(f"--device {device}: only cpu and cuda are supported")
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"--device {device}: this machine shows {torch.cuda.device_count()} CUDA devices; use cpu")
    if resolved.type == "cuda" and resolved.index is None:
        return torch.device("cuda", lane() % torch.cuda.device_count())
    return resolved


def device_name(device: torch.device) -> str:
    """For the record: `cpu`, or which GPU, as those of one make compute alike and others do not."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type
