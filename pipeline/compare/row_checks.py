"""Checks rows before anything is trained, by what `train` itself checks: none is to fail after hours of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vad_pipeline.eval.annotation import VideoAnnotation
from vad_pipeline.eval.annotations import TruthFile
from vad_pipeline.eval.truth import match_annotations
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.names import plural, some
from vad_pipeline.extract.store.embedding_store import EmbeddingStore

from ..train.network import build_network
from ..train.prepare import WHERE_MISSING, prepare
from .row_run import Row, SeedRun

if TYPE_CHECKING:
    from ..train.setup import TrainSetup


@dataclass(slots=True)
class CheckedRows:
    """What the check of all rows found."""

    annotations: tuple[VideoAnnotation, ...]
    tests: dict[Path, tuple[str, ...]] = field(default_factory=dict)
    """Store -> the ids of its annotated videos, which are scored."""
    missing: tuple[str, ...] = ()
    """Annotated names that match no video."""
    trained_on: set[str] = field(default_factory=set)
    """The annotated videos that a row to be trained trains on or holds out."""
    problems: dict[str, str] = field(default_factory=dict)
    """Row's name -> why it cannot be trained or scored."""

    def notes(self) -> list[str]:
        """What to say before anything is trained."""
        if not self.trained_on:
            return []
        n_tests = len(set().union(*self.tests.values()))
        return [
            f"{len(self.trained_on)} of {plural(n_tests, 'annotated video')} will be trained on or held out, so that "
            f"figures on them say nothing: {some(sorted(self.trained_on))}; leave them out of the annotations"
        ]


def check_rows(
    rows: Sequence[Row], seeds: Sequence[int], truth: TruthFile, *, on_row: Callable[[str], None]
) -> CheckedRows:
    """Check annotations, and of each row that is not trained yet all that `train` and `detect` would refuse.

    Features are not read: how many there are, of which width and crops, is known without. Own heads and own losses are
    run, as `train` runs them before its first step.

    Args:
        rows: what is compared.
        seeds: with which each row is trained.
        truth: the annotations of the videos to test on.
        on_row: called with the name of each row that has been checked.

    Raises:
        ConfigError: the annotations cannot be read.
        StoreError: what is kept of a row, or a store, cannot be read.
    """
    from vad_pipeline.model.tensorfile import CheckpointError

    checked = CheckedRows(tuple(truth.read()))
    for row in rows:
        try:
            _check(row, seeds, truth, checked)
        except (ConfigError, CheckpointError) as error:
            checked.problems[row.name] = str(error)
        on_row(row.name)
    return checked


def _check(row: Row, seeds: Sequence[int], truth: TruthFile, checked: CheckedRows) -> None:
    """Check one row.

    Raises:
        ConfigError, CheckpointError: it cannot be trained or scored.
    """
    row.check_unchanged()
    options = row.options
    with EmbeddingStore(options.store, catalogue=options.catalogue) as store:
        if options.store not in checked.tests:
            _choose_tests(store, truth, checked)
        if all(SeedRun(row, seed).is_trained for seed in seeds):
            return
        if options.precision == "auto":
            options = replace(options, precision="fp32")  # which is fastest here is timed once it is trained
        prepared = prepare(options, store, reads_features=False)
        if (lacking := prepared.lacking) and not options.allow_missing:
            lacks = plural(len(lacking), "label or annotation lacks features", "labels or annotations lack features")
            raise ConfigError(f"{options.labels}: {lacks} in {options.store}: {some(lacking)}; {WHERE_MISSING}")
        build_network(prepared.setup, lambda note: None)  # do the weights of --init and of the text tower fit it?
        tests, setup = checked.tests[options.store], prepared.setup
        _need_scorable(setup, store, tests)
        checked.trained_on |= {video.entry.video for video in (*setup.train, *setup.held_out)} & {*tests}


def _choose_tests(store: EmbeddingStore, truth: TruthFile, checked: CheckedRows) -> None:
    """Find the annotated videos of a store, which must be those of the other rows' stores.

    Raises:
        ConfigError: it holds none of them, or others.
    """
    ids = sorted({entry.video for entry in store.entries()})
    matched = match_annotations(checked.annotations, ids)
    found = tuple(video_id for _, video_id in matched.pairs)
    if not found:
        names = f"{some([each.name for each in checked.annotations])}; the store's: {some(ids)}"
        raise ConfigError(f"{store.path}: holds none of the videos of {truth.path}: {names}")
    for other, theirs in checked.tests.items():
        if differing := sorted({*found} ^ {*theirs}):
            raise ConfigError(
                f"{store.path}: of {truth.path} it holds other videos than {other}, with which it is compared: "
                f"{some(differing)}"
            )
    checked.missing = tuple(sorted({*checked.missing, *matched.without_result}))
    checked.tests[store.path] = found


def _need_scorable(setup: TrainSetup, store: EmbeddingStore, tests: Sequence[str]) -> None:
    """Check that the store holds what the trained network is to score.

    Raises:
        ConfigError: some annotated videos lack features of the recipe trained on, or the crop that is scored.
    """
    recipe_id = setup.recipe.recipe_id
    held = {
        entry.video for entry in store.entries() if entry.recipe_id == recipe_id and setup.crop in entry.crop_numbers
    }
    if lacking := [video_id for video_id in tests if video_id not in held]:
        raise ConfigError(
            f"{store.path}: {plural(len(lacking), 'annotated video has', 'annotated videos have')} no features of "
            f"recipe {recipe_id}, crop {setup.crop}, by which the row is scored: {some(lacking)}"
        )
