"""A look at a video before any work is done on it: what it is, and what extraction would meet."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field

import av
import numpy as np

from ..errors import VideoError
from ..gaps import spans
from ..records import VideoInfo
from .container import open_container, video_stream
from .probe import Header
from .reader import PyavReader

PACKETS_LOOKED_AT = 500  # for the spread of their times
UNEVEN_SHARE, UNEVEN_SECONDS = 0.1, 0.00101  # a distance off by more is no rounding of a container's clock


@dataclass(frozen=True, slots=True)
class Preflight:
    """What was found; None where the file does not say, or was not looked at."""

    video: str
    path: str
    codec: str | None = None
    width: int | None = None
    """px, as a player shows it."""
    height: int | None = None
    fps: float | None = None
    seconds: float | None = None
    variable_rate: bool | None = None
    n_frames_header: int | None = None
    n_frames: int | None = None
    """Decoded, with `deep`."""
    route: str | None = None
    """Decoder and device that would be used."""
    code: str | None = None
    """Why extraction would fail."""
    error: str | None = None
    warnings: tuple[str, ...] = field(default=())
    gaps: tuple[tuple[float, float], ...] = field(default=())
    """From and to, seconds, where there is no footage; with `deep`."""


def preflight(video_id: str, path: str | os.PathLike, *, deep: bool = False) -> Preflight:
    """Open a file and decode its first frame; with `deep` all of them.

    Never raises a VideoError: what is wrong is part of the answer.
    """
    path = os.fspath(path)
    found: dict = {"video": video_id, "path": path}
    try:
        reader = PyavReader(path)
        try:
            found |= _header(path) | {"route": reader.route}
            frames = iter(reader)
            first = next(frames, None)
            if first is None:
                reader.info()  # raises: it says why there is none
            height, width = first.rgb().shape[:2]
            found |= {"width": width, "height": height}
            if deep:
                for _ in frames:
                    pass
                found |= _decoded(reader.info())
        finally:
            reader.close()
    except VideoError as error:
        found |= {"code": error.code, "error": error.reason}
    return Preflight(**found)


def _header(path: str) -> dict:
    with open_container(path) as container:
        stream = video_stream(container)
        header = Header.of(container, stream)
        return {
            "codec": header.codec,
            "fps": header.fps,
            "seconds": header.seconds,
            "n_frames_header": header.n_frames,
            "variable_rate": _is_uneven(_packet_seconds(container, stream)),
        }


def _packet_seconds(container: av.container.InputContainer, stream: av.VideoStream) -> np.ndarray:
    try:
        packets = itertools.islice(container.demux(stream), PACKETS_LOOKED_AT)
        return np.array([float(packet.pts * packet.time_base) for packet in packets if packet.pts is not None])
    except av.error.FFmpegError:  # what can be decoded is found out by decoding
        return np.empty(0)


def _is_uneven(seconds: np.ndarray) -> bool | None:
    """Whether distances between frames vary by more than rounding."""
    distances = np.diff(np.sort(seconds))[:-1]  # the last packets looked at may lack one between them
    if len(distances) < 2:
        return None
    usual = np.median(distances)
    return bool((np.abs(distances - usual) > max(UNEVEN_SHARE * usual, UNEVEN_SECONDS)).any())


def _decoded(info: VideoInfo) -> dict:
    return {
        "n_frames": info.n_frames,
        "n_frames_header": info.n_frames_header,
        "seconds": info.duration_seconds,
        "fps": float(info.fps),
        "variable_rate": _is_uneven(info.frame_seconds),
        "warnings": info.warnings,
        "gaps": tuple(spans(info.gaps)),
    }
