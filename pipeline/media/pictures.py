"""Small JPEG pictures of chosen frames, for pages. Frames are sought where possible, so long videos are no slower."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

import av
import numpy as np
from PIL import Image

from vad_pipeline.extract.decode.container import check_file, open_container, video_stream
from vad_pipeline.extract.decode.reader import PyavFrame
from vad_pipeline.extract.errors import VideoDecodeError, VideoOpenError
from vad_pipeline.extract.names import plural

from .failures import as_its_failure
from .seeking import Walk, counted

HEIGHT_PX = 180
JPEG_QUALITY = 72


def pictures(
    path: str, frames: Sequence[int], frame_seconds: np.ndarray, *, stream: int = 1, height_px: int = HEIGHT_PX
) -> dict[int, str]:
    """Make JPEG pictures of frames, as `data:` addresses; a frame that cannot be reached is left out.

    Frames are sought by their times. Where a file states wrong times, as AVI with B-frames does, the picture may show
    a neighbouring frame. Once seeking fails for a frame, it and all later ones are found by decoding from the start.

    Args:
        path: the video.
        frames: the numbers of the frames.
        frame_seconds: (F,) when each frame of the video is shown, in seconds.
        stream: which of the file's video streams, from 1.
        height_px: the height of the pictures; footage that is smaller stays as it is.

    Returns:
        Frame number -> picture.

    Raises:
        VideoError: the file is missing or no video, or none of the frames can be decoded.
    """
    with as_its_failure(path):
        return _pictures(path, sorted(set(frames)), frame_seconds, stream, height_px)


def told_missing(wanted: Iterable[int], found: Mapping[int, str]) -> str:
    """A sentence on frames of which `pictures` found none; empty where it found all."""
    n_wanted = len(set(wanted))
    n_missing = n_wanted - len(found)
    if not n_missing:
        return ""
    return f"{n_missing} of {plural(n_wanted, 'picture')} missing: the file gives no such frames now; is it whole?"


def _pictures(path: str, wanted: list[int], frame_seconds: np.ndarray, stream: int, height_px: int) -> dict[int, str]:
    check_file(path)
    found = dict(_pictured(_sought(path, wanted, frame_seconds, stream), height_px))
    left = [number for number in wanted if number > max(found, default=-1)]
    if left:
        try:
            found |= _pictured(_counted(path, left, stream), height_px)
        except VideoDecodeError:
            if not found:  # what was reached is shown
                raise
    return found


def _sought(
    path: str, wanted: Sequence[int], frame_seconds: np.ndarray, number: int
) -> Iterator[tuple[int, PyavFrame]]:
    """Yield wanted frames with their numbers, found by seeking, until a seek fails."""
    try:
        container = open_container(path)
    except (av.error.FFmpegError, ValueError) as error:
        raise VideoOpenError(path, "not_a_video", "not a video FFmpeg can open") from error
    with container:
        stream = video_stream(container, number)
        if stream is None or stream.codec_context is None:
            raise VideoOpenError(path, "no_video_stream", "holds no video stream")
        walk = Walk(container, stream)
        for frame in wanted:
            shown = walk.at(float(frame_seconds[frame]))
            if shown is None:
                return
            yield frame, PyavFrame(shown, path)


def _counted(path: str, wanted: Sequence[int], stream: int) -> Iterator[tuple[int, PyavFrame]]:
    """Yield wanted frames with their numbers, found by decoding the file from its start."""
    chosen = set(wanted)
    for number, frame in enumerate(counted(path, 0, wanted[-1] + 1, stream=stream)):
        if number in chosen:
            yield number, frame


def _pictured(frames: Iterable[tuple[int, PyavFrame]], height_px: int) -> Iterator[tuple[int, str]]:
    for number, frame in frames:
        try:
            pixels = frame.rgb()
        except VideoDecodeError:  # this frame has no picture; the others may
            continue
        yield number, _jpeg(pixels, height_px)


def _jpeg(pixels: np.ndarray, height_px: int) -> str:
    """Turn pixels, (H, W, 3) uint8, into a `data:` address of a JPEG picture."""
    image = Image.fromarray(pixels)
    if image.height > height_px:
        image = image.resize((max(1, round(image.width * height_px / image.height)), height_px), Image.Resampling.BOX)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
