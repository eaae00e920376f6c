"""A look at a file's header: roughly how long it is, for estimates only. What counts is what decodes."""

from __future__ import annotations

import os
from dataclasses import dataclass

import av

from ..files import SourceFile
from .container import open_container, video_stream

FALLBACK_FPS = 25


@dataclass(frozen=True, slots=True)
class HeaderLength:
    """What a header claims."""

    n_frames: int
    seconds: float


def probe_length(path: str | os.PathLike) -> HeaderLength:
    """Frames and seconds by the header alone; zeros where it says nothing or cannot be opened."""
    try:
        SourceFile.of(path)
        with open_container(path) as container:
            stream = video_stream(container)
            if stream is None or stream.codec_context is None:
                return HeaderLength(0, 0.0)
            rate = float(stream.average_rate or FALLBACK_FPS)
            seconds = float(stream.duration * stream.time_base) if stream.duration else 0.0
            if not seconds and container.duration:
                seconds = container.duration / av.time_base
            n_frames = stream.frames or int(seconds * rate)
            return HeaderLength(n_frames, seconds or n_frames / rate)
    except (av.error.FFmpegError, OSError, ValueError):
        return HeaderLength(0, 0.0)
