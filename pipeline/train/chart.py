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
# of a panel: left and below it numbers and their name stand, above it its own name. Fixed, since asking matplotlib how
# much room they need draws everything twice, seconds at the end of every run.
LEFT_INCHES, BELOW_INCHES, ABOVE_INCHES, RIGHT_INCHES, LEGEND_INCHES = 0.6, 0.5, 0.3, 0.12, 0.4
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
    figure = Figure()
    _lay_out(figure, n_rows, LEGEND_INCHES if len(runs) > 1 else 0)
    for number, name in enumerate(names):
        axes = figure.add_subplot(n_rows, COLUMNS, number + 1, title=name, xlabel="step")
        for index, rows in enumerate(runs.values()):
            points = [(int(row["step"]), float(row[name])) for row in rows if row.get(name) not in (None, "")]
            marker = "o-" if len(points) < len(rows) else "-"  # measures are taken now and then, losses at every step
            axes.plot(
                *zip(*points, strict=True), marker, color=PALETTE[index % len(PALETTE)], linewidth=1, markersize=3
            )
    if len(runs) > 1:
        figure.legend(figure.axes[0].lines, list(runs), loc="lower center", ncols=len(PALETTE))
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=DPI)
    write_bytes(folder / CHART_NAME, data.getvalue())


def _lay_out(figure, n_rows: int, legend_inches: float) -> None:
    """Size a figure for rows of panels, and leave room around each."""
    width, height = PANEL_INCHES
    all_wide, all_high = COLUMNS * width, n_rows * height + legend_inches
    figure.set_size_inches(all_wide, all_high)
    figure.subplots_adjust(
        left=LEFT_INCHES / all_wide,
        right=1 - RIGHT_INCHES / all_wide,
        bottom=(BELOW_INCHES + legend_inches) / all_high,
        top=1 - ABOVE_INCHES / all_high,
        wspace=(LEFT_INCHES + RIGHT_INCHES) / (width - LEFT_INCHES - RIGHT_INCHES),
        hspace=(BELOW_INCHES + ABOVE_INCHES) / (height - BELOW_INCHES - ABOVE_INCHES),
    )
