"""Finds frames in the middle of a file: by seeking where that works, else by counting frames from the file's start.

A container with an index seeks to a key frame. MPEG-TS and MPEG-PS have no index: a seek lands somewhere near, often
after the key frame that was meant. A raw stream has not even times and cannot be sought in at all.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator

import av

from vad_pipeline.extract.decode.container import prepare_decoder
from vad_pipeline.extract.decode.reader import PyavFrame, PyavReader

SEEK_BACK_SECONDS = (0, 10)  # how far before the wanted frame to seek, tried in turn until a key frame is found there
NEAR_SECONDS = 4.0  # decoding on to a frame this near is cheaper than seeking
END_SECONDS = 1.0  # how much later than the last frame that can be read a wanted one may be, as wrong times are mended
MOST_FRAMES = 3000  # the most frames decoded after a seek to reach one; beyond, the caller counts from the start
TOLERANCE_SECONDS = 1e-3  # by which equal timestamps may differ between containers and floats


def packets_from(container: av.container.InputContainer, stream: av.VideoStream, stamp: int) -> Iterator[av.Packet]:
    """Yield packets of a stream, beginning with a key frame that is shown at `stamp` or before.

    Nothing is yielded where no seek lands on such a key frame. `stamp` is in units of the stream's time base.
    """
    for seconds in SEEK_BACK_SECONDS:
        try:
            container.seek(stamp - round(seconds / stream.time_base), stream=stream, backward=True)
        except av.error.FFmpegError:  # a raw stream, or before its start
            continue
        packets = itertools.dropwhile(lambda packet: not packet.is_keyframe, container.demux(stream))
        first = next(packets, None)
        if first is not None and first.pts is not None and first.pts <= stamp:
            yield first
            yield from packets
            return


def frames_from(container: av.container.InputContainer, stream: av.VideoStream, stamp: int) -> Iterator[av.VideoFrame]:
    """Decode the packets of `packets_from`; the frames end early where the file cannot be read any further."""
    with contextlib.suppress(av.error.FFmpegError):
        for packet in packets_from(container, stream, stamp):
            yield from _decoded(stream, packet)


def _decoded(stream: av.VideoStream, packet: av.Packet) -> list[av.VideoFrame]:
    """The frames in a packet; none where it is corrupt, or needs frames from before the seek."""
    try:
        return stream.decode(packet)
    except av.error.FFmpegError:
        return []


def counted(path: str, first: int, end: int, *, stream: int = 1) -> Iterator[PyavFrame]:
    """Yield frames `first` to `end` - 1, found by decoding the file from its start; fewer where the file ends before.

    Raises:
        VideoError: the file cannot be opened or decoded.
    """
    with contextlib.closing(PyavReader(path, stream=stream)) as reader:
        yield from itertools.islice(reader, first, end)


class Walk:
    """Finds the frames shown at given times, by decoding on where the next time is near and by seeking where not.

    Args:
        container: the opened file.
        stream: its video stream.
    """

    def __init__(self, container: av.container.InputContainer, stream: av.VideoStream):
        self._container, self._stream = container, stream
        prepare_decoder(self._stream)
        self._start = (container.start_time or 0) / av.time_base
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._shown: av.VideoFrame | None = None  # the frame that `at` returned last
        self._next: av.VideoFrame | None = None  # the frame after it, already decoded

    def at(self, seconds: float) -> av.VideoFrame | None:
        """The last frame shown at or before `seconds`; None where no seek lands near enough to it, or the file ends or
        cannot be read any further well before."""
        if self._shown is None or not 0 <= seconds - self._seconds(self._shown) <= NEAR_SECONDS:
            stamp = round((seconds + TOLERANCE_SECONDS + self._start) / self._stream.time_base)
            self._frames = (f for f in frames_from(self._container, self._stream, stamp) if f.pts is not None)
            self._shown, self._next = None, next(self._frames, None)
        for _ in range(MOST_FRAMES):
            reached = self._shown is not None and self._seconds(self._shown) >= seconds - TOLERANCE_SECONDS
            if reached or (self._next is not None and self._seconds(self._next) > seconds + TOLERANCE_SECONDS):
                return self._shown
            if self._next is None:
                near = self._shown is not None and self._seconds(self._shown) >= seconds - END_SECONDS
                return self._shown if near else None
            self._shown, self._next = self._next, next(self._frames, None)
        return None

    def _seconds(self, frame: av.VideoFrame) -> float:
        return float(frame.pts * frame.time_base) - self._start
