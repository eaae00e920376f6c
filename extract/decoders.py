"""The decoders by the names users give them, and the family each belongs to in a recipe."""

from __future__ import annotations

import os
from collections.abc import Callable

from av.codec.hwaccel import HWAccel

from .decord_reader import DecordReader
from .errors import VideoDecodeError, VideoOpenError
from .reader import PyavReader, Reader


def open_nvdec(path: str | os.PathLike) -> PyavReader:
    """PyAV with decoding on an NVIDIA GPU; frames come back to the CPU.

    Raises:
        VideoOpenError: as PyavReader.
        VideoDecodeError: the device cannot decode this file (code `unreadable`).
    """
    PyavReader(path).close()  # what is wrong with the file itself is said as ever
    try:
        return PyavReader(path, hwaccel=HWAccel(device_type="cuda", allow_software_fallback=False))
    except (VideoOpenError, RuntimeError, NotImplementedError) as error:
        why = error.reason if isinstance(error, VideoOpenError) else error
        raise VideoDecodeError(
            path, "unreadable", f"NVDEC cannot decode it here ({why}); use --decoder pyav"
        ) from error


READERS: dict[str, Callable[[str | os.PathLike], Reader]] = {
    "auto": PyavReader,
    "pyav": PyavReader,
    "nvdec": open_nvdec,
    "decord": DecordReader,
}


def decoder_family(decoder: str) -> str:
    """The recipe's decoder family for a `--decoder` name."""
    return "decord" if decoder == "decord" else "ffmpeg"
