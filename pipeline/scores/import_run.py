"""Runs `import-scores`: given scores and the footage that they are of become a results folder."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from vad_pipeline.extract.errors import ConfigError, DamagedShard, GoneFromStore, VideoError, readable
from vad_pipeline.extract.lists import FEATURE_SUFFIXES, read_named, whole_number
from vad_pipeline.extract.names import NameIndex, plural
from vad_pipeline.extract.recipe import SNIPPET_LEN
from vad_pipeline.extract.store.exchange import split_name
from vad_pipeline.model.categories import ANOMALY_ALONE
from vad_pipeline.model.curve import AnomalyCurve

from ..archive.loop import Recorder, Report, RunSummary
from ..outcomes.outcome_log import OutcomeLog
from ..outcomes.video_outcome import VideoOutcome
from ..results.curve_group import CurveOrigin, write_curve
from ..results.event_rows import tell_unread, write_events
from ..results.folder import Results
from ..results.run_record import RECORD_NAME, ImportRecord, begin_run, check_record
from .footage_list import ScoredFootage
from .laying import UnfitScores, cut_lengths, lay, unit_of
from .score_files import GivenScores, content_sha256, cut_apart, given_in, read_values
from .score_table import UNITS

NO_RECIPE = ""  # recipe id of curves that no features of ours are behind
MOST_SCORES = 1 << 40


@dataclass(frozen=True, slots=True)
class ScoresConfig:
    """The options of `import-scores` about the scores themselves."""

    path: Path
    """The file or folder of scores."""
    categories: tuple[str, ...] = ()
    """Whose probabilities are given, the normal one first; empty: there are scores alone."""
    per: str | None = None
    """What each score stands for, `frame` or `snippet`; None: their number tells it."""
    names: Path | None = None
    """List of the videos whose scores one file holds, one after the other; None: each has its own."""

    def __post_init__(self):
        if self.per not in (None, *UNITS):
            raise ConfigError(f"--per: expected one of {', '.join(UNITS)}, got {self.per}")


@dataclass(slots=True)
class Matched:
    """Which given scores are of which video."""

    pairs: list[tuple[GivenScores, ScoredFootage]]
    per: str
    """What each score stands for where a file does not say it."""
    missing: list[str] = field(default_factory=list)
    """Names of scores that no video has."""
    clashes: dict[str, list[GivenScores]] = field(default_factory=dict)
    """Video id -> several scores that are all named after it."""
    n_without: int = 0
    """How many videos have no scores."""


def match_scores(config: ScoresConfig, footage: Sequence[ScoredFootage], *, in_order: bool) -> Matched:
    """Read what scores there are, and find the video that each is of.

    Args:
        config: where the scores are, and what is known of them.
        footage: the videos that they can be of.
        in_order: whether the videos stand in the order in which one file may hold all their scores.

    Raises:
        ConfigError: the scores cannot be read or told apart, a name means two videos, or no name means any.
    """
    given = _given(config, footage, in_order=in_order)
    by_id = {each.video: each for each in footage}
    found = NameIndex(by_id).find_all(each.name for each in given)
    ids = Counter(found[each.name] for each in given)
    clashing = {video_id for video_id, n in ids.items() if video_id and n > 1}
    pairs = [(each, by_id[found[each.name]]) for each in given if found[each.name] and found[each.name] not in clashing]
    if not pairs and not clashing:
        raise ConfigError(
            f"{config.path}: its scores are of none of the {plural(len(footage), 'video')}, the first are named "
            f"{readable(given[0].name)} there and {readable(footage[0].video)} here; one file with the scores of all "
            "videos needs --names LIST"
        )
    lengths = [(each.n, its.n_frames) for each, its in pairs if each.n and not each.per]
    return Matched(
        pairs,
        per=config.per
        or (unit_of(lengths) if lengths else next((each.per for each, _ in pairs if each.per), UNITS[0])),
        missing=[each.name for each in given if found[each.name] is None],
        clashes={video_id: [each for each in given if found[each.name] == video_id] for video_id in sorted(clashing)},
        n_without=len(footage) - len(set(filter(None, ids))),
    )


def _given(config: ScoresConfig, footage: Sequence[ScoredFootage], *, in_order: bool) -> list[GivenScores]:
    """The scores by the videos' names."""
    if config.names is not None:
        names, lengths = _names(config.names)
        if lengths:
            per = config.per or unit_of(list(zip(lengths, _frames(names, footage, config.names), strict=True)))
            return cut_apart(config.path, config.categories, names, lengths, per)
        _refuse_twice(names, footage, config.names)
        return _cut(config, names, _frames(names, footage, config.names))
    given = given_in(config.path, config.categories)
    if (
        in_order
        and len(given) == 1 < len(footage)
        and NameIndex(each.video for each in footage).find(given[0].name) is None
    ):
        return _cut(config, [each.video for each in footage], [each.n_frames for each in footage])
    return given


def _cut(config: ScoresConfig, names: Sequence[str], frames: Sequence[int]) -> list[GivenScores]:
    try:
        per, lengths = cut_lengths(len(read_values(config.path, config.categories)), frames, config.per)
    except ConfigError as error:
        raise ConfigError(f"{config.path}: {error}") from error
    return cut_apart(config.path, config.categories, names, lengths, per)


def _names(path: Path) -> tuple[list[str], list[int]]:
    """The videos of a list in its order, and the number of each one's scores, where the list has it."""
    rows = read_named(path)
    names = [row.name.strip() for row in rows]
    names = [split_name(name, keep_folder=False)[0] if name.endswith(FEATURE_SUFFIXES) else name for name in names]
    try:
        return names, [whole_number(row.label, least=1, most=MOST_SCORES) for row in rows]
    except ValueError:  # labels, as published lists have them
        return names, []


def _refuse_twice(names: Sequence[str], footage: Sequence[ScoredFootage], path: Path) -> None:
    """Check that a list without numbers has each video once, as otherwise nobody knows which scores are whose.

    Raises:
        ConfigError: it has some several times.
    """
    found = NameIndex(each.video for each in footage).find_all(names)
    counts = Counter(found[name] or name for name in names)
    if twice := [video_id for video_id, n_rows in counts.items() if n_rows > 1]:
        raise ConfigError(
            f"{path}: has {counts[twice[0]]} rows for {readable(twice[0])}, as lists of crops do "
            f"({plural(len(names), 'row')} of {plural(len(counts), 'video')}); give --names a list with one row a video"
        )


def _frames(names: Sequence[str], footage: Sequence[ScoredFootage], path: Path) -> list[int]:
    by_id = {each.video: each.n_frames for each in footage}
    found = NameIndex(by_id).find_all(names)
    unknown = [name for name in names if found[name] is None]
    if unknown:
        raise ConfigError(
            f"{path}: {readable(unknown[0])} is none of the {plural(len(footage), 'video')}, so that nobody knows "
            f"where the scores of the next one begin ({plural(len(unknown), 'such name')})"
        )
    return [by_id[found[name]] for name in names]


def import_scores(
    config: ScoresConfig, matched: Matched, shards: Path | None, results: Results, report: Report, summary: RunSummary
) -> int:
    """Write the curves that are not there yet, and the events of all.

    Args:
        config: where the scores come from.
        matched: which are of which video.
        shards: the folder of the store's shards; None without a store.
        results: where curves and events go; its run.json is written here.
        report: called with each outcome.
        summary: the counts of the run, which are added to.

    Returns:
        How many events there are.

    Raises:
        ConfigError: the folder holds results of something else.
        StoreError: the folder cannot be written, or the store cannot be read.
    """
    record = ImportRecord(
        imported_from=readable(config.path),
        imported_sha256=content_sha256(config.path),
        imported_per=matched.per,
        categories=config.categories or ANOMALY_ALONE,
    )
    check_record(results.path, record)
    begin = cache(lambda: begin_run(results.path, record).threshold)  # not before there are scores that can be used
    with OutcomeLog(results.outcomes) as log:
        recorder = Recorder(log, report, summary)
        for video_id, several in matched.clashes.items():
            of_one_file = len({each.file for each in several}) == 1
            names = ", ".join(readable(each.name if of_one_file else each.file) for each in several)
            error = VideoError(several[0].file, "id_clash", f"{names} are all named after it; keep one")
            recorder.record(VideoOutcome.failure(video_id, str(several[0].file), error))
        for given, footage in matched.pairs:
            try:
                outcome = _import_one(given, footage, config, matched.per, begin, (results, shards))
            except VideoError as error:
                outcome = VideoOutcome.failure(footage.video, str(given.file), error)
            recorder.record(outcome)
    if not (results.path / RECORD_NAME).exists():
        return 0
    results.merge()
    written = write_events(results)
    tell_unread(written)
    return written.n_events


def _import_one(
    given: GivenScores,
    footage: ScoredFootage,
    config: ScoresConfig,
    unit: str,
    begin: Callable[[], float],
    folders: tuple[Results, Path | None],
) -> VideoOutcome:
    """Write the curve of one video, unless it is there; `begin` begins the results and gives their threshold.

    Raises:
        VideoError: its scores cannot be used.
    """
    results, shards = folders
    per = given.per or unit
    try:
        values = given.read()
        made_from = _identity(values, footage, per, config.categories)
        outcome = VideoOutcome(footage.video, str(given.file), n_frames=footage.n_frames)
        if results.holds(footage.video, NO_RECIPE, made_from):
            outcome.status = "cached"
            begin()
            return outcome
        laid = lay(values, footage.n_frames, per, config.categories)
        seconds, fps = footage.times(shards)
    except UnfitScores as error:
        raise VideoError(given.file, "unfit_scores", str(error)) from error
    except (ConfigError, ValueError, DamagedShard, GoneFromStore) as error:
        raise VideoError(given.file, "unreadable", str(error).removeprefix(f"{given.file}: ")) from error
    entry = footage.entry
    curve = AnomalyCurve(
        footage.video,
        laid.scores,
        seconds,
        laid.category,
        laid.categories,
        snippet_len=SNIPPET_LEN,
        fps=fps,
        source=entry.source if entry else "",
        stream=entry.stream if entry else 1,
    )
    origin = CurveOrigin(NO_RECIPE, made_from, begin(), source_sha256=entry.fingerprint if entry else "")
    results.take_in(write_curve(results.curves, curve, origin, later_than=results.written_ns(footage.video, NO_RECIPE)))
    outcome.warnings = [laid.note] if laid.note else []
    return outcome


def _identity(values, footage: ScoredFootage, per: str, categories: Sequence[str]) -> str:
    """A text that is the same for the same curve: names the values, what they stand for, and the footage."""
    told = [per, list(categories), footage.n_frames, str(footage.fps), footage.entry and footage.entry.checksum]
    digest = hashlib.sha256(json.dumps([*told, values.shape]).encode())
    digest.update(values.tobytes())
    return f"imported/{digest.hexdigest()}"
