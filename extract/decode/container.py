"""A video file as FFmpeg opens it: which stream, how many threads, and never more memory than a frame may need."""

from __future__ import annotations

import os
from pathlib import Path

import av

from ..errors import VideoOpenError
from ..files import SourceFile

MAX_FRAME_PX = 8192 * 4320  # a snippet's frames are held undecided: 16 of these are 850 MB in YUV 4:2:0
MAX_DECODED_PX = 4 * MAX_FRAME_PX  # a decoder asks for no more memory than this needs, whatever a stream says
DECODER_LIMITS = {"max_pixels": str(MAX_DECODED_PX)}
THREADS_VARIABLE = "OMP_NUM_THREADS"  # this process's share of the cores, as torch reads it too


def video_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """The first real video stream: never an attached picture (cover art, thumbnail)."""
    attached = av.stream.Disposition.attached_pic
    return next((s for s in container.streams.video if not s.disposition & attached), None)


def open_container(
    path: str | os.PathLike, *, hwaccel: av.codec.hwaccel.HWAccel | None = None
) -> av.container.InputContainer:
    """A video file opened by FFmpeg, which decodes some frames to learn what is in it: none over MAX_DECODED_PX.

    Raises:
        av.error.FFmpegError, ValueError: nothing it can open.
    """
    # absolute: FFmpeg takes `pipe:0.mp4` for a protocol
    return av.open(os.path.abspath(path), metadata_errors="ignore", hwaccel=hwaccel, options=DECODER_LIMITS)


def decoding_threads() -> int:
    """This process's share of the cores; 0: one a core."""
    share = os.environ.get(THREADS_VARIABLE, "").partition(",")[0].strip()  # OpenMP takes a list, one a nesting level
    return int(share) if share.isdecimal() else 0


def prepare_decoder(stream: av.VideoStream, threads: int | None = None) -> None:
    """Before the first frame: decode on this process's share of the cores, and within MAX_DECODED_PX."""
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = decoding_threads() if threads is None else threads
    stream.codec_context.options = DECODER_LIMITS


def counted_by_header(container: av.container.InputContainer, stream: av.VideoStream) -> int:
    """How many frames a header promises, 0 where it does not say.

    An edit list hides frames that stay in the file, as after a trim that copies: those behind its end FFmpeg takes out
    of the index of an mp4 file, those before its start come as packets to be discarded, and are not known yet.
    """
    in_index = len(stream.index_entries) if "mp4" in container.format.name else 0
    return min(stream.frames, in_index or stream.frames)


def check_file(path: str | os.PathLike) -> None:
    """Refuse what no decoder needs to see.

    Raises:
        VideoOpenError: `unreadable` or `zero_bytes`.
    """
    try:
        SourceFile.of(path)
        with Path(path).open("rb") as file:
            if not file.read(1):
                raise VideoOpenError(path, "zero_bytes", "the file is empty (0 bytes); copy it again")
    except OSError as error:
        raise VideoOpenError(path, "unreadable", f"cannot be read ({error.strerror}); check path and rights") from error


def reason_of(error: Exception) -> str:
    """FFmpeg's own words, without the error number and the path that the message gives anyway."""
    return getattr(error, "strerror", None) or str(error).split(":")[0]
