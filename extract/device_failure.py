"""A GPU that fails is no video's fault: it ends the run, with what is finished kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from .errors import DeviceFailed

LIBRARY_ERRORS = ("CUDA error", "cuDNN error")  # how torch begins what it raises for cuBLAS and cuDNN
LONGEST_WORDS = 200


@contextlib.contextmanager
def stopping_where_the_device_fails() -> Iterator[None]:
    """Around what computes on a device.

    Raises:
        DeviceFailed: it is out of memory or gone.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        advice = "give fewer --workers, or --device cpu for large frames, then run the same command again"
        raise DeviceFailed(f"the GPU is out of memory ({_words(error)}); {advice}") from error
    except RuntimeError as error:
        if not isinstance(error, torch.AcceleratorError) and not str(error).startswith(LIBRARY_ERRORS):
            raise
        advice = "look after it (nvidia-smi), then run the same command again"
        raise DeviceFailed(f"the GPU failed ({_words(error)}); {advice}") from error


def _words(error: RuntimeError) -> str:
    return str(error).strip().partition("\n")[0][:LONGEST_WORDS]
