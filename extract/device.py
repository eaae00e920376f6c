"""The device that torch computes on: which one `--device` means, its name, and errors that mean that it failed.

A GPU that fails is no failure of a video: it ends the run, and what is finished is kept.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from .errors import ConfigError, DeviceFailed
from .lane import lane

# before torch 2.8 the second is a plain RuntimeError, known by its words
DEVICE_ERRORS = (torch.OutOfMemoryError, getattr(torch, "AcceleratorError", torch.OutOfMemoryError))
LIBRARY_ERRORS = ("CUDA error", "cuDNN error")  # begin the messages of torch's errors from cuBLAS and cuDNN
LONGEST_WORDS = 200
AGAIN = "run the same command again"


@contextlib.contextmanager
def stopping_where_the_device_fails(
    relief: str = f"give fewer --workers, or --device cpu, then {AGAIN}", go_on: str = AGAIN
) -> Iterator[None]:
    """Turn errors of the device in a `with` block, or a function, into DeviceFailed.

    Args:
        relief: for the message: what to do where the device's memory is too small.
        go_on: for the message: what to do once the device works again.

    Raises:
        DeviceFailed: the device is out of memory or gone.
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
    """Whether an error comes from the device itself, not from the input or the code."""
    return isinstance(error, DEVICE_ERRORS) or str(error).startswith(LIBRARY_ERRORS)


def _words(error: RuntimeError) -> str:
    return str(error).strip().partition("\n")[0][:LONGEST_WORDS]


def resolve_device(device: str) -> torch.device:
    """The device that `--device` means. `auto` is a GPU where there is one, else the CPU.

    Where there are several GPUs and none is named by number, the worker processes of a machine take them in turn.

    Raises:
        ConfigError: this machine has no such device.
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
    """Name of a device for the record: `cpu`, or `cuda` with the GPU's model, since other models compute otherwise."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type
