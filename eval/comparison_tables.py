"""A comparison of methods as a table, one row a method: Markdown, LaTeX (booktabs), CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vad_pipeline.extract.lists import guarded

from .comparison import ComparedFigure, ComparedMethod, FailedMethod
from .tables import latex_text

NOTHING, PLUS_MINUS, FAILED = "-", "±", "failed"
PERCENT = 100
TITLES = {"auc": "AUC", "ap": "AP", "auc_anomalous": "AUC, anomalous videos", "map": "mAP"}


Method = ComparedMethod | FailedMethod


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table."""

    title: str
    cell: Callable[[ComparedMethod], str]


def _mean(figure: str) -> Column:
    def cell(method: ComparedMethod) -> str:
        found = method.figures[figure]
        if found.mean is None:
            return NOTHING
        spread = "" if found.std is None else f" {PLUS_MINUS} {found.std * PERCENT:.2f}"
        return f"{found.mean * PERCENT:.2f}{spread}"

    return Column(f"{TITLES[figure]} (%)", cell)


def _difference(figure: str) -> Column:
    def cell(method: ComparedMethod) -> str:
        found = method.figures[figure]
        if found.difference is None:
            return NOTHING
        bounds = found.difference_interval
        between = "" if bounds is None else f" [{bounds[0] * PERCENT:+.2f}, {bounds[1] * PERCENT:+.2f}]"
        return f"{found.difference * PERCENT:+.2f}{between}"

    return Column(f"{TITLES[figure]} less the first's", cell)


def _known(value: float | None, form: str) -> str:
    return NOTHING if value is None else format(value, form)


COLUMNS = {
    "auc": _mean("auc"),
    "auc-difference": _difference("auc"),
    "ap": _mean("ap"),
    "ap-difference": _difference("ap"),
    "auc-anomalous": _mean("auc_anomalous"),
    "auc-anomalous-difference": _difference("auc_anomalous"),
    "map": _mean("map"),
    "map-difference": _difference("map"),
    "seeds": Column("seeds", lambda method: str(len(method.seeds))),
    "train-time": Column(
        "training (min)", lambda method: _known(method.train_seconds and method.train_seconds / 60, ".1f")
    ),
    "parameters": Column("parameters (M)", lambda method: f"{method.n_parameters / 1e6:.2f}"),
    "speed": Column("snippets/s", lambda method: _known(method.snippets_per_second, ",.0f")),
}
"""What --columns names."""


def comparison_markdown(methods: Sequence[Method], columns: Sequence[str]) -> str:
    """Write the table in Markdown; why methods failed stands under it."""
    head, *body = _cells(methods, columns)
    lines = [head, ["---"] + ["---:"] * len(columns), *body]
    table = "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
    return table + "".join(f"\n{line}\n" for line in _failures(methods))


def comparison_latex(methods: Sequence[Method], columns: Sequence[str]) -> str:
    """Write the table as a LaTeX tabular with the rules of booktabs; why methods failed stands in comments."""
    head, *body = (
        " & ".join(latex_text(cell).replace(PLUS_MINUS, r"$\pm$") for cell in line) + r" \\"
        for line in _cells(methods, columns)
    )
    layout = "l" + "r" * len(columns)
    lines = [rf"\begin{{tabular}}{{{layout}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
    comments = [f"% {line}" for line in _failures(methods)]
    return "\n".join(["% needs \\usepackage{booktabs}", *comments, *lines]) + "\n"


def comparison_csv(methods: Sequence[Method]) -> str:
    """Write CSV with a line for each figure of each method; nothing is rounded, an empty cell means undefined.

    A failed method has one line, whose last cell says why.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["method", "figure", "mean", "std", "low", "high", "difference", "difference_low", "difference_high", "why"]
    )
    for method in methods:
        if isinstance(method, FailedMethod):
            writer.writerow([guarded(method.name), FAILED, *[""] * 7, guarded(method.why)])
            continue
        for name, figure in method.figures.items():
            writer.writerow([guarded(method.name), name, *map(_number, _numbers(figure)), ""])
        plain = {
            "train_seconds": method.train_seconds,
            "parameters": method.n_parameters,
            "snippets_per_second": method.snippets_per_second,
        }
        for name, value in plain.items():
            writer.writerow([guarded(method.name), name, _number(value), *[""] * 7])
    return text.getvalue()


def _cells(methods: Sequence[Method], columns: Sequence[str]) -> list[list[str]]:
    chosen = [COLUMNS[name] for name in columns]
    lines = [["", *(column.title for column in chosen)]]
    for method in methods:
        if isinstance(method, FailedMethod):
            lines.append([method.name, FAILED, *[NOTHING] * (len(chosen) - 1)])
        else:
            lines.append([method.name, *(column.cell(method) for column in chosen)])
    return lines


def _failures(methods: Sequence[Method]) -> list[str]:
    """A sentence for each method that failed."""
    return [f"{FAILED}: {method.name}: {method.why}" for method in methods if isinstance(method, FailedMethod)]


def _numbers(figure: ComparedFigure) -> list[float | None]:
    nothing = (None, None)
    of_mean, of_difference = figure.interval or nothing, figure.difference_interval or nothing
    return [figure.mean, figure.std, *of_mean, figure.difference, *of_difference]


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)
