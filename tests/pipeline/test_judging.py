"""Judging one model against another on what was reviewed, and laying marks over snippets."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vad_pipeline.model.learning.marked import Marked, marked_loss
from vad_pipeline.pipeline.adapt.folds import folds_of
from vad_pipeline.pipeline.adapt.given import VideoMarks
from vad_pipeline.pipeline.adapt.judging import Reviewed, judge
from vad_pipeline.pipeline.adapt.windows_of import judged_frames, snippets_in


def reviewed(curve, real=()):
    truth = np.zeros(curve.n_frames, np.int8)
    for start, end in real:
        truth[start:end] = 1
    return Reviewed(curve, truth, tuple(real))


def test_fewer_false_alarms_at_the_same_recall_are_better_and_the_threshold_lies_between(draw_curve):
    real = [(16, 32)]
    before = [reviewed(draw_curve(f"r{i}", [(16, 32)]), real) for i in range(6)]
    before += [reviewed(draw_curve(f"f{i}", [(16, 32)])) for i in range(6)]
    after = before[:6] + [replace(each, curve=draw_curve(each.curve.video_id, [(16, 32, 0.3)])) for each in before[6:]]
    found = judge(before, after, threshold=0.5, merge_gap_seconds=1.0)
    hours = sum((each.truth == 0).sum() for each in before) / 10 / 3600
    assert found.recall_before == 1 and found.alarms.before == pytest.approx(6 / hours) and found.alarms.after == 0
    assert found.is_better and 0.3 < found.threshold < 0.9
    assert not judge(before, before, threshold=0.5, merge_gap_seconds=1.0).is_better
    worse = judge(after, before, threshold=0.5, merge_gap_seconds=1.0)
    assert not worse.is_better and not worse.may_be_better


def test_what_nobody_marked_is_no_false_alarm(draw_curve):
    marks = VideoMarks("a", real=((0, 16, "Arson"),), false_alarms=((20, 24),), unsure=((24, 28),))
    truth = judged_frames(marks, draw_curve("a"), [(32, 40)])
    assert [int(truth[frame]) for frame in (0, 20, 25, 30, 33, 45)] == [1, 0, -1, 0, -1, 0]
    calm = judged_frames(replace(marks, rest_normal=True), draw_curve("a"), [(32, 40)])
    assert calm[33] == 0 and calm[25] == -1


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 16, (0, 1)), (8, 40, (0, 3)), (9, 39, (1, 2)), (20, 22, (1, 2)), (60, 64, (3, 4)), (0, 64, (0, 4))],
)
def test_a_range_holds_the_snippets_that_are_mostly_in_it(start, end, expected):
    found = snippets_in(start, end, n_snippets=4, snippet_len=16)
    assert (found.start, found.stop) == expected


def test_each_fold_has_both_kinds():
    kinds = [True] * 7 + [False] * 9
    folds = folds_of(kinds, seed=1)
    assert sorted(sum(folds, [])) == list(range(16)) and len(folds) == 5
    assert all({kinds[i] for i in fold} == {True, False} for fold in folds)
    assert len(folds_of([True, True, False, False, False], seed=0)) == 2


def test_real_ranges_want_their_top_snippets_high_and_false_alarms_all_low():
    logits = torch.zeros(1, 8, 1, requires_grad=True)
    number = torch.tensor([[1, 1, 1, 1, 0, 0, 2, 2]])
    columns = torch.tensor([[0.0, 1, 0], [1, 0, 0]])
    marked_loss(
        logits + torch.tensor([3.0, 2, 0, 0, 0, 0, 0, 1])[None, :, None], None, Marked(number, columns)
    ).backward()
    slope = logits.grad[0, :, 0]
    assert (slope[:2] < 0).all() and (slope[2:6] == 0).all() and (slope[6:] > 0).all() and slope[7] > slope[6]
    category = torch.zeros(1, 8, 3, requires_grad=True)
    marked_loss(logits.detach(), category, Marked(number, columns)).backward()
    assert (
        category.grad[0, :4].sum(dim=0).argmin() == 1
        and category.grad[0, 6].argmin() == 0
        and not category.grad[0, 4].any()
    )
    assert marked_loss(logits, None, Marked(torch.zeros_like(number), columns)) == 0
    with pytest.raises(ValueError, match="up to R"):
        Marked(number, columns[:1])
