"""How fast this machine decodes, and by what it computes each stage and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from .known_stages import keep_known, known_stages

if TYPE_CHECKING:
    from vad_pipeline.extract.timings import Timings

SIZE = (640, 360)
FPS = 25
DECODED_BY = "pyav h264 640x360"
FRAMES = 100
NVDEC_CODECS = ("libx264", "libx265", "libvpx-vp9", "libsvtav1", "mpeg4", "mpeg2video", "mjpeg")
"""FFmpeg's encoders, by whose files NVDEC is tried."""


@dataclass(frozen=True, slots=True)
class Stage:
    """By what a stage computes on this machine, and what that was chosen by."""

    way: str
    """Runtime and precision."""
    machine: str
    measured: str
    """The day on which the table was timed."""
    seconds: dict[str, float]
    """Way -> median seconds a round. Rounds of different stages are different work."""


def stages(device: str, *, again: bool) -> dict[str, Stage]:
    """Stage -> by what it computes with `auto`; what was timed on this machine before is not timed again.

    Args:
        device: as `--device` names it.
        again: whether to time anew.

    Raises:
        ConfigError: this machine has no such device.
    """
    tables = None if again else known_stages(device)
    if tables is None:
        tables = _timed_stages(device, again)
        keep_known(device, tables)
    return {
        stage: Stage(table.best(table.seconds), table.machine, table.measured, table.seconds)
        for stage, table in tables.items()
    }


def _timed_stages(device: str, again: bool) -> dict[str, Timings]:
    from vad_pipeline.extract.device import resolve_device
    from vad_pipeline.extract.embed.ways import time_ways
    from vad_pipeline.model.fastest import time_scoring, time_training

    resolved = resolve_device(device)
    return {
        stage: time_it(resolved, again=again)
        for stage, time_it in (("extract", time_ways), ("detect", time_scoring), ("train", time_training))
    }


def decode_rate(*, again: bool) -> float:
    """Frames a second that PyAV decodes of a moving H.264 picture of 640x360, rendered here; remembered as timings are.

    Args:
        again: whether to time anew.
    """
    from vad_pipeline.extract.timings import timed_once

    with TemporaryDirectory() as folder:
        timings = timed_once("decode", {DECODED_BY: partial(_decoding, Path(folder))}, threads=0, again=again)
    return round(FRAMES / timings.seconds[DECODED_BY], 1)


def _decoding(folder: Path) -> Callable[[], int]:
    """A function that decodes the rendered picture once."""
    from vad_pipeline.extract.decode.reader import PyavReader

    path = folder / "moving.mp4"
    render(path, "libx264", n_frames=FRAMES)

    def decode() -> int:
        reader = PyavReader(path)
        try:
            return sum(1 for frame in reader if frame.rgb() is not None)
        finally:
            reader.close()

    return decode


def nvdec(device: int = 0) -> dict[str, bool]:
    """Codec -> whether the GPU decodes it; codecs that FFmpeg cannot encode here are left out."""
    import av

    from vad_pipeline.extract.decode.decoders import open_nvdec
    from vad_pipeline.extract.errors import VideoError

    found = {}
    with TemporaryDirectory() as folder:
        for codec in NVDEC_CODECS:
            if codec not in av.codecs_available:
                continue
            path = Path(folder) / f"{codec}.mkv"
            render(path, codec, n_frames=4)
            try:
                reader = open_nvdec(path, device=device)
                found[codec] = len(list(reader)) == 4
                reader.close()
            except VideoError:
                found[codec] = False
    return found


def render(path: Path, codec: str, *, n_frames: int) -> None:
    """Write a moving picture with a codec of FFmpeg's."""
    import av

    width, height = SIZE
    y, x = np.mgrid[0:height, 0:width]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(FPS))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(n_frames):
            picture = np.stack([x + 5 * number, y + 3 * number, x + y - 4 * number], axis=-1) % 256
            frame = av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
