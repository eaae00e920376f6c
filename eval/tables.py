"""Figures of one or several results as a table: plain text, Markdown, LaTeX, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vad_pipeline.extract.lists import guarded

from .bootstrap import interval
from .comparison import mean_of, spread_of
from .detection import IOU_THRESHOLDS
from .evaluation import EvalResult

UNDEFINED, CATEGORY_ACCURACY = "undefined", "category accuracy"
DIFFERENCE, SPREAD = "difference", ("mean", "std")
PERCENT, PER_HOUR = "%", "/h"
FIGURES = {"AUC": "auc", "AP": "ap", "AUC, anomalous videos": "auc_anomalous", "mAP, average": "map"}
"""Row's name -> the field of `EvalResult`, for the figures that have resamples and so intervals."""
LATEX_SPECIAL = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: one figure, with a value for every result."""

    name: str
    unit: str
    """PERCENT: the values are fractions and are shown times 100; PER_HOUR: they are shown as they are."""
    values: tuple[float | None, ...]
    """One for each column; None where the figure is undefined."""
    intervals: tuple[tuple[float, float] | None, ...]
    """95% interval of each value; None where there is none."""


def rows_of(results: Sequence[EvalResult], *, with_difference: bool, with_spread: bool = False) -> list[Row]:
    """All rows of the table.

    Args:
        results: in column order.
        with_difference: add a last column, the second result less the first, with the interval of the paired
            differences over resamples; takes exactly two results of the same videos.
        with_spread: add two last columns, mean and standard deviation over all results, as of several seeds.
    """
    rows = [
        *(_row(results, name) for name in FIGURES),
        _plain("recall at 2% false positives", [each.recall_at_2_percent_fpr for each in results]),
        *(_plain(f"mAP@{iou:g}", [each.map and each.map[f"{iou:g}"] for each in results]) for iou in IOU_THRESHOLDS),
        _plain(CATEGORY_ACCURACY, [each.category_accuracy for each in results]),
        _plain("false alarms", [each.false_alarms_per_hour for each in results], PER_HOUR),
    ]
    for name in dict.fromkeys(name for each in results for name in each.per_category):
        rows.append(_plain(f"AUC, {name}", [each.per_category.get(name, {}).get("auc") for each in results]))
    if with_difference:
        rows = [_with_difference(row, results) for row in rows]
    return [_with_spread(row) for row in rows] if with_spread else rows


def as_text(rows: Sequence[Row], names: Sequence[str]) -> str:
    """Write the table as plain text with aligned columns."""
    cells = [["", *names], *([_titled(row), *_cells(row)] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def as_markdown(rows: Sequence[Row], names: Sequence[str]) -> str:
    """Write the table in Markdown."""
    lines = [["", *names], ["---"] + ["---:"] * len(names), *([_titled(row), *_cells(row)] for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def as_latex(rows: Sequence[Row], names: Sequence[str]) -> str:
    """Write the table as a LaTeX tabular with plain rules."""
    lines = [["", *names], *([_titled(row), *_cells(row)] for row in rows)]
    head, *body = (" & ".join(map(latex_text, line)) + r" \\" for line in lines)
    rule = r"\hline"
    columns = "l" + "r" * len(names)
    return "\n".join([rf"\begin{{tabular}}{{{columns}}}", rule, head, rule, *body, rule, r"\end{tabular}"])


def as_csv(rows: Sequence[Row], names: Sequence[str]) -> str:
    """Write CSV with one line for each figure of each result: figure,results,value,low,high.

    Fractions and rates are not rounded; an empty cell means undefined.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["figure", "results", "value", "low", "high"])
    for row in rows:
        for name, value, bounds in zip(names, row.values, row.intervals, strict=True):
            numbers = (value, *(bounds or (None, None)))
            writer.writerow(
                [guarded(row.name), guarded(name), *("" if number is None else repr(number) for number in numbers)]
            )
    return text.getvalue().rstrip("\n")


TABLES = {"text": as_text, "md": as_markdown, "latex": as_latex, "csv": as_csv}
"""Name of a table format -> the function that writes it."""


def in_short(rows: Sequence[Row]) -> list[Row]:
    """Rows for people to read: where nothing of the categories is defined, one row says so instead of seven."""
    of_categories = [row for row in rows if row.name.startswith("mAP") or row.name == CATEGORY_ACCURACY]
    if any(value is not None for row in of_categories for value in row.values):
        return list(rows)
    first = of_categories[0]
    together = replace(first, name=f"mAP, {CATEGORY_ACCURACY}")
    return [together if row is first else row for row in rows if row is first or row not in of_categories]


def _row(results: Sequence[EvalResult], name: str) -> Row:
    field = FIGURES[name]
    values = [getattr(each, field) for each in results]
    if field == "map":
        values = [value and value["average"] for value in values]
    return Row(name, PERCENT, tuple(values), tuple(each.ci.get(field) for each in results))


def _plain(name: str, values: Sequence[float | None], unit: str = PERCENT) -> Row:
    return Row(name, unit, tuple(values), (None,) * len(values))


def _with_difference(row: Row, results: Sequence[EvalResult]) -> Row:
    first, second = row.values
    value = None if first is None or second is None else second - first
    bounds = None
    if row.name in FIGURES and value is not None:
        figure = FIGURES[row.name]
        bounds = interval(np.subtract(results[1].resamples[figure], results[0].resamples[figure]))
    return Row(row.name, row.unit, (*row.values, value), (*row.intervals, bounds))


def _with_spread(row: Row) -> Row:
    return Row(
        row.name, row.unit, (*row.values, mean_of(row.values), spread_of(row.values)), (*row.intervals, None, None)
    )


def _titled(row: Row) -> str:
    return f"{row.name} ({row.unit})"


def _cells(row: Row) -> list[str]:
    scale = 100 if row.unit == PERCENT else 1
    cells = []
    for value, bounds in zip(row.values, row.intervals, strict=True):
        cell = UNDEFINED if value is None else f"{value * scale:.2f}"
        cells.append(f"{cell} [{bounds[0] * scale:.2f}, {bounds[1] * scale:.2f}]" if bounds else cell)
    return cells


def latex_text(cell: str) -> str:
    """A cell with what LaTeX would take for commands escaped."""
    return "".join(LATEX_SPECIAL.get(character, character) for character in cell)
