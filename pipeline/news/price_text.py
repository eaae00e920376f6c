"""What thresholds cost, as lines for the terminal."""

from __future__ import annotations

import shlex
from pathlib import Path

from vad_pipeline.extract.errors import readable
from vad_pipeline.extract.names import plural, some

from ..progress import in_words
from ..results.prices import FEWEST, Price, Prices

ALL = "all"
IN_FORCE = "*"
LEAST_SECONDS = 3600  # of footage, below which it says little about a day


def price_lines(found: Prices, results: Path) -> list[str]:
    """A table of alarms a day, cameras by thresholds; then what reviewers' marks suggest.

    Args:
        found: the prices.
        results: the folder that they are of, for the commands that are printed.
    """
    if not found.cameras:
        return ["no curves: nothing is known of any threshold"]
    prices = (*found.cameras, found.all) if len(found.cameras) > 1 else found.cameras
    rows = [("alarms a day", "footage", *(f"{threshold:g}" for threshold in found.thresholds))]
    rows += [_cells(price, found) for price in prices]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [_line(row, widths) for row in rows]
    lines.append(
        f"{IN_FORCE}: the threshold that holds; more than about one a day and camera is seldom looked at for long"
    )
    n_false = len(found.all.false)
    if n_false:
        lines.append(f"{plural(n_false, 'event')} marked as false alarms, and what is like them, are not counted")
    short = [price for price in found.cameras if price.seconds < LEAST_SECONDS]
    if short:
        names = some([readable(price.camera or "no camera") for price in short])
        lines.append(f"less than an hour of footage says little about a day: {names}; compare columns only")
    return lines + _suggestions(found, results)


def _cells(price: Price, found: Prices) -> tuple[str, ...]:
    name = ALL if price is found.all else readable(price.camera or "no camera")
    cells = []
    for threshold in found.thresholds:
        n = price.a_day(threshold)
        cells.append(f"{n:.{0 if n >= 100 else 1 if n >= 1 else 2}f}{IN_FORCE * (threshold == price.threshold)}")
    return name, in_words(price.seconds), *cells


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    name, footage, *cells = row
    aligned = [f"{cell:>{width}}" for cell, width in zip(cells, widths[2:], strict=True)]
    return "  ".join([f"{name:<{widths[0]}}", f"{footage:>{widths[1]}}", *aligned])


def _suggestions(found: Prices, results: Path) -> list[str]:
    lines = []
    for price in (*(each for each in found.cameras if each.camera), found.all):
        best = price.suggestion
        if best is None:
            continue
        option = f"{best.threshold:g}" if price is found.all else f"{price.camera}={best.threshold:g}"
        command = shlex.join(["vad-pipeline", "events", str(results), "--threshold", option])
        kept = f"keeps {best.n_real - best.n_lost} of {plural(best.n_real, 'real event')}"
        marks = plural(best.n_real + best.n_false, "mark")
        name = ALL if price is found.all else readable(price.camera)
        lines.append(
            f"{name}: {best.threshold:g} {kept} and {best.n_left} of {best.n_false} false alarms ({marks}): {command}"
        )
    return lines or [
        f"no threshold is suggested: that takes {FEWEST} events marked real and {FEWEST} false alarms with lower scores"
    ]
