"""The footage behind a curve: finds the file, checks that it is still what was scored, reads it from any frame on."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import av
import numpy as np

from vad_pipeline.extract.decode.container import check_file, open_container, prepare_decoder, video_stream
from vad_pipeline.extract.decode.reader import PyavFrame, PyavReader, drained
from vad_pipeline.extract.errors import VideoDecodeError, VideoError, VideoOpenError
from vad_pipeline.extract.files import SourceFile, content_of
from vad_pipeline.extract.lists import FEATURE_SUFFIXES
from vad_pipeline.extract.names import plural
from vad_pipeline.model.curve import AnomalyCurve

from .blurring import Blur
from .roots import MediaRoots
from .seeking import counted, frames_from

TIME_TOLERANCE_SECONDS = 1e-3
PROBED_FRAMES = 48  # frames decoded to check that frames have the timestamps of their packets
SOUGHT_FROM_FRAMES = 1000  # where a few wanted frames span more than this, each is sought, not all between decoded
LEFT_OUT = "say where the footage lies now with --media-root OLD=NEW"


@dataclass(frozen=True, slots=True, eq=False)
class FrameIndex:
    """Which packet of a file holds which frame, where that can be known without decoding.

    Shapes: F frames, and as many packets.
    """

    stamps: np.ndarray = field(repr=False)
    """(F,) int64: each frame's presentation timestamp, ascending."""
    shown: np.ndarray = field(repr=False)
    """(F,) int64: the frame that each packet holds, packets in the order of the file."""
    is_key: np.ndarray = field(repr=False)
    """(F,) bool: whether decoding can begin with each packet."""

    def key_before(self, frame: int) -> int | None:
        """The number of the last key frame at or before `frame`; None where there is none."""
        keys = self.shown[self.is_key]
        keys = keys[keys <= frame]
        return int(keys.max()) if len(keys) else None


@dataclass(frozen=True, slots=True, eq=False)
class Footage:
    """One video's file, checked to have as many frames as its curve, at the same times."""

    path: str
    file: SourceFile
    index: FrameIndex | None
    """None where a frame can only be found by decoding from the start."""
    stream: int = 1
    """Which of the file's video streams, from 1."""
    blur: Blur | None = None
    """What cannot be made out in its frames; None: all can."""
    n_frames: int = 0

    def sha256(self) -> str:
        """SHA-256 of the file's content; the file is read once a run.

        Raises:
            VideoOpenError: the file cannot be read.
        """
        try:
            return content_of(self.file)
        except OSError as error:
            raise VideoOpenError(self.path, "unreadable", f"cannot be read ({error.strerror}); mend that") from error

    def frames(self, first: int, end: int) -> Iterator[PyavFrame]:
        """Decode frames `first` to `end` - 1, in order.

        Raises:
            VideoDecodeError: the file gives fewer frames.
        """
        if self.blur is None:
            yield from self._decoded(first, end)
            return
        before = min(first, self.blur.around)
        after = min(self.n_frames, end + self.blur.around)
        hidden = self.blur.hidden_in(self._decoded(first - before, after))
        yield from itertools.islice(hidden, before, before + end - first)

    def _decoded(self, first: int, end: int) -> Iterator[PyavFrame]:
        given = 0
        for route in (self._sought(first, end), counted(self.path, first, end, stream=self.stream)):
            for frame in route:
                yield frame
                given += 1
            if given:  # none: there is no index, or the seek went astray
                break
        if given != end - first:
            reason = f"gave {given} of the frames {first} to {end - 1}; it changed meanwhile, or cannot be sought in"
            raise VideoDecodeError(self.path, "unreadable", reason)

    def frames_at(self, numbers: Sequence[int]) -> Iterator[PyavFrame]:
        """Decode the frames of these numbers, which must ascend.

        Raises:
            VideoDecodeError: the file does not give them all.
        """
        if self.index and numbers[-1] - numbers[0] > SOUGHT_FROM_FRAMES:
            for number in numbers:
                yield from self.frames(number, number + 1)
            return
        wanted = set(numbers)
        for number, frame in enumerate(self.frames(numbers[0], numbers[-1] + 1), numbers[0]):
            if number in wanted:
                yield frame

    def _sought(self, first: int, end: int) -> Iterator[PyavFrame]:
        if self.index is None:
            return
        numbers = {int(stamp): first + i for i, stamp in enumerate(self.index.stamps[first:end])}
        key = self.index.key_before(first)
        last, expected = self.index.stamps[end - 1], first
        with self.opened() as container:
            stream = video_stream(container, self.stream)
            prepare_decoder(stream)
            for frame in frames_from(container, stream, int(self.index.stamps[key or 0])):
                if numbers.get(frame.pts) == expected:
                    yield PyavFrame(frame, self.path)
                    expected += 1
                if expected == end or (frame.pts is not None and frame.pts > last):
                    return

    def opened(self) -> av.container.InputContainer:
        """Open the file with FFmpeg.

        Raises:
            VideoOpenError: the file can no longer be opened.
        """
        try:
            return open_container(self.path)
        except (av.error.FFmpegError, ValueError) as error:
            reason = f"cannot be opened any more ({getattr(error, 'strerror', error)}); was it moved meanwhile?"
            raise VideoOpenError(self.path, "unreadable", reason) from error


def find_footage(curve: AnomalyCurve, roots: MediaRoots) -> SourceFile:
    """Find the file that a curve was made from, where it lies now.

    Raises:
        VideoOpenError: the file is missing or cannot be read, or the curve is of imported features or names no file.
    """
    if curve.source.endswith(FEATURE_SUFFIXES):
        reason = "is imported features: there is no footage to cut; extract the video itself and detect again"
        raise VideoOpenError(curve.source, "unreadable", reason)
    if not curve.source:
        raise VideoOpenError(curve.video_id, "unreadable", "its results do not say which file it is; no footage to cut")
    path = roots.find(curve.source)
    if path is None:
        raise VideoOpenError(curve.source, "unreadable", f"is not there; {LEFT_OUT}")
    check_file(path)
    return SourceFile.of(path)


def open_footage(curve: AnomalyCurve, file: SourceFile, blur: Blur | None = None) -> Footage:
    """Open the footage of a curve and check that its frames are those that were scored.

    Args:
        curve: of the video.
        file: where it lies now.
        blur: what is not to be made out in its frames.

    Raises:
        VideoError: the file cannot be read, or has other frames than the curve.
    """
    index = frame_index(file.path, curve.frame_seconds, stream=curve.stream)
    if index is None:
        _refuse_another(file.path, curve)
    return Footage(file.path, file, index, curve.stream, blur, curve.n_frames)


def frame_index(path: str, frame_seconds: np.ndarray, *, stream: int = 1) -> FrameIndex | None:
    """Find out from the packets alone which of them holds which frame.

    Args:
        path: the file.
        frame_seconds: (F,) when each frame is shown, in seconds, as decoding found it.
        stream: which of the file's video streams, from 1.

    Returns:
        None where packets and frames, or their times, do not match one to one.
    """
    try:
        with open_container(path) as container:
            chosen = video_stream(container, stream)
            if chosen is None or chosen.codec_context is None:
                return None
            start = (container.start_time or 0) / av.time_base
            stamps, keys = array("q"), bytearray()
            for packet in container.demux(chosen):
                if packet.size:
                    if packet.pts is None or packet.is_corrupt or packet.is_discard:
                        return None
                    stamps.append(packet.pts)
                    keys.append(packet.is_keyframe)
            time_base = float(chosen.time_base)
        shown = _stamps_of_first_frames(path, stream)
    except (av.error.FFmpegError, ValueError):
        return None
    if len(stamps) != len(frame_seconds):
        return None
    stamps = np.array(stamps)
    order = np.argsort(stamps, kind="stable")
    seconds = stamps[order] * time_base - start
    if (np.abs(seconds - frame_seconds) > TIME_TOLERANCE_SECONDS).any() or (np.diff(stamps[order]) <= 0).any():
        return None
    if shown != stamps[order][: len(shown)].tolist():  # AVI: packets say when they are decoded, not when shown
        return None
    frame_of = np.empty(len(order), np.int64)
    frame_of[order] = np.arange(len(order))
    return FrameIndex(stamps[order], frame_of, np.frombuffer(keys, bool))


def _stamps_of_first_frames(path: str, number: int) -> list[int | None]:
    with open_container(path) as container:
        stream = video_stream(container, number)
        prepare_decoder(stream)
        frames = container.decode(stream)
        return [frame.pts for frame in itertools.islice(frames, PROBED_FRAMES)]


def _refuse_another(path: str, curve: AnomalyCurve) -> None:
    """Decode a whole file and check its frames against a curve's.

    Raises:
        VideoDecodeError: number or times of the frames differ.
    """
    try:
        info = drained(PyavReader(path, stream=curve.stream))
    except VideoError as error:
        raise VideoDecodeError(path, error.code, f"changed since it was scored: {error.reason}") from error
    again = "extract and detect it again"
    if info.n_frames != curve.n_frames:
        reason = (
            f"changed since it was scored: {plural(info.n_frames, 'frame')}, its curve has {curve.n_frames}; {again}"
        )
        raise VideoDecodeError(path, "unreadable", reason)
    if (np.abs(info.frame_seconds - curve.frame_seconds) > TIME_TOLERANCE_SECONDS).any():
        reason = f"changed since it was scored: its frames have other times than its curve; {again}"
        raise VideoDecodeError(path, "unreadable", reason)
