"""Decides which videos a training run trains on, which are held out, and which are the test set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vad_pipeline.eval.annotation import VideoAnnotation
from vad_pipeline.eval.truth import match_annotations
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.names import NameIndex, plural
from vad_pipeline.extract.store.embedding_store import EmbeddingStore
from vad_pipeline.extract.store.entry import Entry
from vad_pipeline.model.categories import Category

from ..archive.labels import LabelRow, columns_of, of_split, read_label_rows
from .data import MIN_VIDEOS_TO_SPLIT, Labelled, TrainingVideo, check_features, hold_out, join_labels

if TYPE_CHECKING:
    from .options import TrainOptions

TRAIN_SPLIT, VALIDATION_SPLITS = "train", ("val", "valid", "validation")


@dataclass(slots=True)
class Chosen:
    """Which videos are trained on, held out and tested on, and what is missing."""

    train: list[TrainingVideo]
    held_out: list[TrainingVideo]
    test: list[Entry]
    missing: Labelled
    notes: list[str]
    val_split: bool = False
    """Whether the labels name the held-out videos by a split `val`."""


def choose(
    options: TrainOptions,
    entries: Sequence[Entry],
    categories: Sequence[Category],
    annotations: Sequence[VideoAnnotation] | None,
) -> Chosen:
    """Match labels and annotations to features, and give each video its use.

    Raises:
        ConfigError: a video to train on is held out or tested on too, or the held-out ones are of one kind only.
    """
    train_rows, held_out_rows, other_rows = _splits(options)
    test, untested = _test_entries(entries, annotations)
    elsewhere = {entry.video for entry in test} | _named(entries, other_rows)
    train, held_out = (
        join_labels(entries, columns_of(rows, categories, options.labels), known=elsewhere | _named(entries, others))
        for rows, others in ((train_rows, held_out_rows), (held_out_rows, train_rows))
    )
    missing = Labelled(
        without_features=train.without_features + held_out.without_features + untested,
        without_label=train.without_label,
    )
    trained = {video.entry.video for video in train.videos}
    for what, ids in (
        ("the val split", {video.entry.video for video in held_out.videos}),
        ("the test set", {entry.video for entry in test}),
        ("another split", _named(entries, other_rows)),
    ):
        if trained & ids:
            raise ConfigError(
                f"{options.labels}: "
                f"{plural(len(trained & ids), 'video to train on is', 'videos to train on are')} in {what} too "
                f"({', '.join(sorted(trained & ids)[:3])}): figures on them would say nothing"
            )
    if held_out.videos and options.select == "val":
        _need_both_to_judge(held_out.videos, options)
    counts = Counter(row.split or "(none)" for row in other_rows)
    notes = [f"left out: {plural(count, 'row')} of split {split}" for split, count in counts.items()]
    return Chosen(train.videos, held_out.videos, test, missing, notes, val_split=bool(held_out.videos))


def _need_both_to_judge(videos: Sequence[TrainingVideo], options: TrainOptions) -> None:
    if len({video.normal for video in videos}) < 2:
        raise ConfigError(
            f"{options.labels}: its val split needs normal and anomalous videos, with features, to judge by"
        )


def drop_unusable(
    chosen: Chosen,
    store: EmbeddingStore | None,
    crops: Sequence[int] | None,
    scored: int,
    on_video: Callable[[str], None],
) -> None:
    """Read all features once, and move videos that cannot be used from `chosen` to its missing ones.

    Args:
        chosen: which videos are used for what; it is changed.
        store: the store of the features; None: nothing is read, only which crops there are is looked at.
        crops: the crops to train on; None: all that a video has.
        scored: the crop that held-out videos are scored by.
        on_video: called with each id.
    """
    test = [TrainingVideo(entry, ()) for entry in chosen.test]
    checked = [
        check_features(videos, store, of_these, scored, on_video=on_video)
        for videos, of_these in ((chosen.train, crops), (chosen.held_out, (scored,)), (test, (scored,)))
    ]
    chosen.train, chosen.held_out = checked[0].videos, checked[1].videos
    chosen.test = [video.entry for video in checked[2].videos]
    chosen.missing.unusable = [line for each in checked for line in each.unusable]


def hold_some_out(chosen: Chosen, options: TrainOptions, categories: Sequence[Category]) -> list[str]:
    """Hold out a share of the training videos, unless the labels say which are held out.

    Args:
        chosen: which videos are used for what; it is changed.
        options: the options of `train`.
        categories: what labels may say.

    Returns:
        Notes for the user.

    Raises:
        ConfigError: no normal or no anomalous video is left to train on.
    """
    if options.select == "test":
        chosen.held_out = []
        return []
    if chosen.val_split:
        _need_both_to_judge(chosen.held_out, options)  # checked again, as unusable videos were dropped
        return []
    chosen.train, chosen.held_out = hold_out(labelled := chosen.train, options.val_share)
    if len({video.normal for video in chosen.train}) < 2:
        raise ConfigError(f"--val-share {options.val_share:g} leaves no normal or no anomalous video to train on")
    if not chosen.held_out:
        why = f"too few videos to hold some out ({_too_few(labelled, categories)})"
        why = why if options.val_share else "--val-share 0 holds no video out"
        return [f"{why}: the last weights are kept, the threshold is not calibrated"]
    return []


def _too_few(videos: Sequence[TrainingVideo], categories: Sequence[Category]) -> str:
    """Which kind of videos is too rare for some to be held out, with how many there are of each label."""
    told = []
    for normal, kind in ((True, "normal"), (False, "anomalous")):
        of_kind = [video for video in videos if video.normal == normal]
        if len(of_kind) < MIN_VIDEOS_TO_SPLIT:
            counts = Counter("|".join(categories[column].name for column in video.columns) for video in of_kind)
            of_labels = ", ".join(f"{label} {count}" for label, count in sorted(counts.items()))
            told.append(f"{plural(len(of_kind), f'{kind} video')} ({of_labels}) where {MIN_VIDEOS_TO_SPLIT} are needed")
    return "; ".join(told)


def _splits(options: TrainOptions) -> tuple[list[LabelRow], list[LabelRow], list[LabelRow]]:
    """The rows of LABELS to train on, those to hold out, and all others."""
    rows = read_label_rows(options.labels)
    if options.labels_split:
        train = of_split(rows, options.labels_split, options.labels)
    elif any(row.split for row in rows):
        train = of_split(rows, TRAIN_SPLIT, options.labels)
    else:
        return rows, [], []
    held_out = [row for row in rows if row.split in VALIDATION_SPLITS and row.split != train[0].split]
    used = {train[0].split, *(row.split for row in held_out)}
    return train, held_out, [row for row in rows if row.split not in used]


def _named(entries: Sequence[Entry], rows: Sequence[LabelRow]) -> set[str]:
    """The ids of the videos that rows name."""
    found = NameIndex(entry.video for entry in entries).find_all(row.name for row in rows)
    return {video for video in found.values() if video is not None}


def _test_entries(
    entries: Sequence[Entry], annotations: Sequence[VideoAnnotation] | None
) -> tuple[list[Entry], list[str]]:
    """The features of the annotated videos, and the names of annotated videos that have none.

    Raises:
        ConfigError: there are annotations, and none of their videos has features.
    """
    if annotations is None:
        return [], []
    matched = match_annotations(annotations, [entry.video for entry in entries])
    ids = {video for _, video in matched.pairs}
    if not ids:
        raise ConfigError("no annotated test video has features in the store")
    return [entry for entry in entries if entry.video in ids], list(matched.without_result)
