"""Opens files with the decoder that `--decoder` names, and in software where NVDEC cannot decode them."""

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


def open_nvdec(path: str | os.PathLike, *, device: int = 0, stream: int | None = None) -> PyavReader:
    """Open a file for decoding on an NVIDIA GPU, where its frames stay (`DeviceFrame`).

    Args:
        path: the video file.
        device: number of the GPU.
        stream: as `PyavReader` has it.

    Raises:
        VideoOpenError: as `PyavReader` raises it.
        NvdecFailed: the GPU cannot decode this file. Some reasons show only later, when frames are read.
    """
    from ..device import DEVICE_ERRORS
    from .device_frame import DeviceFrame

    try:
        with _in_torchs_context(device) as hwaccel:
            reader = PyavReader(path, stream=stream, hwaccel=hwaccel, wrap=DeviceFrame.of)
    except (VideoOpenError, RuntimeError) as error:
        if isinstance(error, DEVICE_ERRORS):
            raise
        PyavReader(path, stream=stream).close()  # raises where the file itself is at fault
        raise NvdecFailed.because(path, reason_of(error.__cause__ or error)) from error
    if not reader.accelerated:
        reader.close()
        raise NvdecFailed.because(path, "it has no decoder for this codec")
    return reader


@contextlib.contextmanager
def _in_torchs_context(device: int) -> Iterator[HWAccel]:
    """Give the HWAccel by which a file opened in a `with` block is decoded in the CUDA context that torch works in.

    Without options FFmpeg makes a context of its own. Asked for the primary context, as PyAV does, it fails where torch
    uses that already, since it wants other scheduling flags. So it is told to take the context that is current in the
    thread that opens the file; it does not destroy that one when the file is closed.
    """
    import torch

    options = {"primary_ctx": "0", "current_ctx": "1"}
    with torch.cuda.device(device):
        torch.zeros(1, device="cuda")  # makes it current
        yield HWAccel("cuda", str(device), allow_software_fallback=False, options=options, is_hw_owned=True)


def open_beside_encoder(path: str | os.PathLike, *, device: str, stream: int | None = None) -> PyavReader:
    """Open a file as `--decoder auto` does for frames that go to the encoder: on the encoder's GPU if that can do it.

    Args:
        path: the video file.
        device: the encoder's device, as `--device` names it.
        stream: as `PyavReader` has it.

    Raises:
        VideoOpenError: as `PyavReader` raises it.
        ConfigError: this machine has no such device.
    """
    from ..device import resolve_device  # only now: it loads torch

    resolved = resolve_device(device)
    if resolved.type == "cuda":
        return open_auto(path, device=resolved.index, stream=stream)
    return PyavReader(path, stream=stream)


def open_auto(path: str | os.PathLike, *, device: int, stream: int | None = None) -> PyavReader:
    """Open a file on the GPU where that can decode it, else in software.

    If the GPU fails later, while frames are read, NvdecFailed is raised there.

    Raises:
        VideoOpenError: as `PyavReader` raises it.
    """
    try:
        return open_nvdec(path, device=device, stream=stream)
    except NvdecFailed as failed:
        return open_in_software(path, why=failed, stream=stream)


def open_in_software(path: str | os.PathLike, *, why: NvdecFailed, stream: int | None = None) -> PyavReader:
    """Open a file in software that the GPU cannot decode; the video's warnings say why."""
    return PyavReader(path, stream=stream, warnings=[f"decoded in software: {why.reason.partition(';')[0]}"])


def reader_for(decoder: str, device: str) -> Callable[..., Reader]:
    """The function that opens a file with the decoder of a name; `auto` decodes in software here.

    It takes the path, and which `stream` as `PyavReader` does.

    Args:
        decoder: a name in `DECODERS`.
        device: the encoder's device, as `--device` names it; NVDEC decodes on it, or else on this machine's GPU.

    Raises:
        ConfigError: this machine has no such GPU, or the decoder is not installed.
    """
    if decoder == "decord" and find_spec("decord") is None:
        raise ConfigError("--decoder decord: not installed here; pip install decord, or use --decoder pyav")
    if decoder == "nvdec":
        from ..device import resolve_device

        resolved = resolve_device("cuda" if device in ("auto", "cpu") else device)
        return partial(open_nvdec, device=resolved.index)
    return DecordReader if decoder == "decord" else PyavReader
