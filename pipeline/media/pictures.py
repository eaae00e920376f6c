"""Small pictures of chosen frames, for the page: by seeking, so that a long video costs no more than a short one."""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Iterator, Sequence

import av
import numpy as np
from PIL import Image

from vad_pipeline.extract.decode.container import check_file, open_container, video_stream
from vad_pipeline.extract.decode.reader import PyavFrame
from vad_pipeline.extract.errors import VideoDecodeError, VideoOpenError

HEIGHT_PX = 180
JPEG_QUALITY = 72
MOST_FRAMES = 3000  # decoded for one picture: more lie between two key frames of no real footage
MOST_MISSES = 3  # pictures that cannot be reached, then the others are not tried
NEAR_SECONDS = 4.0  # reading on to a frame this near costs less than seeking
TOLERANCE_SECONDS = 1e-3  # of timestamps, between containers and floats


def pictures(path: str, frames: Sequence[int], frame_seconds: np.ndarray) -> dict[int, str]:
    """JPEG pictures of frames as data: addresses; a frame that cannot be reached is left out.

    Args:
        path: the video.
        frames: their numbers.
        frame_seconds: (F,) when each frame is shown.

    Raises:
        VideoOpenError: it is not there, or no video.
    """
    check_file(path)
    try:
        container = open_container(path)
    except (av.error.FFmpegError, ValueError) as error:
        raise VideoOpenError(path, "not_a_video", "not a video FFmpeg can open") from error
    found: dict[int, str] = {}
    with container:
        stream = video_stream(container)
        if stream is None or stream.codec_context is None:
            raise VideoOpenError(path, "no_video_stream", "holds no video stream")
        stream.thread_type = "AUTO"
        walk = _Walk(container, stream)
        n_missed = 0
        for frame in sorted(set(frames)):
            shown = walk.at(float(frame_seconds[frame]))
            if shown is None:
                n_missed += 1
                if n_missed == MOST_MISSES:
                    break
                continue
            try:
                found[frame] = _jpeg(PyavFrame(shown, path).rgb())
            except VideoDecodeError:  # this frame has no picture; the others may
                continue
    return found


class _Walk:
    """Goes forward through a video, by reading on or by seeking."""

    def __init__(self, container: av.container.InputContainer, stream: av.VideoStream):
        self._container, self._stream = container, stream
        self._start = (container.start_time or 0) / av.time_base
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._last: av.VideoFrame | None = None

    def at(self, seconds: float) -> av.VideoFrame | None:
        """The last frame shown no later than `seconds`; None where nothing decodes there."""
        behind = self._last is None or not 0 <= seconds - self._seconds(self._last) <= NEAR_SECONDS
        if behind and not self._seek(seconds):
            return None
        best = self._last
        try:
            for frame in itertools.islice(self._frames, MOST_FRAMES):
                self._last = frame
                if frame.pts is None:
                    continue
                if self._seconds(frame) > seconds + TOLERANCE_SECONDS:
                    self._frames = _first(frame, self._frames)
                    self._last = best
                    break
                best = frame
                if self._seconds(frame) >= seconds - TOLERANCE_SECONDS:
                    break
        except av.error.FFmpegError:
            return best
        return best

    def _seek(self, seconds: float) -> bool:
        target = round((seconds + self._start) / self._stream.time_base) if self._stream.time_base else 0
        self._last = None
        try:
            self._container.seek(max(target, 0), stream=self._stream, backward=True)
        except av.error.FFmpegError:
            return False
        self._frames = self._decoded()
        return True

    def _decoded(self) -> Iterator[av.VideoFrame]:
        for packet in self._container.demux(self._stream):
            try:
                yield from self._stream.decode(packet)
            except av.error.EOFError:
                return
            except av.error.FFmpegError:  # a corrupt packet, passed over as everywhere
                continue

    def _seconds(self, frame: av.VideoFrame) -> float:
        return float((frame.pts or 0) * frame.time_base) - self._start


def _first(frame: av.VideoFrame, rest: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    yield frame
    yield from rest


def _jpeg(pixels: np.ndarray) -> str:
    """(H, W, 3) -> a data: address."""
    image = Image.fromarray(pixels)
    if image.height > HEIGHT_PX:
        image = image.resize((max(1, round(image.width * HEIGHT_PX / image.height)), HEIGHT_PX), Image.Resampling.BOX)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
