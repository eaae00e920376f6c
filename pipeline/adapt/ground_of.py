"""Reads and checks all that adapting needs, before the first step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.files import fingerprint
from vad_pipeline.extract.names import plural, some
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.entry import Entry
from vad_pipeline.model.categories import ANOMALY, Category, normal_form

from ..archive.labels import columns_of, read_label_rows
from ..results.folder import Results
from ..results.run_record import IMPORTED_FROM, read_record, rule_of
from ..results.verdict_log import latest_verdicts
from ..results.verdicts import Verdict, brought_together, read_verdicts
from ..train.data import TrainingVideo, check_features, join_labels
from ..train.split import TRAIN_SPLIT
from .adapting import Ground, MarkedVideo
from .given import GivenMarks, usable_marks

if TYPE_CHECKING:
    from vad_pipeline.model.checkpoint import Checkpoint
    from vad_pipeline.model.heads.own import OwnHead

MOST_LABELLED = 400
"""Videos of LABELS that are mixed in: more would only make it slower."""


@dataclass(frozen=True, slots=True)
class AdaptOptions:
    """The options of `adapt`."""

    results: Path
    out: Path
    verdicts: tuple[Path, ...] = ()
    """Exports of the page; none: what the results folder holds."""
    labels: Path | None = None
    checkpoint: Path | None = None
    """None: where run.json says it lies."""
    head: str | None = None
    anyway: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """What adapting works on, which marks it has, and notes for the user."""

    ground: Ground
    given: GivenMarks
    base: Path
    base_sha256: str
    notes: tuple[str, ...]


def prepare(options: AdaptOptions, store: EmbeddingStore) -> Prepared:
    """Read marks, results, checkpoint and labels, and match them to the features.

    Raises:
        ConfigError: the results are no checkpoint's, the checkpoint is gone or another one, or nothing can be learned.
    """
    from .finetune import TuneRecipe

    results = Results.open(options.results)
    record = read_record(options.results)
    base, own = _base(options, record)
    load = partial(_loaded, base, own, record)
    checkpoint = load()
    entries = store.entries(recipe_id=str(record.get("recipe_id", "")))
    said = _said(options)
    given = usable_marks(said, results.all_held(), entries)
    if not given.videos:
        told = "; ".join(given.told()) or "nobody has marked anything yet: mark events on the review page"
        raise ConfigError(f"{options.results}: no verdict that can be learned from ({told})")
    rule = rule_of(options.results, record)
    by_video = {entry.video: entry for entry in entries}
    recipe_id = str(record["recipe_id"])
    videos = [
        MarkedVideo(marks, by_video[marks.video], results.get(marks.video, recipe_id), rule.threshold_of(marks.video))
        for marks in given.videos
    ]
    crop = int(record["crop"])
    labelled, notes = _labelled(options, checkpoint, entries, store, crop)
    real = {marks.video for marks in given.videos if marks.real}
    if against := [video.entry.video for video in labelled if video.normal and video.entry.video in real]:
        notes.append(f"left out: labels that call videos normal in which something was marked real: {some(against)}")
        labelled = [video for video in labelled if video.entry.video not in against]
    ground = Ground(load, store, crop, videos, labelled, rule.merge_gap_seconds, TuneRecipe(), options.seed)
    return Prepared(ground, given, base, checkpoint.sha256, (*given.told(), *notes))


def _base(options: AdaptOptions, record: dict) -> tuple[Path, OwnHead | None]:
    """The checkpoint that the results were scored with, and the code of its head where that is the user's own."""
    from vad_pipeline.model.heads.own import OwnHead

    if IMPORTED_FROM in record or not record.get("calibrated", True):
        raise ConfigError(f"{options.results}: no checkpoint made these scores, so that there is none to adapt")
    path = options.checkpoint or Path(str(record.get("checkpoint", "")))
    if not path.is_file():
        raise ConfigError(f"{path}: the checkpoint of these results is not there; say where with --checkpoint FILE")
    if fingerprint(path) != record.get("checkpoint_sha256"):
        raise ConfigError(f"{path}: is not the checkpoint that made {options.results}; detect with it first")
    if options.out.exists() and options.out.samefile(path):
        raise ConfigError(f"{options.out}: is the checkpoint that is adapted; give --out another name")
    return path, OwnHead.of(options.head) if options.head else None


def _loaded(base: Path, own: OwnHead | None, record: dict) -> Checkpoint:
    from vad_pipeline.model.checkpoint import load_checkpoint

    return load_checkpoint(base, own=own).with_curve(record.get("score"))


def _said(options: AdaptOptions) -> Sequence[Verdict]:
    if options.verdicts:
        return brought_together([read_verdicts(path) for path in options.verdicts])
    return latest_verdicts(options.results)


def _labelled(
    options: AdaptOptions, checkpoint: Checkpoint, entries: Sequence[Entry], store: EmbeddingStore, crop: int
) -> tuple[list[TrainingVideo], list[str]]:
    """The videos of LABELS (its split `train`, where it has splits) that have features, and notes on others."""
    if options.labels is None:
        return [], ["without --labels nothing checks the marks against what is known of whole videos"]
    rows = [row for row in read_label_rows(options.labels) if row.split in (None, TRAIN_SPLIT)]
    columns = columns_of(rows, _words(checkpoint), options.labels)
    found = check_features(join_labels(entries, columns, known=set()).videos, store, (crop,), crop)
    left_out = len(columns) - len(found.videos)
    notes = [f"left out: {plural(left_out, 'label')} without usable features"] if left_out else []
    if not found.videos:
        raise ConfigError(f"{options.labels}: none of its videos has features in {store.path}")
    n_columns = len(checkpoint.config.categories)
    videos = [
        TrainingVideo(video.entry, tuple(column for column in video.columns if column < n_columns) or (1,))
        for video in found.videos
    ]
    if len(videos) > MOST_LABELLED:
        notes.append(f"{MOST_LABELLED} of {len(videos)} labelled videos are mixed in")
        videos = [videos[i * len(videos) // MOST_LABELLED] for i in range(MOST_LABELLED)]
    return videos, notes


def _words(checkpoint: Checkpoint) -> tuple[Category, ...]:
    """What labels may say: the checkpoint's categories, and just `ANOMALY`."""
    from ..train.start import categories_of

    known = categories_of(checkpoint)
    if normal_form(ANOMALY) in {normal_form(category.name) for category in known}:
        return known
    return (*known, Category(ANOMALY, (ANOMALY,)))
