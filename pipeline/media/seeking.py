"""Frames out of the middle of a file: sought where that leads to them, else counted from its start.

A container with an index seeks to a key frame. Others are harder: MPEG-TS and MPEG-PS have none, so that a seek lands
somewhere near, often behind the key frame that was meant; a raw stream has not even times, and cannot be sought in.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator

import av

from vad_pipeline.extract.decode.container import prepare_decoder, video_stream
from vad_pipeline.extract.decode.reader import PyavFrame, PyavReader

SEEK_BACK_SECONDS = (0, 10)  # tried in turn, until a key frame no later than the frame that is wanted is found
NEAR_SECONDS = 4.0  # reading on to a frame this near costs less than seeking
MOST_FRAMES = 3000  # decoded for one frame: where key frames are farther apart, all are counted, once
TOLERANCE_SECONDS = 1e-3  # of timestamps, between containers and floats


def packets_from(container: av.container.InputContainer, stream: av.VideoStream, stamp: int) -> Iterator[av.Packet]:
    """Packets of a stream from a key frame on that is shown at `stamp` or before; none where seeking goes astray."""
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
    """What the packets from `stamp` on decode to; it ends early where the file cannot be read on."""
    with contextlib.suppress(av.error.FFmpegError):
        for packet in packets_from(container, stream, stamp):
            yield from _decoded(stream, packet)


def _decoded(stream: av.VideoStream, packet: av.Packet) -> list[av.VideoFrame]:
    """What a packet gives; nothing where it is corrupt, or refers to frames before those that were read."""
    try:
        return stream.decode(packet)
    except av.error.FFmpegError:
        return []


def counted(path: str, first: int, end: int) -> Iterator[PyavFrame]:
    """Frames `first` to `end` - 1, found by decoding all that come before; fewer where the file ends before.

    Raises:
        VideoError: the file cannot be opened or decoded.
    """
    with contextlib.closing(PyavReader(path)) as reader:
        yield from itertools.islice(reader, first, end)


class Walk:
    """Goes forward through a video to the frames shown at given times, by reading on or by seeking.

    Args:
        container: the file; it has a video stream.
    """

    def __init__(self, container: av.container.InputContainer):
        self._container, self._stream = container, video_stream(container)
        prepare_decoder(self._stream)
        self._start = (container.start_time or 0) / av.time_base
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._shown: av.VideoFrame | None = None  # the last one that was asked for
        self._next: av.VideoFrame | None = None  # the one after it, decoded already

    def at(self, seconds: float) -> av.VideoFrame | None:
        """The last frame shown no later than `seconds`; None where seeking leads to none, or not near it."""
        if self._shown is None or not 0 <= seconds - self._seconds(self._shown) <= NEAR_SECONDS:
            stamp = round((seconds + TOLERANCE_SECONDS + self._start) / self._stream.time_base)
            self._frames = (f for f in frames_from(self._container, self._stream, stamp) if f.pts is not None)
            self._shown, self._next = None, next(self._frames, None)
        for _ in range(MOST_FRAMES):
            reached = self._shown is not None and self._seconds(self._shown) >= seconds - TOLERANCE_SECONDS
            if reached or self._next is None or self._seconds(self._next) > seconds + TOLERANCE_SECONDS:
                return self._shown
            self._shown, self._next = self._next, next(self._frames, None)
        return None

    def _seconds(self, frame: av.VideoFrame) -> float:
        return float(frame.pts * frame.time_base) - self._start
