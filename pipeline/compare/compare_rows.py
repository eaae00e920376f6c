"""Runs a comparison: trains, scores and evaluates what is not there yet, then writes the table in all its forms."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import fmean

from vad_pipeline.eval.annotation import VideoAnnotation
from vad_pipeline.eval.comparison import ComparedFigure, ComparedMethod, FailedMethod, compare_methods
from vad_pipeline.eval.comparison_figure import draw_comparison
from vad_pipeline.eval.comparison_tables import comparison_csv, comparison_latex, comparison_markdown
from vad_pipeline.eval.tables import UNDEFINED
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.files import write_bytes
from vad_pipeline.extract.names import plural, some
from vad_pipeline.extract.only_process import only_process

from ..results.figures import EvaluateConfig, Evaluated, evaluate_results
from ..train.trained_videos import with_training_notes
from .row_checks import CheckedRows, check_rows
from .row_run import KEPT, TO_RESUME, TO_TRAIN, UNTRAINABLE, Row, SeedRun

COMPARISON_SCHEMA = 1
LOCK_NAME, RECORD_NAME, ROWS_NAME = ".comparing", "comparison.json", "rows.yaml"
TABLE_STEM = "table"


@dataclass(frozen=True, slots=True)
class CompareConfig:
    """What is compared, and where it is kept."""

    out: Path
    rows: tuple[Row, ...]
    """The first one is what the others are compared with."""
    seeds: tuple[int, ...]
    evaluate: EvaluateConfig
    columns: tuple[str, ...]
    """Of the tables, as `COLUMNS` names them."""
    written: bytes
    """The file of the rows, kept beside what came of it."""


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands that do the work: each takes a command line and gives its exit code."""

    train: Callable[[list[str]], int]
    detect: Callable[[list[str]], int]


@dataclass(frozen=True, slots=True)
class Telling:
    """What is told while it works."""

    next: Callable[[str], None]
    """Called with what is done next."""
    failed: Callable[[str], None]
    """Called with a sentence on a run that cannot be trained or scored."""


@dataclass(slots=True)
class Compared:
    """What came of it."""

    methods: list[ComparedMethod | FailedMethod] = field(default_factory=list)
    """In the order of the rows."""
    failed: dict[str, str] = field(default_factory=dict)
    """Row and seed -> why it could not be trained or scored."""
    notes: tuple[str, ...] = ()
    """What a reader of the figures must know, one sentence each."""


def check_folder(out: Path) -> None:
    """Check that a comparison can be kept in a folder.

    Raises:
        ConfigError: it is something else.
    """
    if (out / "store.json").exists() or (out.exists() and not out.is_dir()):
        what = "a feature store" if out.is_dir() else "a file"
        raise ConfigError(f"{out}: is {what}; give --out another folder")


@contextlib.contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Lock the comparison's folder in a `with` block: no other process works in it. Make it where it is missing.

    Raises:
        ConfigError: another process works in it.
        StoreError: it cannot be written.
    """
    with contextlib.suppress(OSError):  # the lock tells
        out.mkdir(parents=True, exist_ok=True)
    with only_process(out / LOCK_NAME) as alone:
        if not alone:
            raise ConfigError(f"{out}: another process compares in it; wait for it, or give another --out")
        yield


def check(config: CompareConfig, *, on_row: Callable[[str], None]) -> CheckedRows:
    """See `check_rows`."""
    return check_rows(config.rows, config.seeds, config.evaluate.truth, on_row=on_row)


def states(config: CompareConfig, checked: CheckedRows) -> Iterator[tuple[SeedRun, str]]:
    """All runs, and how far each is."""
    for run in _runs(config):
        untrainable = run.row.name in checked.problems
        yield run, UNTRAINABLE if untrainable else run.state(checked.tests[run.row.options.store])


def compare(config: CompareConfig, checked: CheckedRows, commands: Commands, telling: Telling) -> Compared:
    """Do what is not done yet, and write the tables.

    A run that cannot be trained or scored costs its row; the others go on.

    Args:
        config: what is compared.
        checked: what `check` found: no problems.
        commands: what trains and scores.
        telling: what is told meanwhile.

    Raises:
        StoreError: something cannot be read or written.
    """
    from vad_pipeline.model.tensorfile import CheckpointError
    from vad_pipeline.model.training import TrainingDiverged

    found, evaluated, sizes = Compared(), {}, {}
    runs = _runs(config)
    for number, run in enumerate(runs, 1):
        say = partial(_say, telling.next, f"{number} of {len(runs)}: {run}")
        tests = checked.tests[run.row.options.store]
        try:
            anew = _bring_on(run, commands, tests, say)
            evaluated[run] = _evaluated(run, tests, checked.annotations, config)
            sizes[run.row.name] = run.n_parameters()
            if anew:
                say(_in_short(evaluated[run]))
        except (ConfigError, CheckpointError, TrainingDiverged) as error:
            found.failed[str(run)] = str(error)
            telling.failed(f"{run}: {error}")
    _tabulate(config, evaluated, sizes, found)
    _write_files(config, checked, next(iter(evaluated.values()), None), found)
    return found


def _runs(config: CompareConfig) -> list[SeedRun]:
    """All runs, seed after seed: every row has its first figure early."""
    return [SeedRun(row, seed) for seed in config.seeds for row in config.rows]


def _say(say: Callable[[str], None], what: str, doing: str) -> None:
    say(f"{what}: {doing}")


def _in_short(evaluated: Evaluated) -> str:
    figures = {"AUC": evaluated.result.auc, "AP": evaluated.result.ap}
    return ", ".join(f"{name} {UNDEFINED if value is None else f'{value:.2%}'}" for name, value in figures.items())


def _bring_on(run: SeedRun, commands: Commands, tests: Sequence[str], say: Callable[[str], None]) -> bool:
    """Train and score one run, as far as that is not done; say whether anything was."""
    state = run.state(tests)
    if state in (TO_TRAIN, TO_RESUME):
        say("training" if state == TO_TRAIN else "going on with its training")
        run.row.keep_identity()
        run.train(commands.train)
    if state != KEPT:
        say("scoring")
        run.score(commands.detect, tests)
    return state != KEPT


def _evaluated(
    run: SeedRun, tests: Sequence[str], annotations: Sequence[VideoAnnotation], config: CompareConfig
) -> Evaluated:
    """Evaluate one run.

    Raises:
        ConfigError: curves of it are gone.
    """
    evaluated = evaluate_results(run.results, annotations, config.evaluate)
    if lacking := sorted({*tests} - {*evaluated.result.video_ids}):
        curves = plural(len(lacking), "curve that was there is", "curves that were there are")
        raise ConfigError(
            f"{run.results}: {curves} gone or damaged: {some(lacking)}; delete this folder, and run the same again"
        )
    return with_training_notes(evaluated)


def _tabulate(
    config: CompareConfig, evaluated: Mapping[SeedRun, Evaluated], sizes: Mapping[str, int], found: Compared
) -> None:
    """Compare the rows of which all seeds are there, and put all rows and the notes into `found`.

    Args:
        config: what is compared.
        evaluated: the runs that are there.
        sizes: row's name -> how many parameters its network has.
        found: what came of it so far.
    """
    why = {row.name: _why(config, row, found.failed) for row in config.rows}
    complete = [row for row in config.rows if not why[row.name]]
    figures = compare_methods(
        [[evaluated[SeedRun(row, seed)].result for seed in config.seeds] for row in complete],
        with_difference=not why[config.rows[0].name],
    )
    of_rows = {row.name: of_row for row, of_row in zip(complete, figures, strict=True)}
    for row in config.rows:
        if failed := why[row.name]:
            found.methods.append(FailedMethod(row.name, failed))
        else:
            found.methods.append(_method(config, row, of_rows[row.name], sizes[row.name]))
    found.notes = tuple(_notes(evaluated))


def _notes(evaluated: Mapping[SeedRun, Evaluated]) -> Iterator[str]:
    """What must be said of the runs, each thing once, with the rows that it is true of where it is not of all."""
    told: dict[str, list[str]] = {}
    for run, each in evaluated.items():
        for note in each.result.notes:
            told.setdefault(note, []).append(run.row.name)
    n_rows = len({run.row.name for run in evaluated})
    for note, names in told.items():
        of = list(dict.fromkeys(names))
        yield note if len(of) == n_rows else f"{some(of)}: {note}"


def _why(config: CompareConfig, row: Row, failed: dict[str, str]) -> str:
    """Why a row has no figures, each reason once with its seeds; empty where it has them."""
    seeds: dict[str, list[str]] = {}
    for seed in config.seeds:
        if reason := failed.get(str(SeedRun(row, seed))):
            seeds.setdefault(reason, []).append(str(seed))
    return "; ".join(f"seed{'s' * (len(of) > 1)} {', '.join(of)}: {reason}" for reason, of in seeds.items())


def _method(config: CompareConfig, row: Row, figures: dict[str, ComparedFigure], n_parameters: int) -> ComparedMethod:
    """A row of which all seeds are there."""
    runs = [SeedRun(row, seed) for seed in config.seeds]
    return ComparedMethod(
        row.name,
        config.seeds,
        figures,
        train_seconds=_known_mean([run.train_seconds() for run in runs]),
        n_parameters=n_parameters,
        snippets_per_second=_known_mean([run.snippets_per_second() for run in runs]),
    )


def _known_mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _write_files(config: CompareConfig, checked: CheckedRows, first: Evaluated | None, found: Compared) -> None:
    """Write record, tables and figure.

    Args:
        config: what is compared.
        checked: the annotated names without a video.
        first: one run, evaluated on the videos that all are; None where there is none.
        found: what came of the rows.
    """
    out, truth = config.out, config.evaluate.truth
    record = {
        "schema": COMPARISON_SCHEMA,
        "version": version("vad-pipeline"),
        "protocol": config.evaluate.protocol,
        "annotations": str(truth.path),
        "format": truth.format,
        "n_videos": first and first.result.n_videos,
        "n_frames": first and first.result.n_frames,
        "n_anomalous_frames": first and first.result.n_anomalous_frames,
        "n_resamples": config.evaluate.n_resamples,
        "missing": list(checked.missing),
        "failed": found.failed,
        "notes": list(found.notes),
        "rows": [asdict(method) for method in found.methods if isinstance(method, ComparedMethod)],
    }
    write_bytes(out / ROWS_NAME, config.written)
    write_bytes(out / RECORD_NAME, json.dumps(record, indent=2, allow_nan=False).encode())
    write_bytes(out / f"{TABLE_STEM}.md", comparison_markdown(found.methods, config.columns).encode())
    write_bytes(out / f"{TABLE_STEM}.tex", comparison_latex(found.methods, config.columns).encode())
    write_bytes(out / f"{TABLE_STEM}.csv", comparison_csv(found.methods).encode())
    draw_comparison(found.methods, out / f"{TABLE_STEM}.png")
