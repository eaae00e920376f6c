"""Features from before a change to the rules for frame times: they keep their rows and get times of today.

Which rules times follow stands beside the features as `timeline`, and is no part of their recipe: an embedding is the
same whenever its frames are shown. The file is read again only where the rules can differ, and decoded only where its
packets do not bear out the times that are held.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np

from .decode.container import open_container, video_stream
from .decode.reader import PyavReader, drained
from .decode.timeline import time_warnings, timeline
from .embed.sampling import snippet_seconds
from .errors import DamagedShard, GoneFromStore, VideoDecodeError
from .gaps import LEAP_STEPS, find_gaps, spans
from .recipe import Recipe
from .store.entry import Entry
from .store.stored import StoredVideo, read_entry, stored_video, write_times
from .task import ExtractTask

TIMES_ANEW = "its frame times were made anew, by rules that have changed; its features are kept"
SAME_SECONDS = 1e-6
DOUBT = 0.5  # of a leap: from here on a distance may have been one for the rules of today


@dataclass(frozen=True, slots=True)
class Retimed:
    """What was written."""

    entry: Entry
    warnings: tuple[str, ...]
    gaps: tuple[tuple[float, float], ...]
    """From and to, seconds."""


def timed_anew(own: Entry, task: ExtractTask, shards: Path) -> Retimed | None:
    """Write features held of the very file with times of today.

    Args:
        own: what is held.
        task: of the same file.
        shards: the folder.

    Returns:
        None where that cannot be done: they are damaged, or the file decodes to another number of frames by now.

    Raises:
        VideoError: the file cannot be decoded any more.
        StoreError: the store cannot be written.
    """
    try:
        video = read_entry(shards, own, partial(stored_video, own))
        seconds, fps = _times(task.source.path, video)
        if len(seconds) != own.n_frames:
            return None
        snippets = snippet_seconds(seconds, float(fps), Recipe.from_json(own.recipe))
        entry = write_times(shards, own, (seconds, snippets, fps), task.file, later_than=task.later_than)
    except (DamagedShard, GoneFromStore):
        return None
    changed = not np.array_equal(seconds, video.frame_seconds)
    told = [*([TIMES_ANEW] if changed else []), *time_warnings(seconds, 0)]
    return Retimed(entry, tuple(told), tuple(spans(find_gaps(seconds))))


def _times(path: str, video: StoredVideo) -> tuple[np.ndarray, Fraction]:
    held, stream = video.frame_seconds, video.entry.stream
    if not _in_doubt(held, float(1 / video.fps)) or _are_the_files_own(held, path, stream):
        seconds, fps, _ = timeline(held, video.fps)
        return seconds, fps
    info = drained(PyavReader(path, stream=stream))
    return info.frame_seconds, info.fps


def _in_doubt(held: np.ndarray, step: float) -> bool:
    """Whether a late timestamp can have been believed: it left a leap behind, or is the first one."""
    steps = np.diff(held)
    usual = min(step, float(np.median(steps))) if len(steps) else step
    return bool(held[0] > LEAP_STEPS * usual or (steps > DOUBT * LEAP_STEPS * usual).any())


def _are_the_files_own(held: np.ndarray, path: str, number: int) -> bool:
    """Whether all times are timestamps of packets: nothing was mended, and nothing has to be."""
    try:
        with open_container(path) as container:
            stream = video_stream(container, number)
            start = (container.start_time or 0) / av.time_base
            packets = [packet for packet in container.demux(stream) if packet.size and not packet.is_discard]
            stamps = sorted(float(p.pts * p.time_base) - start for p in packets if p.pts is not None)
    except av.error.FFmpegError as error:
        raise VideoDecodeError(path, "unreadable", f"cannot be read again ({error.strerror}); copy it again") from error
    return len(stamps) == len(held) and bool((np.abs(np.array(stamps) - held) < SAME_SECONDS).all())
