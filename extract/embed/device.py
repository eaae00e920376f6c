"""A GPU that fails is no video's fault: it ends the run, with what is finished kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from ..errors import DeviceFailed

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
