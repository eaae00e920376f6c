"""Writes one clip: a range of frames as an mp4 file, by copying packets where that is exact, else by encoding."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vad_pipeline.extract.decode.container import video_stream
from vad_pipeline.extract.decode.reader import PyavReader
from vad_pipeline.extract.errors import VideoError
from vad_pipeline.extract.files import written_aside
from vad_pipeline.model.curve import AnomalyCurve

from ..media.failures import DISK_ERRORS, as_its_failure
from ..media.footage import TIME_TOLERANCE_SECONDS, Footage, FrameIndex
from ..media.h264 import FAST_START, MP4, FrameFile, even, frames_beside, mux, retimed
from ..media.seeking import packets_from
from ..media.sound import Sound, sound_between
from .cutting import PacketCut, decoding_stamps

COPIED, ENCODED = "copied", "re-encoded"
COPIED_CODECS = frozenset({"h264", "hevc", "mpeg4", "vp9", "av1"})  # codecs that mp4 players know


@dataclass(frozen=True, slots=True)
class Clip:
    """What a written clip holds, and how it was made."""

    first: int
    """Number of the clip's first frame in the footage."""
    end: int
    how: str
    """`copied` or `re-encoded`."""
    sound: str
    """`copied`, `dropped`, or empty where the footage has no sound."""


def copy_clip(footage: Footage, cut: PacketCut, target: Path, curve: AnomalyCurve) -> Clip | None:
    """Write a clip of packets as they are, and decode it to see that it holds the frames it should.

    Args:
        footage: footage with a frame index, whose packets and frames match.
        cut: the packets to copy.
        target: the mp4 file; it is complete as soon as it exists.
        curve: the curve of the footage.

    Returns:
        None, and no file, where the footage cannot be copied into an mp4 file that decodes to the same frames.

    Raises:
        StoreError: the target cannot be written.
    """
    seconds = curve.frame_seconds[cut.first : cut.end]
    until = curve.end_of(cut.end - 1)
    with contextlib.suppress(_NotTheSame), written_aside(target) as aside:
        with sound_between(footage, float(seconds[0]), until) as (sound, told):
            try:
                _copy(footage, cut, aside, sound)
                same = _holds(aside, footage, cut, seconds)
            except (av.error.FFmpegError, VideoError, ValueError) as error:
                if isinstance(error, OSError) and error.errno in DISK_ERRORS:
                    raise
                same = False
        if not same:
            raise _NotTheSame
        return Clip(cut.first, cut.end, COPIED, told)
    return None


def encode_clip(footage: Footage, first: int, end: int, target: Path, curve: AnomalyCurve) -> Clip:
    """Write a clip of exactly the frames asked for as H.264.

    Raises:
        VideoError: the footage does not give them, or FFmpeg refuses them.
        StoreError: the target cannot be written.
    """
    seconds = curve.frame_seconds[first:end]
    until = curve.end_of(end - 1)
    with written_aside(target) as aside, sound_between(footage, float(seconds[0]), until) as (sound, told):
        with frames_beside(aside) as path, as_its_failure(footage.path):
            with FrameFile(path) as file:
                for frame in footage.frames(first, end):
                    file.add(frame, even(frame.size_px))
            retimed(path, aside, seconds=seconds - seconds[0], last_seconds=until - float(seconds[-1]), sound=sound)
        return Clip(first, end, ENCODED, told)


class _NotTheSame(Exception):
    """A copied clip does not decode to the frames that it should hold."""


def _copy(footage: Footage, cut: PacketCut, target: Path, sound: Sound | None) -> None:
    with footage.opened() as source, av.open(str(target), "w", format=MP4, options=FAST_START) as out:
        stream = video_stream(source, footage.stream)
        if stream.codec_context.codec.canonical_name not in COPIED_CODECS:
            raise ValueError(f"{stream.codec_context.name} does not belong in mp4 files")
        mux(out, stream, _packets(source, stream, footage.index, cut), sound, time_base=Fraction(stream.time_base))


def _packets(
    source: av.container.InputContainer, stream: av.VideoStream, index: FrameIndex, cut: PacketCut
) -> Iterator[av.Packet]:
    """Yield the packets of a cut, with times counted from its first frame; all other packets are left out."""
    shown = index.shown[cut.first_packet : cut.end_packet]
    stamps = index.stamps[shown[shown >= cut.first]] - index.stamps[cut.first]
    start = int(index.stamps[cut.first])
    found = (packet for packet in packets_from(source, stream, start) if packet.size)
    found = itertools.dropwhile(lambda packet: packet.pts != start, found)
    kept = (packet for packet in found if packet.pts >= start)
    for packet, shown_at, decoded_at in zip(kept, stamps.tolist(), decoding_stamps(stamps).tolist(), strict=False):
        if packet.pts - start != shown_at:
            raise ValueError("packets come in another order after a seek")
        packet.pts, packet.dts = shown_at, decoded_at
        yield packet


def _holds(clip: Path, footage: Footage, cut: PacketCut, seconds: np.ndarray) -> bool:
    """Whether a clip decodes to a cut's frames: the same number and times, and the first one equal in every pixel."""
    with contextlib.closing(PyavReader(clip)) as reader:
        frames = iter(reader)
        first = next(frames, None)
        (original,) = footage.frames(cut.first, cut.first + 1)
        if first is None or not np.array_equal(first.rgb(), original.rgb()):
            return False
        for _ in frames:
            pass
        info = reader.info()
    if info.n_frames != len(seconds) or info.corrupt_packets:
        return False
    return bool((np.abs(info.frame_seconds - (seconds - seconds[0])) <= TIME_TOLERANCE_SECONDS).all())
