"""Decides which frames a clip holds, and whether their packets can be copied; works on numbers only, not on video.

Frames count from 0, ranges are half-open. Shapes: F frames, and as many packets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vad_pipeline.model.curve import TIME_TOLERANCE_SECONDS, Event


@dataclass(frozen=True, slots=True)
class Roll:
    """How many seconds a clip shows before and after its event."""

    pre_seconds: float
    post_seconds: float


@dataclass(frozen=True, slots=True)
class PacketCut:
    """A range of packets that can be copied as they are, and the range of frames that they hold."""

    first_packet: int
    """Position of a key frame's packet; packets after it of frames shown before it are left out."""
    end_packet: int
    first: int
    """Number of the first frame, which is the key frame."""
    end: int


def wanted_frames(frame_seconds: np.ndarray, event: Event, roll: Roll) -> tuple[int, int]:
    """The frames of an event with its pre- and post-roll: those that begin inside that time.

    Args:
        frame_seconds: (F,) of the video.
        event: in it.
        roll: pre- and post-roll; the video's ends cut them short.

    Returns:
        The first frame, and the frame after the last; the event's own frames are always inside.
    """
    since = frame_seconds[event.start_frame] - roll.pre_seconds - TIME_TOLERANCE_SECONDS
    until = event.end_seconds + roll.post_seconds - TIME_TOLERANCE_SECONDS
    first, end = np.searchsorted(frame_seconds, (since, until))
    return min(int(first), event.start_frame), max(int(end), event.end_frame)


def copy_cut(
    shown: np.ndarray, is_key: np.ndarray, *, earliest: int, first: int, event_start: int, end: int
) -> PacketCut | None:
    """Where to cut so that nothing needs to be encoded.

    A copy has to begin with a key frame: with the last one not after `first`, so that the pre-roll is whole, unless it
    lies before `earliest`; then with the first one inside the pre-roll. It ends where the frames copied are without a
    gap: with B-frames, packets of later frames come before those of earlier ones.

    Args:
        shown: (F,) the frame that each packet holds, packets in the order of the file.
        is_key: (F,) whether decoding can begin there.
        earliest: the first frame that a clip may begin with.
        first: the first frame wanted.
        event_start: the first frame of the event, which the clip must hold.
        end: the frame after the last one wanted.

    Returns:
        None where no key frame lies right.
    """
    keys = np.flatnonzero(is_key & (shown >= earliest) & (shown <= event_start))
    if not len(keys):
        return None
    before = keys[shown[keys] <= first]
    at = int(before[shown[before].argmax()] if len(before) else keys[shown[keys].argmin()])
    start = int(shown[at])
    positions = at + np.flatnonzero(shown[at:] >= start)  # leading frames need what comes before the key frame
    last_shown = np.maximum.accumulate(shown[positions])
    whole = last_shown - start + 1 == np.arange(1, len(positions) + 1)
    enough = np.flatnonzero(whole & (last_shown >= end - 1))
    if not len(enough):
        return None
    return PacketCut(at, int(positions[enough[0]]) + 1, start, int(last_shown[enough[0]]) + 1)


def decoding_stamps(stamps: np.ndarray) -> np.ndarray:
    """Decoding times for packets in the order of the file, (P,) int64: increasing, none after its frame is shown.

    Containers differ in what they know of them (Matroska states none), presentation times are all that is needed.

    Args:
        stamps: (P,) int64, when each packet's frame is shown; none twice.
    """
    in_order = np.sort(stamps)
    return in_order - (in_order - stamps).max()


def evenly(first: int, end: int, n: int, *, peak: int) -> list[int]:
    """Choose at most `n` >= 3 frames evenly over a range, ascending.

    The range's first and last frames are among them; the peak replaces the chosen frame nearest to it.
    """
    chosen = np.unique(np.linspace(first, end - 1, min(n, end - first)).round().astype(int))
    if peak not in chosen:
        nearest = int(np.abs(chosen - peak).argmin())
        chosen[min(max(nearest, 1), len(chosen) - 2)] = peak
    return chosen.tolist()
