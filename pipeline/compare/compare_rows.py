"""Runs a comparison: trains, scores and evaluates what is not there yet, then writes the table in all its forms."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import fmean

from vad_pipeline.eval.annotation import VideoAnnotation
from vad_pipeline.eval.comparison import ComparedMethod, compare_methods
from vad_pipeline.eval.comparison_figure import draw_comparison
from vad_pipeline.eval.comparison_tables import comparison_csv, comparison_latex, comparison_markdown
from vad_pipeline.eval.truth import match_annotations
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.files import write_bytes
from vad_pipeline.extract.names import some
from vad_pipeline.extract.only_process import only_process
from vad_pipeline.extract.store.embedding_store import EmbeddingStore

from ..results.figures import EvaluateConfig, Evaluated, evaluate_results
from ..train.trained_videos import with_training_notes
from .row_run import KEPT, TO_RESUME, TO_TRAIN, Row, SeedRun

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


@dataclass(slots=True)
class Compared:
    """What came of it."""

    methods: list[ComparedMethod] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Row and seed -> why it could not be trained or scored."""
    missing: tuple[str, ...] = ()
    """Annotated names that match no video."""
    notes: tuple[str, ...] = ()
    """What a reader of the figures must know, one sentence each."""


@contextlib.contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Lock the comparison's folder in a `with` block: no other process works in it. Make it where it is missing.

    Raises:
        ConfigError: another process works in it, or it is something else.
        StoreError: it cannot be written.
    """
    if (out / "store.json").exists() or (out.exists() and not out.is_dir()):
        what = "a feature store" if out.is_dir() else "a file"
        raise ConfigError(f"{out}: is {what}; give --out another folder")
    with contextlib.suppress(OSError):  # the lock tells
        out.mkdir(parents=True, exist_ok=True)
    with only_process(out / LOCK_NAME) as alone:
        if not alone:
            raise ConfigError(f"{out}: another process compares in it; wait for it, or give another --out")
        yield


def runs_of(config: CompareConfig) -> list[SeedRun]:
    """All runs, seed after seed: every row has its first figure early.

    Raises:
        ConfigError: a row has changed since it was trained.
    """
    for row in config.rows:
        row.check_unchanged()
    return [SeedRun(row, seed) for seed in config.seeds for row in config.rows]


def compare(config: CompareConfig, commands: Commands, say: Callable[[str], None]) -> Compared:
    """Do what is not done yet, and write the tables.

    A run that cannot be trained or scored costs its row; the others go on.

    Args:
        config: what is compared.
        commands: what trains and scores.
        say: called with what is done next.

    Raises:
        ConfigError: a row has changed, or the rows cannot be compared.
        StoreError: something cannot be read or written.
    """
    from vad_pipeline.model.training import TrainingDiverged

    annotations = config.evaluate.truth.read()
    found = Compared()
    runs = runs_of(config)
    tests = _tests(config, annotations, found)
    for number, run in enumerate(runs, 1):
        what = f"{run.row.name}, seed {run.seed}"
        try:
            _bring_on(
                run, commands, tests[run.row.options.store], partial(_say, say, f"{number} of {len(runs)}: {what}")
            )
        except (ConfigError, TrainingDiverged) as error:
            found.failed[what] = str(error)
            say(f"failed: {what}: {error}")
    complete = [
        row for row in config.rows if all(f"{row.name}, seed {seed}" not in found.failed for seed in config.seeds)
    ]
    if complete:
        _write(config, complete, annotations, found)
    return found


def _say(say: Callable[[str], None], what: str, doing: str) -> None:
    say(f"{what}: {doing}")


def _tests(config: CompareConfig, annotations: Sequence[VideoAnnotation], found: Compared) -> dict[Path, Path]:
    """For each store that rows use, a list of its annotated videos."""
    lists = {}
    for row in config.rows:
        store, catalogue = row.options.store, row.options.catalogue
        if store in lists:
            continue
        with EmbeddingStore(store, catalogue=catalogue) as opened:
            ids = sorted({entry.video for entry in opened.entries()})
        matched = match_annotations(annotations, ids)
        if not matched.pairs:
            names = f"{some([each.name for each in annotations])}; the store's: {some(ids)}"
            raise ConfigError(f"{store}: holds none of the videos of {config.evaluate.truth.path}: {names}")
        found.missing = tuple(sorted({*found.missing, *matched.without_result}))
        lists[store] = config.out / f"test-{len(lists)}.txt"
        write_bytes(lists[store], "".join(f"{video_id}\n" for _, video_id in matched.pairs).encode())
    return lists


def _bring_on(run: SeedRun, commands: Commands, test: Path, say: Callable[[str], None]) -> None:
    """Train and score one run, as far as that is not done."""
    state = run.state()
    if state in (TO_TRAIN, TO_RESUME):
        say("training" if state == TO_TRAIN else "going on with its training")
        run.row.keep_identity()
        run.train(commands.train)
    if state != KEPT:
        say("scoring")
        run.score(commands.detect, test)


def _write(config: CompareConfig, rows: Sequence[Row], annotations: Sequence[VideoAnnotation], found: Compared) -> None:
    """Evaluate the complete rows, and write what the folder is for."""
    evaluated = [[_evaluated(SeedRun(row, seed), annotations, config) for seed in config.seeds] for row in rows]
    ids = evaluated[0][0].result.video_ids
    for row, results in zip(rows, evaluated, strict=True):
        if any(each.result.video_ids != ids for each in results):
            raise ConfigError(
                f"row {row.name}: its results are of other videos than those of {rows[0].name}; score anew"
            )
    figures = compare_methods([[each.result for each in results] for results in evaluated])
    for row, of_row in zip(rows, figures, strict=True):
        runs = [SeedRun(row, seed) for seed in config.seeds]
        found.methods.append(
            ComparedMethod(
                row.name,
                config.seeds,
                of_row,
                train_seconds=_known_mean([run.train_seconds() for run in runs]),
                n_parameters=runs[0].n_parameters(),
                snippets_per_second=_known_mean([run.snippets_per_second() for run in runs]),
            )
        )
    notes = (note for results in evaluated for each in results for note in each.result.notes)
    found.notes = tuple(dict.fromkeys(notes))
    _write_files(config, evaluated[0][0], found)


def _evaluated(run: SeedRun, annotations: Sequence[VideoAnnotation], config: CompareConfig) -> Evaluated:
    return with_training_notes(evaluate_results(run.results, annotations, config.evaluate))


def _known_mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _write_files(config: CompareConfig, first: Evaluated, found: Compared) -> None:
    out, truth = config.out, config.evaluate.truth
    record = {
        "schema": COMPARISON_SCHEMA,
        "version": version("vad-pipeline"),
        "protocol": first.result.protocol,
        "annotations": str(truth.path),
        "format": truth.format,
        "n_videos": first.result.n_videos,
        "n_frames": first.result.n_frames,
        "n_anomalous_frames": first.result.n_anomalous_frames,
        "n_resamples": config.evaluate.n_resamples,
        "missing": list(found.missing),
        "failed": found.failed,
        "notes": list(found.notes),
        "rows": [asdict(method) for method in found.methods],
    }
    write_bytes(out / ROWS_NAME, config.written)
    write_bytes(out / RECORD_NAME, json.dumps(record, indent=2, allow_nan=False).encode())
    write_bytes(out / f"{TABLE_STEM}.md", comparison_markdown(found.methods, config.columns).encode())
    write_bytes(out / f"{TABLE_STEM}.tex", comparison_latex(found.methods, config.columns).encode())
    write_bytes(out / f"{TABLE_STEM}.csv", comparison_csv(found.methods).encode())
    draw_comparison(found.methods, out / f"{TABLE_STEM}.png")
