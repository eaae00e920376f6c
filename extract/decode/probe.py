"""Reads what a file's header claims, for estimates and for people; what counts elsewhere is what decodes."""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np

from ..files import Source, SourceFile
from ..gaps import Gap, find_gaps
from .container import counted_by_header, open_container, video_stream

FALLBACK_FPS = 25


@dataclass(frozen=True, slots=True)
class Header:
    """What a header claims of a video stream; None where it does not say."""

    codec: str
    fps: float | None
    """Average frame rate, frames/s."""
    seconds: float | None
    """Length of the stream, without gaps that its index tells of; other gaps are in it."""
    n_frames: int | None
    """How many frames there are."""
    gaps: tuple[Gap, ...] = ()
    """Stretches without footage, of files whose header holds the time of every frame (mp4)."""

    @classmethod
    def of(cls, container: av.container.InputContainer, stream: av.VideoStream) -> Header:
        """Read the header of a stream that has a decoder; a stream without a length gets that of the whole file."""
        seconds = float(stream.duration * stream.time_base) if stream.duration else None
        if seconds is None and container.duration:
            seconds = container.duration / av.time_base
        rate = float(stream.average_rate) if stream.average_rate else None
        n_frames, gaps = counted_by_header(container, stream) or None, _gaps_in_index(container, stream)
        if gaps and seconds:
            seconds -= sum(gap.seconds for gap in gaps)
            rate = len(stream.index_entries) / seconds
        return cls(stream.codec_context.codec.canonical_name, rate, seconds, n_frames, gaps)


def _gaps_in_index(container: av.container.InputContainer, stream: av.VideoStream) -> tuple[Gap, ...]:
    """The gaps between the frames that an mp4 file's header lists. Others list none of theirs, or key frames alone."""
    if "mp4" not in container.format.name:
        return ()
    stamps = [entry.timestamp for entry in stream.index_entries if not entry.is_discard]
    start = float((stream.start_time or 0) * stream.time_base) - (container.start_time or 0) / av.time_base
    seconds = (np.array(stamps, np.float64) - (stamps[0] if stamps else 0)) * float(stream.time_base) + start
    return find_gaps(seconds)


@dataclass(frozen=True, slots=True)
class HeaderLength:
    """About how long a video is; both are 0 where nothing is known."""

    n_frames: int
    seconds: float


def probe_length(source: Source) -> HeaderLength:
    """Length of a video by its header alone; zeros where the header says nothing or the file cannot be opened."""
    try:
        SourceFile.of(source.path)
        with open_container(source.path) as container:
            stream = video_stream(container, source.stream or 1)
            if stream is None or stream.codec_context is None:
                return HeaderLength(0, 0.0)
            header = Header.of(container, stream)
    except (av.error.FFmpegError, OSError, ValueError):
        return HeaderLength(0, 0.0)
    rate, seconds = header.fps or FALLBACK_FPS, header.seconds or 0.0
    n_frames = header.n_frames or int(seconds * rate)
    return HeaderLength(n_frames, seconds or n_frames / rate)
