"""curves.png: each loss and each measure over the steps, of one training run or of those of several seeds."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from vad_pipeline.extract.files import write_bytes

from .run_folder import CHART_NAME, RATE_NAMES

Rows = Sequence[Mapping[str, float | int | str]]
NO_CURVES = {"step", "epoch", "best", *RATE_NAMES}
COLUMNS, PANEL_INCHES, DPI = 3, (3.6, 2.2), 120
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # told apart by colour-blind people too


def draw_chart(folder: Path, runs: Mapping[str, Rows]) -> None:
    """Draw curves.png, a panel for each loss and each measure, a line for each run.

    Args:
        folder: where it goes.
        runs: what a run is called -> the rows of its metrics.csv. The same losses and measures in all runs.

    Raises:
        StoreError: the folder cannot be written.
    """
    from matplotlib.figure import Figure

    names = [name for name in dict.fromkeys(itertools.chain(*next(iter(runs.values())))) if name not in NO_CURVES]
    n_rows = -(-len(names) // COLUMNS)
    width, height = PANEL_INCHES
    figure = Figure(figsize=(COLUMNS * width, n_rows * height), layout="constrained")
    for number, name in enumerate(names):
        axes = figure.add_subplot(n_rows, COLUMNS, number + 1, title=name, xlabel="step")
        for index, rows in enumerate(runs.values()):
            points = [(int(row["step"]), float(row[name])) for row in rows if row.get(name) not in (None, "")]
            marker = "o-" if len(points) < len(rows) else "-"  # measures are taken now and then, losses at every step
            axes.plot(
                *zip(*points, strict=True), marker, color=PALETTE[index % len(PALETTE)], linewidth=1, markersize=3
            )
    if len(runs) > 1:
        figure.legend(figure.axes[0].lines, list(runs), loc="outside lower center", ncols=len(PALETTE))
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=DPI)
    write_bytes(folder / CHART_NAME, data.getvalue())
