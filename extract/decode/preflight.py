"""Looks at a video before any work is done on it: what it is, and whether extraction would fail."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import av
import numpy as np

from ..errors import VideoError
from ..files import Source
from ..gaps import find_gaps, spans
from ..records import VideoInfo
from .container import open_container, stream_warnings, video_stream
from .probe import Header
from .reader import PyavReader
from .timeline import gap_warnings

PACKETS_LOOKED_AT = 500  # whose times tell whether the frame rate varies
UNEVEN_SHARE, UNEVEN_SECONDS = 0.1, 0.00101  # a distance off by more is no rounding of a container's clock


@dataclass(frozen=True, slots=True)
class Preflight:
    """What was found out about a video; None where the file does not say, or where it was not looked at."""

    video: str
    path: str
    codec: str | None = None
    width: int | None = None
    """Width in px, as a player shows the video."""
    height: int | None = None
    """Height in px, as a player shows the video."""
    fps: float | None = None
    """Average frame rate, frames/s."""
    seconds: float | None = None
    """Length of the video; without `deep`, gaps that the header does not tell of are in it."""
    variable_rate: bool | None = None
    """Whether frames are unevenly far apart."""
    n_frames_header: int | None = None
    """How many frames the header promises."""
    n_frames: int | None = None
    """How many frames decode; known with `deep` only."""
    route: str | None = None
    """Library and device that would decode the frames."""
    code: str | None = None
    """Failure code with which extraction would fail; None where nothing is wrong."""
    error: str | None = None
    """What is wrong, in a sentence."""
    warnings: tuple[str, ...] = field(default=())
    gaps: tuple[tuple[float, float], ...] = field(default=())
    """Start and end in seconds of each stretch without footage; without `deep` those of mp4 files only."""


def preflight(source: Source, *, deep: bool = False) -> Preflight:
    """Open a video file and decode its first frame, or with `deep` all frames.

    A VideoError is not raised but reported in the result.
    """
    found: dict = {"video": source.video_id, "path": source.path}
    try:
        reader = PyavReader(source.path, stream=source.stream)
        try:
            found |= _header(source) | {"route": reader.route}
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


def _header(source: Source) -> dict:
    with open_container(source.path) as container:
        stream = video_stream(container, source.stream or 1)
        header = Header.of(container, stream)
        of_streams = stream_warnings(container) if source.stream is None else []
        return {
            "codec": header.codec,
            "fps": header.fps,
            "seconds": header.seconds,
            "n_frames_header": header.n_frames,
            "warnings": (*of_streams, *gap_warnings(header.gaps)),
            "gaps": tuple(spans(header.gaps)),
            "variable_rate": _is_uneven(_packet_seconds(container, stream)),
        }


def _packet_seconds(container: av.container.InputContainer, stream: av.VideoStream) -> np.ndarray:
    try:
        packets = itertools.islice(container.demux(stream), PACKETS_LOOKED_AT)
        return np.array([float(packet.pts * packet.time_base) for packet in packets if packet.pts is not None])
    except av.error.FFmpegError:  # what can be decoded is found out by decoding
        return np.empty(0)


def _is_uneven(seconds: np.ndarray) -> bool | None:
    """Whether distances between frames vary by more than rounding, gaps left out; None: there are too few frames."""
    seconds = np.sort(seconds)
    distances = np.delete(np.diff(seconds), [gap.frame - 1 for gap in find_gaps(seconds)])
    distances = distances[:-1]  # the last packets looked at may lack one between them
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
