"""Reads the frames of a video file in order and in one pass with FFmpeg (PyAV), without trusting its header.

A reader is iterated once and then asked for `info()`. A frame is converted to pixels only when `rgb()` is called:
frames that are not sampled are decoded, as they must be counted, but never converted.
"""

from __future__ import annotations

import contextlib
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import av
import numpy as np
from av.video.reformatter import Colorspace

from ..errors import NvdecFailed, VideoDecodeError, VideoOpenError
from ..names import plural
from ..records import VideoInfo
from .container import (
    MAX_FRAME_PX,
    check_file,
    count_packets,
    counted_by_header,
    open_again,
    open_container,
    prepare_decoder,
    reason_of,
    stream_warnings,
    video_stream,
    what_else,
)
from .timeline import faults, time_warnings, timeline

TOO_LARGE = "frames of {}x{} px exceed 8192x4320; scale it down"
HD_HEIGHT_PX = 720  # frames as high as this that state no colour matrix are taken for BT.709
UNSPECIFIED_COLORSPACE = 2  # AVCOL_SPC_UNSPECIFIED


class Frame(Protocol):
    """One decoded frame."""

    def rgb(self) -> np.ndarray:
        """The pixels, (H, W, 3) uint8 RGB, rotated as a player shows them."""


class Frames(Protocol):
    """Frames in order, and for messages where they come from."""

    path: str

    def __iter__(self) -> Iterator[Frame]: ...


class Reader(Frames, Protocol):
    """What `embed_video` needs of a decoder."""

    def info(self) -> VideoInfo:
        """What is known of the video; to be called once all frames are read."""

    def close(self) -> None: ...


@dataclass(slots=True)
class PyavFrame:
    """A decoded frame of PyAV whose pixels are converted only when asked for."""

    frame: av.VideoFrame
    path: str
    """The video file, for messages."""

    def rgb(self, size: tuple[int, int] | None = None) -> np.ndarray:
        """The pixels, (H, W, 3) uint8 RGB, rotated as a player shows them.

        Args:
            size: width and height to scale to, in px, after rotation; None: the frame's own.

        Raises:
            VideoDecodeError: the frame cannot be turned into RGB.
        """
        source = Colorspace.ITU709 if untagged_hd(self.frame) else None
        turns = quarter_turns(self.frame.rotation)
        width, height = (size if turns % 2 == 0 else size[::-1]) if size else (None, None)
        try:
            # one thread: starting more for every frame takes longer than the conversion of a small one
            scaled = self.frame.reformat(width, height, format="rgb24", src_colorspace=source, threads=1)
            pixels = scaled.to_ndarray()
        except av.error.FFmpegError as error:
            what = f"{self.frame.width}x{self.frame.height} px, {self.frame.format.name}"
            reason = f"a frame of it cannot be turned into RGB ({what}: {reason_of(error)}); copy or export it again"
            raise VideoDecodeError(self.path, "no_frames", reason) from error
        return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height in px, after rotation."""
        size = (self.frame.width, self.frame.height)
        return size[::-1] if quarter_turns(self.frame.rotation) % 2 else size


def drained(reader: Reader) -> VideoInfo:
    """Decode all of a video without using its frames, close it, and return what is known of it.

    Raises:
        VideoError: the video cannot be decoded.
    """
    with contextlib.closing(reader):
        for _ in reader:
            pass
        return reader.info()


def untagged_hd(frame: av.VideoFrame) -> bool:
    """Whether a frame states no colour matrix and is high enough to be BT.709."""
    return frame.colorspace == UNSPECIFIED_COLORSPACE and frame.height >= HD_HEIGHT_PX and not frame.format.is_rgb


def quarter_turns(rotation: float) -> int:
    """How many quarter turns counter-clockwise a rotation in degrees is; 0 where it is no multiple of 90."""
    return int(rotation) // 90 % 4 if int(rotation) % 90 == 0 and abs(rotation) <= 360 else 0


class PyavReader:
    """Reads the frames of one file with FFmpeg.

    Args:
        path: the video file.
        stream: which of its video streams, from 1; None: the first, with a warning where there are others.
        hwaccel: a PyAV HWAccel, for decoding on a device. Any trouble then raises NvdecFailed, also a packet that the
            device refuses: only software can tell whether a packet is corrupt.
        wrap: makes the frame that is yielded, from a PyAV frame and the path.
        warnings: warnings about the file that are already known; those that decoding finds are added.

    Raises:
        VideoOpenError: `unreadable`, `zero_bytes`, `not_a_video`, `no_video_stream`, `too_large`.

    Iterating raises VideoDecodeError `too_large`, or `unreadable` where a read of the file failed on the way.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        stream: int | None = None,
        hwaccel: av.codec.hwaccel.HWAccel | None = None,
        wrap: Callable[[av.VideoFrame, str], Frame] = PyavFrame,
        warnings: Sequence[str] = (),
    ):
        check_file(path)
        self.path, self._number = os.fspath(path), stream or 1
        self._hwaccel, self._wrap = hwaccel, wrap
        self.route = "pyav nvdec" if hwaccel else "pyav cpu"
        self._container = self._opened()
        chosen = video_stream(self._container, self._number)
        if chosen is None or chosen.codec_context is None:
            self.close()
            lacks = "no video stream (audio only?)" if stream in (None, 1) else f"no video stream {stream} that decodes"
            raise VideoOpenError(path, "no_video_stream", f"holds {lacks}; leave it out")
        self._stream = chosen
        if chosen.width * chosen.height > MAX_FRAME_PX:
            self.close()
            raise VideoOpenError(path, "too_large", TOO_LARGE.format(chosen.width, chosen.height))
        self._header_px = (chosen.width, chosen.height)
        # a device gains nothing by threads, and each of them takes one of its few surfaces
        prepare_decoder(chosen, threads=1 if hwaccel else None)
        self._shown = array("d")  # seconds by presentation timestamp, nan where there is none
        self._decoded_at = array("d")  # by decoding timestamp
        self._size_px: tuple[int, int] | None = None
        self._in_header = counted_by_header(self._container, chosen)
        self._n_packets = 0
        self._corrupt_packets = 0
        self._hidden_packets = 0
        self._stopped_early = False
        self._encrypted = False
        self._warnings = [*warnings, *(stream_warnings(self._container) if stream is None else ())]

    @property
    def accelerated(self) -> bool:
        """Whether a device decodes this stream; FFmpeg may have opened the file and found none for its codec."""
        return self._stream.codec_context.is_hwaccel

    def __iter__(self) -> Iterator[Frame]:
        start = (self._container.start_time or 0) / av.time_base
        for frame in self._decoded():
            tick = frame.time_base or self._stream.time_base  # those left in the decoder where reading stops have none
            for times, stamp in ((self._shown, frame.pts), (self._decoded_at, frame.dts)):
                times.append(float("nan") if stamp is None else float(stamp * tick) - start)
            if self._size_px is None:
                self._note_first(frame)
            if frame.width * frame.height > MAX_FRAME_PX:
                raise VideoDecodeError(self.path, "too_large", TOO_LARGE.format(frame.width, frame.height))
            yield self._wrap(frame, self.path)
        self._refuse_failed_reads()
        if self._hwaccel and len(self._shown) < max(1, self._n_frames_header or 0):
            why = f"{plural(len(self._shown), 'frame')} came of the {self._n_frames_header} in its header"
            raise NvdecFailed.because(self.path, why)

    def info(self) -> VideoInfo:
        """What is known of the video, once all frames are read.

        Raises:
            VideoDecodeError: `encrypted` or `no_frames`: no frame could be decoded.
        """
        if not self._shown or self._size_px is None:
            if self._encrypted:
                raise VideoDecodeError(self.path, "encrypted", "its samples are encrypted; decrypt it first")
            bad = f"{plural(self._corrupt_packets, 'packet')} corrupt or of giant frames"
            reason = what_else(self.path) or f"no frame of it decodes ({bad}); copy it again"
            raise VideoDecodeError(self.path, "no_frames", reason)
        header = self._n_frames_header
        n_frames = len(self._shown)
        # as FFmpeg's players do: AVI with B-frames presents in decoding order, only its decoding times are right
        raw_seconds = min(np.array(self._shown), np.array(self._decoded_at), key=faults)
        seconds, fps, retimed = timeline(raw_seconds, self._stream.average_rate)
        warnings = list(self._warnings)
        if self._corrupt_packets:
            warnings.append(f"{plural(self._corrupt_packets, 'corrupt packet')} skipped")
        if header is not None and n_frames < header:
            warnings.append(
                f"decoded {n_frames} of the {plural(header, 'frame')} its header promises: truncated or damaged"
            )
        warnings += time_warnings(seconds, retimed)
        return VideoInfo(
            path=self.path,
            n_frames=n_frames,
            n_frames_header=header,
            fps=fps,
            width=self._size_px[0],
            height=self._size_px[1],
            frame_seconds=seconds,
            corrupt_packets=self._corrupt_packets,
            retimed_frames=retimed,
            warnings=tuple(warnings),
            route=self.route,
        )

    @property
    def _n_frames_header(self) -> int | None:
        """How many frames the header promises, without those that an edit list hides; right once all are read."""
        return max(0, self._in_header - self._hidden_packets) or None

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _opened(self) -> av.container.InputContainer:
        try:
            try:
                return open_container(self.path, hwaccel=self._hwaccel)
            except (av.error.FFmpegError, ValueError):
                return open_again(self.path, hwaccel=self._hwaccel)
        except (av.error.FFmpegError, ValueError) as error:
            unknown = f"not a video FFmpeg can open ({reason_of(error)}); leave it out or export it again"
            reason = what_else(self.path) or unknown
            raise VideoOpenError(self.path, "not_a_video", reason) from error

    def _refuse_failed_reads(self) -> None:
        """What a damaged file has lost it has lost the second time too; where more packets come then, a read had failed
        that FFmpeg took for the file's end.

        Raises:
            VideoDecodeError: `unreadable`.
        """
        lacks = self._stopped_early or len(self._shown) < max(1, self._n_frames_header or 0)
        if lacks and count_packets(self.path, self._number) > self._n_packets:
            reason = "a read of it failed on the way; see that its disk or share is well, then run the same again"
            raise VideoDecodeError(self.path, "unreadable", reason)

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """The frames of all packets that decode; packets that do not are counted and skipped."""
        try:
            for packet in self._container.demux(self._stream):
                self._n_packets += bool(packet.size)
                self._encrypted = self._encrypted or packet.has_sidedata("encryption_info")
                self._hidden_packets += packet.is_discard
                yield from self._decode(packet)
        except av.error.FFmpegError as error:
            self._stopped_early = True
            self._warnings.append(f"reading stopped early ({reason_of(error)}): what came before it is kept")
            yield from self._decode(None)  # frames still inside the decoder

    def _decode(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        try:
            return self._stream.decode(packet)
        except av.error.EOFError:  # flushed twice
            return []
        except av.error.FFmpegError as error:
            if self._hwaccel:
                raise NvdecFailed.because(self.path, f"a packet is refused: {reason_of(error)}") from error
            self._corrupt_packets += 1
            return []

    def _note_first(self, frame: av.VideoFrame) -> None:
        if self._hwaccel and (frame.width, frame.height) != self._header_px:  # FFmpeg crops right and bottom only there
            wanted, got = ("{}x{} px".format(*size) for size in (self._header_px, (frame.width, frame.height)))
            raise NvdecFailed.because(self.path, f"frames of {got} where the file says {wanted}")
        self._size_px = PyavFrame(frame, self.path).size_px
        if frame.rotation and not quarter_turns(frame.rotation):
            self._warnings.append(f"rotation of {frame.rotation} degrees ignored: only quarter turns are applied")
        if untagged_hd(frame):
            self._warnings.append("colour matrix not stated: BT.709 assumed")
