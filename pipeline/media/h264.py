"""Writes H.264 files that every browser plays: encodes frames, then gives them their times."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from vad_pipeline.extract.decode.container import decoding_threads
from vad_pipeline.extract.decode.reader import PyavFrame
from vad_pipeline.extract.errors import ConfigError

from .sound import Sound

ENCODER = "libx264"
CLOCK_HZ = 90_000  # ticks a second in the files written: times are exact to 6 us
COARSE_CLOCK_HZ = 1_000  # where one frame is shown so long that it needs too many ticks: 6 hours, up to a gap's 24 days
MOST_TICKS = 2**31 - 1  # that an mp4 file can hold of one frame
NOMINAL_RATE = Fraction(25)  # frames a second in the file before `retimed` gives frames their times
GOP_FRAMES = 16  # frames from one key frame to the next: the most that a seek has to decode
QUALITY = 26  # x264's CRF
SPEED = "veryfast"
BT601 = 6  # FFmpeg's number of SMPTE 170M, written as matrix, primaries and transfer
MP4 = "mp4"
FRAMES_SUFFIX = ".frames"  # added to the name of the final file while its frames have no times yet
FAST_START = {"movflags": "+faststart"}  # index at the file's start: a browser can play before it has read it all


class FrameFile:
    """An mp4 file of encoded frames that do not have their times yet; `retimed` adds those.

    All frames get the size of the first one. The file is complete once the `with` block ends.

    Args:
        path: the file.
    """

    def __init__(self, path: Path):
        self._path = path
        self._size: tuple[int, int] | None = None
        self.n_frames = 0

    def __enter__(self) -> FrameFile:
        return self

    def __exit__(self, kind: type | None, *exc_info) -> None:
        if self._size:
            try:
                if kind is None:  # after a failed write FFmpeg may crash when it is given more
                    self._container.mux(self._stream.encode(None))
            finally:
                self._container.close()

    def add(self, frame: PyavFrame, size: tuple[int, int]) -> None:
        """Encode one more frame.

        Args:
            frame: the decoded frame.
            size: even width and height in px to scale to; only that of the file's first frame counts.

        Raises:
            VideoError: the frame cannot be converted to RGB.
            ConfigError: this build of PyAV cannot write H.264.
            OSError: the file cannot be written.
        """
        self.add_pixels(frame.rgb(self._size or size))

    def add_pixels(self, rgb: np.ndarray) -> None:
        """Encode one more frame given as pixels, (H, W, 3) uint8 RGB; H and W are even and the same for all frames."""
        if self._size is None:
            self._open(rgb.shape[1], rgb.shape[0])
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU601, dst_color_range=ColorRange.MPEG)
        frame.pts, frame.time_base = self.n_frames, 1 / NOMINAL_RATE
        self._container.mux(self._stream.encode(frame))
        self.n_frames += 1

    def _open(self, width: int, height: int) -> None:
        try:
            codec = av.codec.Codec(ENCODER, "w")
        except av.error.FFmpegError as error:
            raise ConfigError(f"this PyAV lacks {ENCODER}, which writes H.264: install PyAV from PyPI") from error
        self._container = av.open(str(self._path), "w", format=MP4)
        self._stream = self._container.add_stream(codec.name, rate=NOMINAL_RATE)
        self._stream.width, self._stream.height = self._size = (width, height)
        self._stream.pix_fmt = "yuv420p"
        # without B-frames packets come in the order of frames, so that their times can be put in afterwards
        self._stream.options = {"crf": str(QUALITY), "preset": SPEED, "bf": "0"}
        context = self._stream.codec_context
        context.gop_size = GOP_FRAMES
        context.thread_count = decoding_threads()
        context.colorspace = context.color_primaries = context.color_trc = BT601
        context.color_range = ColorRange.MPEG


@contextlib.contextmanager
def frames_beside(aside: Path) -> Iterator[Path]:
    """Yield a path for a `FrameFile` beside the file being written; the file there is removed in the end."""
    path = aside.with_name(aside.name + FRAMES_SUFFIX)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def retimed(
    frames: Path, target: Path, *, seconds: np.ndarray, last_seconds: float, sound: Sound | None = None
) -> None:
    """Copy a `FrameFile` into the final mp4 file, giving each frame its time.

    Args:
        frames: the finished file, F frames.
        target: the file to write.
        seconds: (F,) when each frame begins, not decreasing, the first at 0.
        last_seconds: how long the last frame is shown, in seconds.
        sound: the sound to add; None: none.

    Raises:
        OSError: the file cannot be written.
        av.error.FFmpegError: FFmpeg refuses it.
    """
    longest = float(np.diff(seconds, append=seconds[-1] + last_seconds).max())
    clock_hz = CLOCK_HZ if longest * CLOCK_HZ < MOST_TICKS else COARSE_CLOCK_HZ
    stamps = ticks(seconds, clock_hz)
    ends = np.append(stamps[1:], stamps[-1] + max(1, round(last_seconds * clock_hz)))
    options = FAST_START | {"video_track_timescale": str(clock_hz)}
    with av.open(str(frames)) as source, av.open(str(target), "w", format=MP4, options=options) as out:
        template = source.streams.video[0]
        found = (packet for packet in source.demux(template) if packet.size)
        times = zip(stamps.tolist(), ends.tolist(), strict=True)
        mux(out, template, _timed(found, times, clock_hz), sound, time_base=Fraction(1, clock_hz))


def _timed(packets: Iterable[av.Packet], times: Iterable[tuple[int, int]], clock_hz: int) -> Iterator[av.Packet]:
    """Give each packet its start and end, in ticks of CLOCK_HZ."""
    for packet, (start, end) in zip(packets, times, strict=True):
        packet.time_base = Fraction(1, clock_hz)
        packet.pts = packet.dts = start
        packet.duration = end - start
        yield packet


def mux(
    out: av.container.OutputContainer,
    template: av.VideoStream,
    packets: Iterable[av.Packet],
    sound: Sound | None,
    *,
    time_base: Fraction,
) -> None:
    """Write the packets of one video stream, and between them those of the sound, in order of decoding time."""
    stream = out.add_stream_from_template(template)
    stream.time_base = time_base
    heard = iter(sound.packets_for(out) if sound else ())
    waiting = next(heard, None)
    for packet in packets:
        while waiting and waiting.dts * waiting.time_base <= packet.dts * packet.time_base:
            out.mux(waiting)
            waiting = next(heard, None)
        packet.stream = stream
        out.mux(packet)
    for packet in filter(None, (waiting, *heard)):
        out.mux(packet)


def ticks(seconds: Iterable[float], clock_hz: int = CLOCK_HZ) -> np.ndarray:
    """Convert seconds to ticks of CLOCK_HZ, (F,) int64, strictly increasing: no two frames of a file may share one."""
    stamps = np.rint(np.asarray(seconds, np.float64) * clock_hz).astype(np.int64)
    steps = np.arange(len(stamps))
    return np.maximum.accumulate(stamps - steps) + steps


def even(size: tuple[float, float]) -> tuple[int, int]:
    """Round a size to even sides of at least 2 px, as 4:2:0 chroma needs."""
    return tuple(max(2, 2 * round(side / 2)) for side in size)


def scaled(size: tuple[int, int], height: int) -> tuple[int, int]:
    """Even width and height, in px, of a picture scaled down to `height` with its aspect kept; never enlarged."""
    factor = min(1.0, height / size[1])
    return even((size[0] * factor, size[1] * factor))
