"""How files are opened by the decoders that users name; NVDEC, and software in its place."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec

from av.codec.hwaccel import HWAccel

from ..errors import ConfigError, NvdecFailed, VideoOpenError
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


def open_beside_encoder(path: str | os.PathLike, *, device: str) -> PyavReader:
    """`--decoder auto` for frames that go to the encoder: decoded on its GPU where it has one and that can.

    Args:
        path: the video.
        device: the encoder's, as `--device` names it.

    Raises:
        VideoOpenError: as PyavReader.
        ConfigError: no such device here.
    """
    from ..device import resolve_device  # only now: it loads torch

    resolved = resolve_device(device)
    return open_auto(path, device=resolved.index) if resolved.type == "cuda" else PyavReader(path)


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


def reader_for(decoder: str, device: str) -> Callable[[str | os.PathLike], Reader]:
    """What opens a file with the decoder of that name, in software with `auto`.

    Args:
        decoder: a name in DECODERS.
        device: the encoder's, as `--device` names it: NVDEC is that GPU's, or the first one's.

    Raises:
        ConfigError: there is no such GPU, or the decoder is not installed.
    """
    if decoder == "decord" and find_spec("decord") is None:
        raise ConfigError("--decoder decord: not installed here; pip install decord, or use --decoder pyav")
    if decoder == "nvdec":
        from ..device import resolve_device

        resolved = resolve_device("cuda" if device in ("auto", "cpu") else device)
        return partial(open_nvdec, device=resolved.index)
    return DecordReader if decoder == "decord" else PyavReader
