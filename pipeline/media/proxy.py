"""Previews: mp4 files that browsers play in place of footage that they cannot, with the same frames and times."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import av
import numpy as np

from vad_pipeline.extract.decode.container import check_file, open_container, video_stream
from vad_pipeline.extract.decode.reader import PyavReader
from vad_pipeline.extract.errors import VideoDecodeError, VideoOpenError
from vad_pipeline.extract.files import written_aside
from vad_pipeline.extract.names import plural
from vad_pipeline.extract.records import VideoInfo

from .failures import as_its_failure
from .h264 import FrameFile, frames_beside, retimed, scaled

PROXY_HEIGHT_PX = 360
START_TOLERANCE_SECONDS = 1e-3

PLAYED = {
    ".mp4": frozenset({"h264", "vp9", "av1"}),
    ".m4v": frozenset({"h264"}),
    ".mov": frozenset({"h264"}),
    ".webm": frozenset({"vp8", "vp9", "av1"}),
}
"""File suffix -> video codecs that Chromium and Firefox both play from disk, and seek in exactly to the frame.

.mkv is missing: Firefox shows other frames than were sought. HEVC plays in some builds only; MPEG-4 part 2, AVI and
MPEG-TS play in none. More than 8 bits, or other chroma, depend on the machine's decoder."""

PLAYED_SOUND = frozenset({"aac", "mp3", "opus", "vorbis", "flac"})  # other sound can keep a file from playing at all
PLAYED_PIXELS = frozenset({"yuv420p", "yuvj420p"})  # 8 bit, 4:2:0


def browser_plays(path: str | os.PathLike, *, stream: int = 1) -> bool:
    """Whether Chromium and Firefox both play a file's video from disk, at the times that we give its frames.

    Only the header is read. A file whose video does not begin at 0 s counts as not playable: players differ in what
    they show before its first frame. Of several video streams, browsers play the first.
    """
    codecs = PLAYED.get(Path(path).suffix.lower())
    if codecs is None or stream != 1:
        return False
    try:
        check_file(path)
        with open_container(path) as container:
            shown = video_stream(container)
            if shown is None or shown.codec_context is None:
                return False
            starts = [container.start_time / av.time_base] if container.start_time else []
            starts += [float(shown.start_time * shown.time_base)] if shown.start_time else []
            heard = {
                sound.codec_context.codec.canonical_name for sound in container.streams.audio if sound.codec_context
            }
            plays = shown.codec_context.codec.canonical_name in codecs and shown.pix_fmt in PLAYED_PIXELS
            return plays and heard <= PLAYED_SOUND and all(abs(start) < START_TOLERANCE_SECONDS for start in starts)
    except (av.error.FFmpegError, VideoOpenError, OSError, ValueError):
        return False


def write_proxy(
    source: str | os.PathLike,
    target: Path,
    *,
    height: int = PROXY_HEIGHT_PX,
    stream: int = 1,
    n_frames: int | None = None,
) -> VideoInfo:
    """Write a small H.264 mp4 whose frame i is frame i of `source` as the reader decodes it.

    Frames keep their times (`frame_seconds`) to a few microseconds, also with a variable frame rate; only the first
    frame always begins at 0. Every 16th frame is a key frame. The preview has no sound.

    Args:
        source: the footage.
        target: the mp4 file; it is complete as soon as it exists.
        height: height of the preview in px; smaller footage is not enlarged.
        stream: which of the footage's video streams, from 1.
        n_frames: how many frames it had when it was scored; None: nobody knows.

    Returns:
        Size, frame count, rate and frame times of the source.

    Raises:
        VideoError: the source cannot be read, or not as many frames as it had, or FFmpeg cannot make a preview of it.
        StoreError: the target cannot be written.
        ConfigError: this PyAV cannot write H.264.
    """
    opened = contextlib.closing(PyavReader(source, stream=stream))
    with opened as reader, written_aside(target) as aside, frames_beside(aside) as path, as_its_failure(source):
        with FrameFile(path) as file:
            for frame in reader:
                file.add(frame, scaled(frame.size_px, height))
        info = reader.info()
        if n_frames is not None and info.n_frames != n_frames:
            reason = f"{plural(info.n_frames, 'frame')} can be read where it had {n_frames} when it was scored"
            raise VideoDecodeError(source, "unreadable", f"{reason}; is it whole? extract and detect it again")
        seconds = np.maximum(info.frame_seconds, 0)
        seconds[0] = 0
        retimed(path, aside, seconds=seconds, last_seconds=float(1 / info.fps))
    return info
