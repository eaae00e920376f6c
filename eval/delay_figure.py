"""Draws delay.png: what each delay costs, beside whole videos."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from vad_pipeline.extract.files import write_bytes

from .delay_cost import FALSE_ALARMS_PER_HOUR, OFFLINE, DelayCost
from .figure import DOTS_PER_INCH

SIZE_INCHES = (10.0, 4.5)


def write_delay_figure(costs: Sequence[DelayCost], path: Path) -> None:
    """Draw delay.png; the same figures give the same bytes.

    Args:
        costs: one for each delay, ascending, and that of whole videos last.
        path: PNG file to write.

    Raises:
        StoreError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    *live, offline = costs
    figure = Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    areas, waits = figure.subplots(1, 2)
    for name, field, colour in (("AUC", "auc", "C0"), ("AP", "ap", "C1")):
        values = [getattr(cost, field) for cost in live]
        known = [(place, 100 * value) for place, value in enumerate(values) if value is not None]
        if known:
            areas.plot(*zip(*known, strict=True), marker="o", color=colour, label=name)
        if getattr(offline, field) is not None:
            areas.axhline(100 * getattr(offline, field), color=colour, linestyle="--", label=f"{name}, {OFFLINE}")
    areas.set(title="frame AUC and AP", ylabel="%")
    if areas.lines:
        areas.legend()
    known = [(place, cost.median_seconds) for place, cost in enumerate(live) if cost.median_seconds is not None]
    if known:
        waits.plot(*zip(*known, strict=True), marker="o")
    waits.set(title=f"median time to alarm, at {FALSE_ALARMS_PER_HOUR:g} false alarm an hour", ylabel="s")
    waits.set_ylim(bottom=0)
    for axes in (areas, waits):
        axes.set_xticks(range(len(live)), [str(cost.delay) for cost in live])
        axes.set(xlabel="delay (snippets)")
        axes.grid(alpha=0.3)
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    write_bytes(path, data.getvalue())
