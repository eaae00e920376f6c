"""Decodes with decord, in a subprocess that can be killed, and checks its frames against FFmpeg's packets.

decord 0.6 is known to miscount frames, to pick another stream, to distort 10-bit colour and to hang on some files. So
it decodes in a subprocess (`python -m vad_pipeline.extract.decode.decord_reader FILE`: one JSON line, then raw RGB
frames on standard output), and its frame count and size are checked against the packets; where they differ the file is
refused. So is a file of several video streams where neither would tell which one decord has chosen.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from ..errors import VideoDecodeError
from ..names import plural
from ..records import VideoInfo
from .container import counted_by_header, open_container, video_stream, video_streams
from .reader import PyavReader
from .timeline import in_shown_order, time_warnings, timeline

STALL_SECONDS = 60  # without a byte from decord: it hangs
ADVICE = "use --decoder pyav"


@dataclass(frozen=True, slots=True)
class RgbFrame:
    """A frame that decord has decoded to RGB already."""

    pixels: np.ndarray

    def rgb(self) -> np.ndarray:
        """The pixels, (H, W, 3) uint8 RGB."""
        return self.pixels


@dataclass(frozen=True, slots=True, eq=False)
class _Expected:
    """What FFmpeg says of the file after decoding only its first frame; decord's frames must agree with it."""

    size_px: tuple[int, int]
    """Width and height."""
    raw_seconds: np.ndarray
    """(F,): timestamps of the packets, in the order in which their frames are shown."""
    header: int | None
    """How many frames the header promises."""
    fps: Fraction | None
    """Average frame rate that the file states."""


def _expect(path: str, number: int | None) -> _Expected:
    with contextlib.closing(PyavReader(path, stream=number)) as reader:
        first = next(iter(reader), None)
        if first is None:
            reader.info()  # raises: encrypted or no_frames
        if any(component.bits > 8 for component in first.frame.format.components):
            raise VideoDecodeError(path, "not_a_video", f"decord distorts colours over 8 bits a channel; {ADVICE}")
        height, width = first.rgb().shape[:2]
    with open_container(path) as container:
        stream, streams = video_stream(container, number or 1), video_streams(container)
        start = (container.start_time or 0) / av.time_base
        in_header = counted_by_header(container, stream)
        packets: list[tuple[Fraction, bool]] = []
        of_others: Counter[av.VideoStream] = Counter()
        for packet in container.demux(streams):
            if packet.size and packet.pts is not None and packet.stream == stream:
                packets.append((packet.pts * packet.time_base, packet.is_discard))
            elif packet.size and packet.pts is not None:
                of_others[packet.stream] += 1
        alike = [n for each, n in of_others.items() if (each.width, each.height) == (stream.width, stream.height)]
        if len(packets) in alike:
            reason = f"decord does not say which of its {len(streams)} video streams it reads; {ADVICE}"
            raise VideoDecodeError(path, "not_a_video", reason)
        times = in_shown_order(np.array([float(shown) for shown, hidden in packets if not hidden]) - start)
        in_header = max(0, in_header - sum(hidden for _, hidden in packets)) or None
        return _Expected((width, height), times, in_header, stream.average_rate)


class DecordReader:
    """Reads the frames of one file with decord.

    Raises:
        VideoOpenError: as `PyavReader` raises it.
        VideoDecodeError: decord's frames do not agree with the file (`not_a_video`), or decord hangs (`timeout`).
    """

    def __init__(self, path: str | os.PathLike, *, stream: int | None = None):
        self.path = os.fspath(path)
        self._expected = _expect(self.path, stream)
        self._n_frames = 0
        # not a pipe: nobody reads it until the end, and a full one would block a talkative decoder
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._child = subprocess.Popen(
            [sys.executable, "-m", "vad_pipeline.extract.decode.decord_reader", self.path],
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )

    def __iter__(self) -> Iterator[RgbFrame]:
        head = json.loads(self._line() or "{}")
        if not head:
            raise self._refusal(f"decord cannot open it ({self._last_words()})")
        size_px = (head["width"], head["height"])
        if size_px != self._expected.size_px:
            raise self._refusal(f"decord shows {size_px} px where FFmpeg shows {self._expected.size_px}")
        shape = (head["height"], head["width"], 3)
        while data := self._read(shape[0] * shape[1] * 3):
            self._n_frames += 1
            yield RgbFrame(np.frombuffer(data, np.uint8).reshape(shape))
        if self._n_frames != len(self._expected.raw_seconds) or self._child.wait() != 0:
            raise self._refusal(
                f"decord yields {plural(self._n_frames, 'frame')} where the file holds "
                f"{plural(len(self._expected.raw_seconds), 'packet')}"
            )

    def info(self) -> VideoInfo:
        """What is known of the video; the packets' times serve for the frames, of which there are as many."""
        expected = self._expected
        seconds, fps, retimed = timeline(expected.raw_seconds, expected.fps)
        return VideoInfo(
            path=self.path,
            n_frames=self._n_frames,
            n_frames_header=expected.header,
            fps=fps,
            width=expected.size_px[0],
            height=expected.size_px[1],
            frame_seconds=seconds,
            corrupt_packets=0,
            retimed_frames=retimed,
            warnings=tuple(time_warnings(seconds, retimed)),
            route="decord cpu",
        )

    def close(self) -> None:
        """Kill the subprocess, whether it is done or not."""
        self._child.kill()
        self._child.wait()
        self._child.stdout.close()
        self._errors.close()

    def _refusal(self, why: str) -> VideoDecodeError:
        return VideoDecodeError(self.path, "not_a_video", f"{why}; {ADVICE}")

    def _last_words(self) -> str:
        self._child.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "no message"

    def _some(self, n_bytes: int) -> bytes:
        """Read up to `n_bytes` of the subprocess's output; empty at its end."""
        ready, _, _ = select.select([self._child.stdout], [], [], STALL_SECONDS)
        if not ready:
            raise VideoDecodeError(self.path, "timeout", f"decord hangs ({STALL_SECONDS} s without a frame); {ADVICE}")
        return os.read(self._child.stdout.fileno(), n_bytes)

    def _line(self) -> bytes:
        line = b""
        while (byte := self._some(1)) and byte != b"\n":
            line += byte
        return line

    def _read(self, n_bytes: int) -> bytearray | None:
        data = bytearray()
        while len(data) < n_bytes:
            piece = self._some(n_bytes - len(data))
            if not piece:
                return None
            data += piece
        return data


def _child(path: str) -> None:
    """What the subprocess does: decode a file with decord and write its frames to standard output."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the library prints must not end up among the pixels
    import decord

    video = decord.VideoReader(path)
    for index in range(len(video)):
        pixels = video[index].asnumpy()
        if index == 0:
            out.write(json.dumps({"height": pixels.shape[0], "width": pixels.shape[1]}).encode() + b"\n")
        out.write(pixels.tobytes())
    out.flush()


if __name__ == "__main__":
    _child(sys.argv[1])
