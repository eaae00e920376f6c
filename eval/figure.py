"""Draws evaluation.png: the ROC curve, precision over recall, and the AUC of each category."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from vad_pipeline.extract.files import write_bytes

from .evaluation import EvalResult

SIZE_INCHES = (15.0, 4.5)
DOTS_PER_INCH = 100
MAX_POINTS = 4000  # of a drawn line


def write_figure(result: EvalResult, path: Path) -> None:
    """Draw evaluation.png; the same figures give the same bytes.

    Args:
        result: what to draw.
        path: PNG file to write.

    Raises:
        StoreError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    roc, precision_recall, categories = figure.subplots(1, 3)
    true_positives, false_positives = (_thinned(each) for each in result.roc)
    n_positive, n_negative = true_positives[-1], false_positives[-1]
    if result.auc is not None:
        roc.plot(np.append(0, false_positives) / n_negative, np.append(0, true_positives) / n_positive)
    roc.set(title=f"ROC, AUC {_percent(result.auc)}", xlabel="false-positive rate", ylabel="recall")
    if result.ap is not None:
        precision = true_positives / (true_positives + false_positives)
        precision_recall.step(true_positives / n_positive, precision, where="pre")
    precision_recall.set(title=f"precision-recall, AP {_percent(result.ap)}", xlabel="recall", ylabel="precision")
    for axes in (roc, precision_recall):
        axes.set(xlim=(0, 1), ylim=(0, 1.01))
        axes.grid(alpha=0.3)
    names = list(result.per_category)
    values = [result.per_category[name]["auc"] for name in names]
    categories.barh(range(len(names)), [100 * (value or 0) for value in values])
    categories.set_yticks(range(len(names)), [_plain(name) for name in names])
    categories.invert_yaxis()
    categories.set(title="AUC over a category's videos (%)", xlim=(0, 100))
    for position, value in enumerate(values):
        categories.text(1, position, _percent(value), va="center", color="white" if value else "black")
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    write_bytes(path, data.getvalue())


def _thinned(values: np.ndarray) -> np.ndarray:
    """At most MAX_POINTS of the values, evenly chosen, the first and the last among them."""
    return values[np.unique(np.linspace(0, len(values) - 1, MAX_POINTS).astype(int))]


def _percent(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.2f} %"


def _plain(text: str) -> str:
    """Escape dollar signs, which matplotlib would read as mathematics."""
    return text.replace("$", r"\$")
