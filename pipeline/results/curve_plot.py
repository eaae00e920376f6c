"""Draws curves of some videos as a figure for print: score, threshold, events, and the truth where it is given."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vad_pipeline.extract.errors import readable
from vad_pipeline.extract.files import write_bytes
from vad_pipeline.model.curve import AnomalyCurve, Event

from .run_settings import RunSettings

COLUMN_INCHES = 3.4  # width of a column in a paper set in two columns
ROW_INCHES, EDGES_INCHES = 1.15, 0.55
DOTS_PER_INCH = 300
LETTERS_POINTS, LETTERS_AN_INCH = 7, 17
SUFFIXES = (".png", ".svg", ".pdf")
AXES = ("seconds", "frames")
SCORE, EVENT, TRUTH, THRESHOLD = "#1f4e79", "#c0392b", "#f2b134", "#555555"  # apart in grey too, with the marks below
EVENT_HEIGHT = 0.05  # share of the axis: events are a bar at its foot, the truth is shaded over its whole height
STYLE = {
    "font.size": LETTERS_POINTS,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "vad-pipeline",  # else element names, and with them the bytes, differ every time
    "pdf.fonttype": 42,  # TrueType: publishers refuse type 3
}
NO_DATE = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}


@dataclass(frozen=True, slots=True, eq=False)
class PlotRow:
    """One video of a figure: it becomes a row of its own."""

    curve: AnomalyCurve
    events: tuple[Event, ...]
    truth: tuple[tuple[int, int], ...] | None
    """Ranges in frames, half-open; None where no truth is known."""


def write_plot(path: Path, rows: Sequence[PlotRow], *, settings: RunSettings, axis: str, width_inches: float) -> None:
    """Draw a figure with one row for each video and write it; the same rows give the same bytes.

    Args:
        path: the file; its suffix, one of SUFFIXES, decides the format.
        rows: the videos, one or more.
        settings: those of the results folder that the curves are from.
        axis: unit of the horizontal axis, `seconds` or `frames`.
        width_inches: width of the figure.

    Raises:
        StoreError: the file cannot be written.
    """
    import matplotlib.style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.style.context(["default", STYLE]):  # whatever the user's own matplotlibrc says
        height = ROW_INCHES * len(rows) + EDGES_INCHES
        figure = Figure(figsize=(width_inches, height), dpi=DOTS_PER_INCH, layout="constrained")
        FigureCanvasAgg(figure)
        handles = {}
        for row, axes in zip(rows, figure.subplots(len(rows), 1, squeeze=False)[:, 0], strict=True):
            _draw(axes, row, settings.rule.threshold_of(row.curve.video_id), axis)
            title = _ending(readable(row.curve.video_id), round(width_inches * LETTERS_AN_INCH))
            axes.set_title(title.replace("$", r"\$"), fontsize=LETTERS_POINTS, loc="left", pad=3)
            axes.set_ylabel(settings.score_name)
            handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        axes.set_xlabel("frame" if axis == "frames" else "seconds")
        legend = {"loc": "outside upper center", "ncols": len(handles), "frameon": False, "handlelength": 1.4}
        figure.legend(handles.values(), handles.keys(), columnspacing=1.0, **legend)
        suffix = path.suffix.lower()
        data = io.BytesIO()
        figure.savefig(data, format=suffix[1:], metadata=NO_DATE[suffix])
    write_bytes(path, data.getvalue())


def _draw(axes, row: PlotRow, threshold: float, axis: str) -> None:
    curve = row.curve
    edges = over = np.arange(curve.n_frames + 1)
    pieces = [0, curve.n_frames]
    if axis != "frames":
        edges = np.append(curve.frame_seconds, curve.end_of(curve.n_frames - 1))
        over = np.append(edges[0], curve.frame_ends())  # of the frame before each edge: a gap may follow it
        pieces[1:1] = [gap.frame for gap in curve.gaps]
    for start, end in row.truth or ():
        start, end = min(start, curve.n_frames), min(end, curve.n_frames)
        axes.axvspan(edges[start], over[end], color=TRUTH, alpha=0.4, lw=0, label="truth")
    for event in row.events:
        span = (edges[event.start_frame], over[event.end_frame])
        axes.axvspan(*span, ymax=EVENT_HEIGHT, color=EVENT, lw=0, label="event")
    axes.axhline(threshold, color=THRESHOLD, lw=0.6, ls="--", label="threshold")
    for start, end in itertools.pairwise(pieces):
        at, scores = steps(np.append(edges[start:end], over[end]), curve.scores[start:end])
        axes.plot(at, scores, color=SCORE, lw=0.8, label="score")
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.02))


def _ending(text: str, n: int) -> str:
    """The last `n` characters of a text, the first of them an ellipsis where something was cut off."""
    return text if len(text) <= n else "\N{HORIZONTAL ELLIPSIS}" + text[1 - n :]


def steps(edges: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners of a curve that stands still within each frame.

    Args:
        edges: (F + 1,) where frames begin, and the last one ends.
        scores: (F,).

    Returns:
        Positions and scores, two of each for every stretch of one score.
    """
    starts = np.r_[0, 1 + np.flatnonzero(np.diff(scores))]
    ends = np.r_[starts[1:], len(scores)]
    return np.stack([edges[starts], edges[ends]], axis=1).ravel(), np.repeat(scores[starts], 2)
