"""Draws a comparison of methods: each figure's mean with its interval, and a mark for each seed."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

from vad_pipeline.extract.errors import shown
from vad_pipeline.extract.files import write_bytes

from .comparison import ComparedMethod
from .comparison_tables import FAILED, PERCENT, TITLES, Method

PANEL_INCHES, ROW_INCHES, EDGES_INCHES = 3.4, 0.32, 0.9
DOTS_PER_INCH, LABEL_LETTERS = 150, 40
MEAN, SEEDS = "#1f4e79", "#c0392b"


def draw_comparison(methods: Sequence[Method], path: Path) -> None:
    """Draw a panel for each figure that is defined, a row for each method; the same comparison gives the same bytes.

    Args:
        methods: what is compared.
        path: PNG file to write.

    Raises:
        StoreError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = [name for name in TITLES if any(_mean(method, name) is not None for method in methods)]
    size = (2 + PANEL_INCHES * max(1, len(names)), EDGES_INCHES + ROW_INCHES * len(methods))
    figure = Figure(figsize=size, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, max(1, len(names)), squeeze=False)[0]
    for axes, name in zip(panels, names, strict=False):
        for row, method in enumerate(methods):
            if _mean(method, name) is None:
                continue
            found = method.figures[name]
            low, high = found.interval or (found.mean, found.mean)
            axes.plot([low * PERCENT, high * PERCENT], [row, row], color=MEAN, lw=1.5)
            axes.plot(found.mean * PERCENT, row, "o", color=MEAN, ms=5)
            axes.plot([value * PERCENT for value in found.values], [row] * len(found.values), "|", color=SEEDS, ms=9)
        axes.set_title(f"{TITLES[name]} (%), 95% interval over videos", fontsize=8)
        axes.set_yticks(range(len(methods)), [_label(method) for method in methods], fontsize=8)
        axes.invert_yaxis()
        axes.grid(alpha=0.3)
    data = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # letters that the font lacks are boxes, here alone
        figure.savefig(data, format="png", metadata={"Software": None})
    write_bytes(path, data.getvalue())


def _mean(method: Method, name: str) -> float | None:
    return method.figures[name].mean if isinstance(method, ComparedMethod) else None


def _label(method: Method) -> str:
    name = shown(method.name, LABEL_LETTERS).replace("$", r"\$")
    return name if isinstance(method, ComparedMethod) else f"{name} ({FAILED})"
