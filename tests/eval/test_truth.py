"""Annotations laid over curves."""

import numpy as np
import pytest

from vad_pipeline.eval.annotation import TrueRange, VideoAnnotation
from vad_pipeline.eval.truth import known_truth, lay_over, match_annotations, names_without_folder
from vad_pipeline.extract.errors import ConfigError


def annotated(name, *ranges, **options):
    true = tuple(TrueRange(start, end, "Abuse") for start, end in ranges)
    return VideoAnnotation(name, ("Abuse",) if ranges else (), true, **options)


def test_names_match_by_the_one_rule():
    names = ["b.mp4", "x/c", "nowhere", "The.Fast.2001"]
    matched = match_annotations([annotated(name) for name in names], ["a/b", "y/x/c.v1", "x/c", "The.Fast.2001", "e"])
    assert [(annotation.name, video) for annotation, video in matched.pairs] == [
        ("b.mp4", "a/b"),
        ("x/c", "x/c"),
        ("The.Fast.2001", "The.Fast.2001"),
    ]
    assert matched.without_result == ("nowhere",)
    assert matched.without_annotation == ("y/x/c.v1", "e")


def test_matches_that_are_not_one_to_one_are_refused():
    with pytest.raises(ConfigError, match="'b' matches 2 videos: x/b, y/b"):
        match_annotations([annotated("b")], ["x/b", "y/b"])
    with pytest.raises(ConfigError, match="mean the video x/b: b and x/b.mp4"):
        match_annotations([annotated("b"), annotated("x/b.mp4")], ["x/b"])
    with pytest.raises(ConfigError, match="mean the video b: b and b"):
        match_annotations([annotated("b"), annotated("b")], ["b"])
    with pytest.raises(ConfigError, match="hold 1 video twice"):
        match_annotations([annotated("b")], ["b", "b", "c"])


def test_folders_that_the_results_lack_are_hinted_at():
    assert names_without_folder(["Abuse/a.mp4", "b", "Abuse/z"], ["a", "c"]) == 1


def test_frames_that_count(make_curve):
    curve = make_curve("a", [0.1, 0.2], n_frames=41)  # a dropped tail of 9
    kept = make_curve("a", [0.1, 0.2, 0.3], n_frames=41)  # a kept one
    short = make_curve("a", [0.1], n_frames=7)
    truth = annotated("a", (30, 36), (40, 45))
    for each, corrected, official in ((curve, (41, 2), (32, 2)), (kept, (41, 3), (32, 2)), (short, (7, 1), (7, 1))):
        for protocol, (n_frames, n_snippets) in (("corrected", corrected), ("official", official)):
            video = lay_over(truth, each, protocol)
            assert (video.n_frames, video.n_snippets) == (n_frames, n_snippets)
            assert len(video.frames()) == n_frames
    assert np.flatnonzero(lay_over(truth, curve, "corrected").frames()).tolist() == [30, 31, 32, 33, 34, 35, 40]
    assert np.flatnonzero(lay_over(truth, curve, "official").frames()).tolist() == [30, 31]
    assert lay_over(truth, curve, "corrected").n_past_end == 1
    assert lay_over(truth, curve, "official").n_past_end == 2
    assert lay_over(annotated("a", (0, 41)), curve, "corrected").n_past_end == 0


@pytest.mark.parametrize(
    ("seconds", "inclusive", "frames"),
    [
        ((0.4, 0.8), False, (10, 20)),  # 25 frames a second: frame 10 is shown at 0.4, frame 20 at 0.8
        ((0.4, 0.8), True, (10, 21)),
        ((0.41, 0.79), False, (11, 20)),
        ((0.41, 0.79), True, (11, 20)),
        ((0, 1.6), False, (0, 40)),  # the end of the last frame
        ((0, 1.7), False, (0, 41)),  # past it
        ((5, 6), False, (40, 41)),
        ((0.41, 0.42), False, (10, 11)),  # between two frames: the one shown meanwhile
        ((1.57, 1.58), False, (39, 40)),
        ((0.4, 0.4), True, (10, 11)),
    ],
)
def test_seconds_become_frames_by_the_curve(make_curve, seconds, inclusive, frames):
    curve = make_curve("a", [0.1, 0.2, 0.3], n_frames=40)
    truth = annotated("a", seconds, in_seconds=True, ends_inclusive=inclusive)
    video = lay_over(truth, curve, "corrected")
    assert video.ranges[0][:2] == frames
    assert video.n_past_end == (frames[1] > 40)


def test_known_lengths():
    assert "published truth" in known_truth(1_109_680, 84_128)
    assert known_truth(1_109_680, 84_127).endswith("but with 84,128 anomalous frames")
    assert "whole snippets" in known_truth(1_114_320, 1)
    assert known_truth(1_109_681, 84_128) is None
