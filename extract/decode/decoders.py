"""The decoders by the names users give them, and the family each belongs to in a recipe."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from av.codec.hwaccel import HWAccel

from ..errors import NvdecFailed, VideoOpenError
from .container import reason_of
from .decord_reader import DecordReader
from .reader import PyavReader, Reader


def open_nvdec(path: str | os.PathLike, *, device: int = 0) -> PyavReader:
    """PyAV with decoding on an NVIDIA GPU, whose frames stay there (`DeviceFrame`).

    Raises:
        VideoOpenError: as PyavReader.
        NvdecFailed: the GPU cannot decode this file, as far as can be told before its first frame.
    """
    import torch

    from .device_frame import DeviceFrame

    try:
        with _in_torchs_context(device) as hwaccel:
            reader = PyavReader(path, hwaccel=hwaccel, wrap=DeviceFrame.of)
    except (VideoOpenError, RuntimeError) as error:
        if isinstance(error, torch.AcceleratorError | torch.OutOfMemoryError):
            raise
        PyavReader(path).close()  # what is wrong with the file itself is said as ever
        raise NvdecFailed.because(path, reason_of(error.__cause__ or error)) from error
    if not reader.accelerated:
        reader.close()
        raise NvdecFailed.because(path, "it has no decoder for this codec")
    return reader


@contextlib.contextmanager
def _in_torchs_context(device: int) -> Iterator[HWAccel]:
    """How FFmpeg is to decode what is opened inside: in the CUDA context that torch works in.

    Left alone it would make one of its own. Asked for the primary one, PyAV's default, it refuses where torch has that
    already: it wants other scheduling flags. What it takes is the context current in the thread that opens the file,
    and it leaves that one alone when the file is closed.
    """
    import torch

    options = {"primary_ctx": "0", "current_ctx": "1"}
    with torch.cuda.device(device):
        torch.zeros(1, device="cuda")  # makes it current
        yield HWAccel("cuda", str(device), allow_software_fallback=False, options=options, is_hw_owned=True)


def open_auto(path: str | os.PathLike, *, device: int) -> PyavReader:
    """On the GPU where that can decode this file, else in software. What turns out later is raised as NvdecFailed.

    Raises:
        VideoOpenError: as PyavReader.
    """
    try:
        return open_nvdec(path, device=device)
    except NvdecFailed as failed:
        return open_in_software(path, why=failed)


def open_in_software(path: str | os.PathLike, *, why: NvdecFailed) -> PyavReader:
    """A file that was to be decoded on a GPU, from its start; its warnings say why it is not."""
    return PyavReader(path, warnings=[f"decoded in software: {why.reason.partition(';')[0]}"])


READERS: dict[str, Callable[[str | os.PathLike], Reader]] = {
    "auto": PyavReader,  # beside an encoder on a GPU: `open_auto`
    "pyav": PyavReader,
    "nvdec": open_nvdec,
    "decord": DecordReader,
}


def decoder_family(decoder: str) -> str:
    """The recipe's decoder family for a `--decoder` name."""
    return "decord" if decoder == "decord" else "ffmpeg"
