"""Opens a video file with FFmpeg: picks the stream and the number of threads, and limits the memory of a frame."""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path

import av

from ..errors import VideoOpenError
from ..files import SourceFile
from ..stand_ins import HEAD_BYTES, stand_in

MAX_FRAME_PX = 8192 * 4320  # all frames of a snippet are in memory at once: 16 of these are 850 MB in YUV 4:2:0
MAX_DECODED_PX = 4 * MAX_FRAME_PX  # FFmpeg refuses larger frames, so that a false header cannot take all memory
DECODER_LIMITS = {"max_pixels": str(MAX_DECODED_PX)}
WEBP_ANIMATED = 2  # flag in the header of an extended WebP file
ENDS_BYTES = 2**20  # of a file's beginning and end, where what a container says of itself stands
THREADS_VARIABLE = "OMP_NUM_THREADS"  # this process's share of the cores, as torch reads it too


def video_streams(container: av.container.InputContainer) -> list[av.VideoStream]:
    """The video streams that are no attached pictures (cover art, thumbnails)."""
    attached = av.stream.Disposition.attached_pic
    return [stream for stream in container.streams.video if not stream.disposition & attached]


def video_stream(container: av.container.InputContainer, number: int = 1) -> av.VideoStream | None:
    """The `number`-th of `video_streams`, from 1; None where there are fewer."""
    return next(itertools.islice(video_streams(container), number - 1, None), None)


def count_streams(path: str | os.PathLike) -> int:
    """How many video streams a file holds; 1 where FFmpeg cannot open it, as whoever reads it then says why."""
    try:
        check_file(path)
        with open_container(path) as container:
            return max(1, len(video_streams(container)))
    except (av.error.FFmpegError, ValueError, VideoOpenError):
        return 1


def stream_warnings(container: av.container.InputContainer) -> list[str]:
    """A sentence where a file holds more than one video, as front and rear cameras or several programs do."""
    streams = video_streams(container)
    if len(streams) < 2:
        return []
    sizes = ", ".join(f"{stream.width}x{stream.height}" for stream in streams)
    return [f"holds {len(streams)} video streams ({sizes} px): only the first is read; --streams all reads each"]


def open_container(
    path: str | os.PathLike, *, hwaccel: av.codec.hwaccel.HWAccel | None = None
) -> av.container.InputContainer:
    """Open a video file. FFmpeg decodes some frames to learn what is in it, but none over MAX_DECODED_PX.

    Raises:
        av.error.FFmpegError, ValueError: FFmpeg cannot open the file.
    """
    # absolute: FFmpeg takes `pipe:0.mp4` for a protocol
    return av.open(os.path.abspath(path), metadata_errors="ignore", hwaccel=hwaccel, options=DECODER_LIMITS)


def open_again(
    path: str | os.PathLike, *, hwaccel: av.codec.hwaccel.HWAccel | None = None
) -> av.container.InputContainer:
    """Open a file that FFmpeg could not open a moment ago: one read may have failed, and damage fails twice.

    Raises:
        VideoOpenError: `unreadable`: it is the disk that fails.
        av.error.FFmpegError, ValueError: FFmpeg cannot open the file.
    """
    try:
        return open_container(path, hwaccel=hwaccel)
    except (av.error.FFmpegError, ValueError):
        check_file(path, n_bytes=ENDS_BYTES)
        raise


def count_packets(path: str | os.PathLike, number: int) -> int:
    """How many packets the `number`-th video stream has, from 1, as far as the file can be read; nothing is decoded."""
    n_packets = 0
    with contextlib.suppress(av.error.FFmpegError, ValueError), open_container(path) as container:
        for packet in container.demux(video_stream(container, number)):
            n_packets += bool(packet.size)
    return n_packets


def decoding_threads() -> int:
    """How many threads a decoder gets: this process's share of the cores; 0 stands for one thread a core."""
    share = os.environ.get(THREADS_VARIABLE, "").partition(",")[0].strip()  # OpenMP takes a list, one a nesting level
    return int(share) if share.isdecimal() else 0


def prepare_decoder(stream: av.VideoStream, threads: int | None = None) -> None:
    """Set a stream's decoder up before its first frame: number of threads, and no frame over MAX_DECODED_PX."""
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = decoding_threads() if threads is None else threads
    stream.codec_context.options = DECODER_LIMITS


def counted_by_header(container: av.container.InputContainer, stream: av.VideoStream) -> int:
    """How many frames a header promises; 0 where it does not say.

    An edit list hides frames that stay in the file, as after a trim without encoding. FFmpeg leaves those after the
    list's end out of an mp4 file's index. Those before its start are still counted here: they come as packets to be
    discarded, so the reader subtracts them once it has read all packets.
    """
    in_index = len(stream.index_entries) if "mp4" in container.format.name else 0
    return min(stream.frames, in_index or stream.frames)


def check_file(path: str | os.PathLike, n_bytes: int = 1) -> None:
    """Refuse a file that cannot be read or is empty, before any decoder opens it.

    Args:
        path: the file.
        n_bytes: how many bytes of its beginning and of its end are read.

    Raises:
        VideoOpenError: `unreadable` or `zero_bytes`.
    """
    try:
        size = SourceFile.of(path).size
        with Path(path).open("rb") as file:
            if not file.read(n_bytes):
                raise VideoOpenError(path, "zero_bytes", "the file is empty (0 bytes); copy it again")
            file.seek(max(0, size - n_bytes))
            file.read(n_bytes)
    except OSError as error:
        raise VideoOpenError(path, "unreadable", f"cannot be read ({error.strerror}); check path and rights") from error


def what_else(path: str | os.PathLike) -> str:
    """What a file is that is called a video and is none, in a sentence with what to do; empty where nobody knows."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return ""
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        kind = "an animated WebP picture" if head[12:16] == b"VP8X" and head[20] & WEBP_ANIMATED else "a WebP picture"
        return f"{kind}, which FFmpeg does not decode; convert it to mp4 or leave it out"
    return stand_in(head)


def reason_of(error: Exception) -> str:
    """What FFmpeg says of an error, without the error number and the path, which our message has anyway."""
    return getattr(error, "strerror", None) or str(error).split(":")[0]
