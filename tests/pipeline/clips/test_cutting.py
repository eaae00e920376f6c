"""Cut points by arithmetic alone."""

import numpy as np
import pytest

from vad_pipeline.model.curve import Event
from vad_pipeline.pipeline.clips.cutting import PacketCut, Roll, copy_cut, decoding_stamps, evenly, wanted_frames

# two groups of pictures with B-frames, the second an open one: frames 4 and 5 come behind key frame 6, and need frame 3
OPEN = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 11, 10]
KEYS = [True, False, False, False, True, False, False, False, False, False, False, False]


def event(start, end, seconds, fps=10):
    return Event(
        f"v@{start}-{end}", start, end, seconds[start], seconds[start] + (end - start) / fps, "F", 0.5, 0.9, start
    )


@pytest.mark.parametrize(
    ("start", "end", "pre", "post", "expected"),
    [(20, 30, 0, 0, (20, 30)), (20, 30, 1, 0.5, (10, 35)), (5, 98, 2, 2, (0, 100)), (20, 30, 0.05, 0.05, (20, 31)),
     (0, 1, 0, 0, (0, 1))],
)  # fmt: skip
def test_the_frames_of_an_event_and_its_rolls(start, end, pre, post, expected):
    seconds = np.arange(100) / 10
    assert wanted_frames(seconds, event(start, end, seconds), Roll(pre, post)) == expected


def test_rolls_go_by_time_where_the_rate_varies():
    seconds = np.r_[np.arange(50) * 1.0, 49 + np.arange(1, 51) / 50]
    assert wanted_frames(seconds, event(52, 60, seconds, fps=50), Roll(3, 0.1)) == (47, 65)


def cut(earliest, first, event_start, end):
    return copy_cut(np.array(OPEN), np.array(KEYS), earliest=earliest, first=first, event_start=event_start, end=end)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (dict(earliest=0, first=2, event_start=4, end=5), PacketCut(0, 7, 0, 7)),  # frame 4 comes behind frame 6
        (dict(earliest=0, first=2, event_start=3, end=4), PacketCut(0, 4, 0, 4)),
        (dict(earliest=1, first=2, event_start=7, end=9), PacketCut(4, 10, 6, 10)),  # leading frames 4 and 5 left out
        (dict(earliest=6, first=6, event_start=6, end=7), PacketCut(4, 5, 6, 7)),
        (dict(earliest=0, first=7, event_start=8, end=12), PacketCut(4, 12, 6, 12)),
        (dict(earliest=1, first=2, event_start=5, end=6), None),  # the only key frame before it is too early
        (dict(earliest=7, first=7, event_start=8, end=9), None),
    ],
)
def test_where_packets_can_be_copied(asked, expected):
    assert cut(**asked) == expected


def test_a_cut_never_has_gaps_and_always_the_event():
    rng = np.random.default_rng(0)
    for _ in range(200):
        n, gop = int(rng.integers(1, 60)), int(rng.integers(1, 20))
        shown = np.arange(n)
        for at in range(1, n - 2):
            if rng.random() < 0.4 and at % gop:
                shown[[at, at + 1]] = shown[[at + 1, at]]
        start = int(rng.integers(0, n))
        end = int(rng.integers(start, n)) + 1
        first = int(rng.integers(0, start + 1))
        earliest = int(rng.integers(0, first + 1))
        found = copy_cut(shown, shown % gop == 0, earliest=earliest, first=first, event_start=start, end=end)
        if found:
            packets = shown[found.first_packet : found.end_packet]
            kept = packets[packets >= found.first]
            assert sorted(kept) == list(range(found.first, found.end)) and kept[0] == found.first
            assert earliest <= found.first <= start and found.end >= end
        else:
            assert not any(frame % gop == 0 for frame in range(earliest, start + 1)) or (np.diff(shown) < 0).any()


def test_decoding_times_rise_and_none_is_late():
    stamps = np.array([0, 120, 40, 80, 240, 160, 200])
    times = decoding_stamps(stamps)
    assert times.tolist() == [-40, 0, 40, 80, 120, 160, 200] and (times <= stamps).all()
    assert decoding_stamps(np.array([0, 40, 80])).tolist() == [0, 40, 80]


@pytest.mark.parametrize(
    ("first", "end", "peak", "expected"),
    [(0, 100, 52, [0, 33, 52, 99]), (0, 100, 1, [0, 1, 66, 99]), (0, 100, 98, [0, 33, 98, 99]), (5, 8, 6, [5, 6, 7]),
     (5, 6, 5, [5]), (0, 100, 99, [0, 33, 66, 99])],
)  # fmt: skip
def test_frames_evenly_with_the_peak_among_them(first, end, peak, expected):
    assert evenly(first, end, 4, peak=peak) == expected
