"""What FFmpeg refuses is the failure of the video that it was about, never of the run."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

import av

from vad_pipeline.extract.decode.container import reason_of
from vad_pipeline.extract.errors import VideoDecodeError

DISK_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM, errno.EFBIG, errno.ENOENT}
)


@contextlib.contextmanager
def as_its_failure(path: str | os.PathLike) -> Iterator[None]:
    """Around what FFmpeg does with a video. What the disk refuses stays an OSError: that concerns every video.

    Raises:
        VideoDecodeError: FFmpeg refuses it.
    """
    try:
        yield
    except av.error.FFmpegError as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        reason = f"FFmpeg cannot work with it ({reason_of(error)}); export it again, or leave it out"
        raise VideoDecodeError(path, "unexpected", reason) from error
