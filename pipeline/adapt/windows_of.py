"""Marks laid over features: the windows that are fine-tuned on, and which frames may be judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vad_pipeline.model.categories import NORMAL, normal_form
from vad_pipeline.model.curve import AnomalyCurve

from .given import VideoMarks

if TYPE_CHECKING:
    from .finetune import MarkedWindow


def snippets_in(start: int, end: int, *, n_snippets: int, snippet_len: int) -> slice:
    """The snippets of which a range holds at least half of the frames; where there is none, that of its middle."""
    first = -(-(start - snippet_len // 2) // snippet_len)
    after = (end + snippet_len // 2) // snippet_len
    if after <= max(first, 0) or first >= n_snippets:
        middle = min((start + end) // 2 // snippet_len, n_snippets - 1)
        return slice(middle, middle + 1)
    return slice(max(first, 0), min(after, n_snippets))


def windows_of(
    marks: VideoMarks, features: np.ndarray, curve: AnomalyCurve, threshold: float, config: object
) -> list[MarkedWindow]:
    """The windows of a video in which something is marked, cut as for scoring.

    What nobody marked should keep the score that it has, where that is below the threshold; over it nobody knows yet.

    Args:
        marks: what was said of the video.
        features: (n, D) float.
        curve: what the video scored.
        threshold: that of the curve's events.
        config: of the network: `categories`, and T as `window_len`.
    """
    from vad_pipeline.model.windows import to_windows

    from .finetune import MarkedWindow

    number, columns = _numbered(marks, len(features), curve.snippet_len, config.categories)
    keep = curve.scores[:: curve.snippet_len][: len(features)].astype(np.float32)
    keep[(keep >= threshold) | (number > 0)] = np.nan
    for start, end in marks.unsure:
        keep[snippets_in(start, end, n_snippets=len(features), snippet_len=curve.snippet_len)] = np.nan
    length = config.window_len
    windows, lengths = to_windows(features.astype(np.float32), window_len=length)
    found = []
    for index, (window, n) in enumerate(zip(windows, lengths.tolist(), strict=True)):
        part = slice(index * length, index * length + n)
        padded = {"number": np.zeros(length, np.int64), "keep": np.full(length, np.nan, np.float32)}
        padded["number"][:n], padded["keep"][:n] = number[part], keep[part]
        if padded["number"].any():
            found.append(MarkedWindow(window, n, columns=columns, **padded))
    return found


def _numbered(
    marks: VideoMarks, n_snippets: int, snippet_len: int, categories: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """The number of the range that each snippet is in, (n,) from 1, and the ranges' columns, (R, C)."""
    number, rows = np.zeros(n_snippets, np.int64), []
    known = {normal_form(name): index for index, name in enumerate(categories)}

    def put(where: slice, column: int | None) -> None:
        row = np.zeros(len(categories), np.float32)
        if column is not None:
            row[column] = 1
        rows.append(row)
        number[where] = len(rows)

    def inside(start: int, end: int) -> slice:
        return snippets_in(start, end, n_snippets=n_snippets, snippet_len=snippet_len)

    if marks.rest_normal:
        put(slice(None), NORMAL)
        for start, end in marks.unsure:
            number[inside(start, end)] = 0
    for start, end in marks.false_alarms:
        put(inside(start, end), NORMAL)
    for start, end, category in marks.real:
        column = known.get(normal_form(category), NORMAL)
        put(inside(start, end), None if column == NORMAL else column)
    return number, np.array(rows, np.float32).reshape(len(rows), len(categories))


def judged_frames(marks: VideoMarks, curve: AnomalyCurve, open_events: Sequence[tuple[int, int]]) -> np.ndarray:
    """What a reviewed video's frames are taken for, (F,) int8: 1 real, 0 not, -1 nobody knows.

    Who marked something in a video has seen its events: what no event touched counts as normal, unless it was drawn.

    Args:
        marks: what was said of the video.
        curve: of the video.
        open_events: ranges of the events that nobody has marked.
    """
    truth = np.zeros(curve.n_frames, np.int8)
    for start, end in open_events:
        truth[start:end] = -1
    if marks.rest_normal:
        truth[:] = 0
    for start, end in marks.unsure:
        truth[start:end] = -1
    for start, end in marks.false_alarms:
        truth[start:end] = 0
    for start, end, _ in marks.real:
        truth[start:end] = 1
    return truth
